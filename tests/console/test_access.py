"""Access from the caller's side: pages say what may be called and why, by the very rule that calls are decided by."""

import itertools

from django.urls import reverse

from accounts.models import ApiToken, Membership, User, VirtualAccount
from gateway.access.grants import may_call
from gateway.directory.accounts import account_snapshot
from gateway.directory.callers import caller_of
from providers.access import principals_of, reach
from providers.models import Grant, Model, ModelSubject, ProviderAccount


def test_pages_and_calls_have_one_rule(installation):
    """Every combination of role, narrowing, owner and isolation, for every kind of caller."""
    paul, bot, team = installation.paul, installation.mine["bot"], installation.mine["team"]
    subjects = [{"user": paul}, {"team": team}, {"virtual_account": bot}, {"everyone": True}]
    keys = ["", f"user:{paul.pk}", f"virtualaccount:{bot.pk}", "user:999"]
    count = itertools.count()
    for isolation, role, granted in itertools.product(("owner", "team", "account"), ("user", "manager"), subjects):
        account = ProviderAccount.objects.create(name=f"a{next(count)}", isolation=isolation)
        Grant.objects.create(account=account, role=role, **granted)
        for owner_key, narrowed in itertools.product(keys, [None, *subjects]):
            model = Model.objects.create(
                account=account, name=f"m{next(count)}", model_types=["chat"], owner_key=owner_key
            )
            if narrowed:
                ModelSubject.objects.create(model=model, **narrowed)
    owners = [{"user": user} for user in User.objects.all()] + [{"virtual_account": bot}]
    tokens = [ApiToken.objects.issue(name="t", **owner)[0] for owner in owners]
    two = ProviderAccount.objects.filter(name__startswith="a").order_by("pk")[:2]
    limits = [two[0].name, two[1].models.all()[0].public_name]
    tokens.append(ApiToken.objects.issue(name="t", user=paul, limits=limits)[0])
    snapshots = []
    for account in ProviderAccount.objects.filter(name__startswith="a"):
        models, grants = list(account.models.all()), list(account.grants.all())
        snapshots.append(account_snapshot(account, models, grants))
    for token in tokens:
        caller = caller_of(token)
        calls = {m.public_name for one in snapshots for m in one.models.values() if may_call(caller, one, m)}
        pages = {model.public_name for entry in reach(principals_of(token)) for model in entry.models}
        assert {name for name in pages if name.startswith("a")} == calls
        assert calls or caller.subject_name == "mia@example.com"


def page(client, base, row):
    return client.get(reverse(f"admin:{base}_change", args=[row.pk])).content.decode()


def test_each_caller_s_page_says_what_and_why(installation, as_root):
    Membership.objects.create(team=installation.other["team"], user=installation.mia)
    user = page(as_root, "accounts_user", installation.mia)
    assert "manager through their own grant, user through team mine-team" in user
    assert "user through team other-team" in user
    assert "user through team mine-team" in page(as_root, "accounts_team", installation.mine["team"])
    token, _ = ApiToken.objects.issue(name="t", user=installation.mia, limits=["mine-openai/gpt-4o-mini"])
    shown = page(as_root, "accounts_apitoken", token)
    assert "Narrowed by the token&#x27;s limits: mine-openai/gpt-4o-mini" in shown
    assert "other-openai" not in shown


def test_an_application_s_page_says_why_its_team_s_access_does_not_reach_it(installation, as_root):
    bot: VirtualAccount = installation.mine["bot"]
    shown = page(as_root, "accounts_virtualaccount", bot)
    assert "Nothing yet" in shown
    assert "Its team mine-team may call mine-openai, but that is for the team&#x27;s people" in shown
    assert f"/admin/providers/grant/add/?virtual_account={bot.pk}" in shown
    Grant.objects.create(account=installation.mine["account"], virtual_account=bot)
    shown = page(as_root, "accounts_virtualaccount", bot)
    assert "user through its own grant" in shown
    assert "Its team" not in shown
    assert "(mine-bot) are granted access one by one" in page(as_root, "accounts_team", installation.mine["team"])
