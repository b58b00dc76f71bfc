"""The page of one's own tokens, the page that makes one, and rolling."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts import tokens
from accounts.issuing import roll_token
from accounts.models import ApiToken, AuditEntry
from console.pages import tokens as page_of_tokens
from tests.console.conftest import signed_in
from tests.console.test_tokens import TOKEN
from tests.support.usage_rows import record, series
from usage.models import UsageRecord
from usage.recounting import rebuild

PAGE = "/admin/tokens/"
NEW = "/admin/tokens/new/"


@pytest.fixture
def as_paul(installation):
    return signed_in(installation.paul)


def make(client, **data):
    return client.post(NEW, {"name": "laptop", "expiry": "90", "scope": "all"} | data, follow=True)


# --- making one -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("expiry", "days"), [("30", 30), ("90", 90), ("365", 365), ("never", None)])
def test_a_member_makes_a_token_of_their_own(installation, as_paul, expiry, days):
    shown = make(as_paul, expiry=expiry, user=installation.root.pk, virtual_account=installation.mine["bot"].pk)
    (secret,) = TOKEN.findall(shown.content.decode())
    token = ApiToken.objects.get(name="laptop")
    assert (token.user, token.virtual_account, token.limits) == (installation.paul, None, [])
    assert token.digest == tokens.digest(secret)
    left = token.expires_at and token.expires_at - timezone.now()
    assert left is None if days is None else timedelta(days=days, minutes=-1) < left <= timedelta(days=days)
    assert shown.context["model"] in ("mine-openai/gpt-4o-mini", "other-openai/gpt-4o-mini")
    assert AuditEntry.objects.filter(actor="paul@example.com", object_name__startswith="laptop").count() == 1


def test_what_it_may_call_is_chosen_among_what_its_owner_may(installation, as_paul):
    offered = as_paul.get(NEW).context["accounts"]
    assert [account["name"] for account in offered] == ["mine-openai", "other-openai"]
    assert offered[0]["models"] == [("mine-openai/gpt-4o-mini", False)]
    make(as_paul, scope="some", limit=["mine-openai/gpt-4o-mini", "other-openai", "other-openai"])
    assert ApiToken.objects.get(name="laptop").limits == ["mine-openai/gpt-4o-mini", "other-openai"]
    make(as_paul, name="whole", scope="all", limit=["other-openai"])
    assert ApiToken.objects.get(name="whole").limits == [], "hidden ticks do not count"


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"expiry": "12"}, "expiry"),
        ({"expiry": ""}, "expiry"),
        ({"scope": "some"}, "limits"),
        ({"scope": "some", "limit": "nobody"}, "limits"),
        ({"scope": "some", "limit": [f"a{number}" for number in range(201)]}, "limits"),
    ],
)
def test_what_is_wrong_is_said_in_place_and_kept(installation, as_paul, wrong, field):
    before = ApiToken.objects.count()
    answer = make(as_paul, **wrong)
    assert list(answer.context["errors"]) == [field]
    assert ApiToken.objects.count() == before
    if wrong.get("scope") == "some":
        assert answer.context["narrowed"]


def test_many_models_are_not_all_shown(installation, as_paul, monkeypatch):
    monkeypatch.setattr(page_of_tokens, "SHOWN_MODELS", 1)
    page = as_paul.get(NEW)
    assert page.context["hidden"] == 3  # the model of the first account, and the second account with its own
    assert [len(account["models"]) for account in page.context["accounts"]] == [0]


# --- the list ---------------------------------------------------------------------------------------------------------
def test_the_page_lists_ones_own_with_their_spend(installation, as_paul, as_root):
    empty = as_paul.get(PAGE).content.decode()
    assert "No token yet" in empty
    laptop, _ = ApiToken.objects.issue(name="laptop", user=installation.paul, limits=["mine-openai"])
    gone, _ = ApiToken.objects.issue(name="gone", user=installation.paul)
    ApiToken.objects.filter(pk=gone.pk).revoke()
    ApiToken.objects.issue(name="of root", user=installation.root)
    paul = installation.paul
    own = {"subject_name": paul.email, "subject_id": paul.pk, "token_id": laptop.pk, "token_prefix": laptop.prefix}
    rows = [*series(2, cost_pico=10**12, **own), record(cost_pico=None, **own), record(cost_pico=10**12)]
    old = record(at=timezone.now() - timedelta(days=8), cost_pico=10**12, **own)
    UsageRecord.objects.bulk_create([*rows, old])
    rebuild()
    page = as_paul.get(PAGE)
    (row,) = page.context["rows"]
    assert (row["token"], row["cost"], row["limits"]) == (laptop, "$2.00", "mine-openai")
    assert len(as_paul.get(row["requests"]).context["cl"].result_list) == 4
    (ended,) = as_paul.get(PAGE, {"ended": "1"}).context["rows"]
    assert ended["token"] == gone
    assert "All tokens" not in page.content.decode()
    assert "All tokens" in as_root.get(PAGE).content.decode()


def test_the_page_reads_sums(installation, as_paul):
    laptop, _ = ApiToken.objects.issue(name="laptop", user=installation.paul)
    UsageRecord.objects.bulk_create(
        series(5, cost_pico=10**12, subject_name="paul@example.com", token_id=laptop.pk, token_prefix=laptop.prefix)
    )
    rebuild()
    with CaptureQueriesContext(connection) as captured:
        page = as_paul.get(PAGE)
    assert page.context["rows"][0]["cost"] == "$5.00"
    assert not [query for query in captured if "usage_usagerecord" in query["sql"]]


# --- rolling ----------------------------------------------------------------------------------------------------------
def roll(client, token, **data):
    return client.post(reverse("admin:accounts_apitoken_roll_one", args=[token.pk]), data, follow=True)


def test_a_rolled_token_works_beside_the_new_one_for_a_while(installation, as_paul):
    end = timezone.now() + timedelta(days=30)
    old, _ = ApiToken.objects.issue(name="ci", user=installation.paul, expires_at=end, limits=["mine-openai"])
    shown = roll(as_paul, old, overlap="7d")
    (secret,) = TOKEN.findall(shown.content.decode())
    new = ApiToken.objects.get(digest=tokens.digest(secret))
    old.refresh_from_db()
    assert (new.name, new.user, new.limits) == ("ci", installation.paul, ["mine-openai"])
    assert abs(new.expires_at - end) < timedelta(minutes=1)
    assert abs(old.expires_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)
    assert (old.state, new.state) == ("active", "active")


def test_an_overlap_makes_no_token_live_longer(installation, as_paul):
    end = timezone.now() + timedelta(minutes=5)
    old, _ = ApiToken.objects.issue(name="ci", user=installation.paul, expires_at=end)
    roll(as_paul, old, overlap="7d")
    old.refresh_from_db()
    assert old.expires_at == end
    forever, _ = ApiToken.objects.issue(name="ever", user=installation.paul)
    roll(as_paul, forever, overlap="0")
    forever.refresh_from_db()
    assert forever.state == "revoked"
    assert ApiToken.objects.get(name="ever", revoked_at=None).expires_at is None


def test_what_can_not_be_rolled_says_why_and_changes_nothing(installation, as_paul):
    old, _ = ApiToken.objects.issue(name="ci", user=installation.paul, limits=["mine-openai/gpt-4o-mini"])
    assert "Choose how long" in roll(as_paul, old, overlap="9d").content.decode()
    installation.mine["model"].delete()
    assert "gpt-4o-mini" in roll(as_paul, old, overlap="0").context["error"]
    old.refresh_from_db()
    assert old.state == "active"
    ApiToken.objects.filter(pk=old.pk).revoke()
    with pytest.raises(ValueError, match="revoked: make a new one"):
        roll_token(old, timedelta(0))
    assert ApiToken.objects.filter(name="ci").count() == 1


def test_nobody_rolls_what_is_not_theirs(installation, as_paul, as_mia):
    for client, token in ((as_paul, installation.mine["token"]), (as_mia, installation.other["token"])):
        assert roll(client, token, overlap="0").status_code == 404
    assert roll(as_mia, installation.mine["token"], overlap="0").status_code == 200, "of an application of her team"
    assert ApiToken.objects.filter(virtual_account=installation.mine["bot"]).count() == 2


def test_an_applications_tokens_say_what_they_cost_this_week(installation, as_mia, as_root):
    bot, token = installation.mine["bot"], installation.mine["token"]
    values = {"subject_type": "virtualaccount", "subject_name": bot.name, "token_prefix": token.prefix}
    UsageRecord.objects.bulk_create(
        [
            record(cost_pico=1_234_567_890_000, **values),
            record(cost_pico=10**12, **values | {"token_prefix": "gh-another"}),
            record(cost_pico=10**12, **values | {"subject_type": "user"}),
            record(at=timezone.now() - timedelta(days=9), cost_pico=10**12, **values),
        ]
    )
    rebuild()
    address = reverse("admin:accounts_virtualaccount_change", args=[bot.pk])
    for client in (as_mia, as_root):
        assert '<span title="$1.23456789">$1.23</span>' in client.get(address).content.decode()
    other = reverse("admin:accounts_virtualaccount_change", args=[installation.other["bot"].pk])
    assert "$1.23" not in as_root.get(other).content.decode()
