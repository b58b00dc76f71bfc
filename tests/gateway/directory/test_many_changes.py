"""Changes that are many at once, or that meet a failing database, are not lost."""

from types import SimpleNamespace
from typing import Any

import pytest
from django.db import DatabaseError

from accounts.caller import Caller
from accounts.changes import MANY, Change
from accounts.models import ApiToken, Membership, Team, User, VirtualAccount
from gateway.access import recheck
from gateway.directory import directory as directory_module
from gateway.directory.directory import Directory
from tests.support.fixtures import USER, InstallationMaker
from tests.support.servers import wait_until

REVOKED_AT_ONCE = 1500
MAKE_AND_REVOKE = f"""
from django.db import transaction
from django.utils import timezone
from accounts.changes import MANY, Change
from accounts.models import ApiToken, Membership, Team, User, VirtualAccount
user = User.objects.get(email={USER!r})
ApiToken.objects.bulk_create(
    [ApiToken(name=str(n), user=user, prefix="gh-x", digest=f"{{n:064}}") for n in range({REVOKED_AT_ONCE})]
)
with transaction.atomic():
    for token in ApiToken.objects.filter(user=user):
        token.revoked_at = timezone.now()
        token.save()
"""


def test_more_revocations_at_once_than_one_query_can_name(make_installation: InstallationMaker) -> None:
    installation = make_installation()
    gateway = installation.gateway()
    token = gateway.token("t", user=USER)
    done = installation.command("shell", "-v0", "-c", MAKE_AND_REVOKE)
    assert done.returncode == 0, done.stderr
    wait_until(lambda: gateway.get(token, "/v1/models").status_code == 401, 5)
    assert "can't be refreshed" not in gateway.log


@pytest.mark.django_db(transaction=True)
def test_news_that_met_a_failing_database_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    token, _ = ApiToken.objects.issue(name="t", user=User.objects.create_user("u@example.com"))
    directory = Directory()
    directory.refresh()
    ApiToken.objects.filter(pk=token.pk).revoke()
    loading = directory._load_tokens

    def fail(*args: Any) -> None:
        raise DatabaseError("it went away between two queries")

    monkeypatch.setattr(directory, "_load_tokens", fail)
    with pytest.raises(DatabaseError):
        directory.refresh()
    monkeypatch.setattr(directory, "_load_tokens", loading)
    directory.refresh()
    caller = directory.caller_of_token(token.pk)
    assert caller is not None
    assert caller.state == "revoked"


@pytest.fixture
def followed(monkeypatch: pytest.MonkeyPatch) -> Directory:
    """A directory that has loaded, and must not load all tokens again."""
    directory = Directory()
    directory.refresh()
    monkeypatch.setattr(directory, "_load_all_tokens", lambda: pytest.fail("all tokens are loaded for the sake of one"))
    return directory


def seen(directory: Directory, token: ApiToken) -> Caller:
    """A token as the directory has it after it read the feed."""
    directory.refresh()
    caller = directory.caller_of_token(token.pk)
    assert caller is not None
    return caller


@pytest.mark.django_db(transaction=True)
def test_teams_change_without_a_look_at_all_tokens(followed: Directory) -> None:
    ada, bob = User.objects.create_user("ada@x.org"), User.objects.create_user("bob@x.org")
    token, other = (ApiToken.objects.issue(name="t", user=user)[0] for user in (ada, bob))
    team = Team.objects.create(name="red")
    place = Membership.objects.create(team=team, user=ada)
    assert seen(followed, token).teams == ("red",)
    team.name = "blue"
    team.save()
    assert seen(followed, token).teams == ("blue",)
    place = Membership.objects.get(pk=place.pk)
    place.user = bob
    place.save()
    assert (seen(followed, token).teams, seen(followed, other).teams) == ((), ("blue",))
    team.users.remove(bob)
    assert seen(followed, other).teams == ()
    team.users.add(ada)
    account = VirtualAccount.objects.create(name="app", team=team)
    app, _ = ApiToken.objects.issue(name="t", virtual_account=account)
    assert seen(followed, app).teams == ("blue",)
    team.delete()
    assert (seen(followed, token).team_keys, seen(followed, app).team_keys) == ((), ())


@pytest.mark.django_db(transaction=True)
def test_an_update_of_a_few_rows_names_them(followed: Directory) -> None:
    user = User.objects.create_user("ada@x.org")
    tokens = [ApiToken.objects.issue(name="t", user=user)[0] for _ in range(2)]
    assert seen(followed, tokens[0]).state == "active"
    assert ApiToken.objects.filter(user__email="ada@x.org", pk=tokens[0].pk).revoke() == 1
    assert [seen(followed, token).state for token in tokens] == ["revoked", "active"]
    made = [User(email=f"{number}@x.org", password="!") for number in range(MANY + 1)]
    User.objects.bulk_create(made)
    Change.objects.all().delete()
    assert User.objects.exclude(pk=user.pk).update(first_name="x") == MANY + 1
    assert [(row.kind, row.object_id) for row in Change.objects.all()] == [("accounts.user", "")]


@pytest.mark.django_db(transaction=True)
def test_a_revocation_does_not_wait_until_all_tokens_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory_module, "PAGE_TOKENS", 2)
    user = User.objects.create_user("ada@x.org")
    tokens = [ApiToken.objects.issue(name="t", user=user)[0] for _ in range(9)]
    directory = Directory()
    directory.refresh()
    told: list[str] = []
    pages: list[int] = []
    holding = directory._hold

    def hold(page: list[ApiToken]) -> None:
        holding(page)
        pages.append(len(page))
        if len(pages) == 2:  # both ends of the table change in the middle
            ApiToken.objects.filter(pk__in=[tokens[0].pk, tokens[8].pk]).revoke()
            ApiToken.objects.get(pk=tokens[1].pk).delete()

    def note() -> None:
        if len(pages) < 6:
            callers = [directory.caller_of_token(token.pk) for token in tokens]
            told.append(" ".join(caller.state if caller else "gone" for caller in callers))

    monkeypatch.setattr(directory, "_hold", hold)
    monkeypatch.setattr(directory, "_on_change", note)
    directory._load_all_tokens()
    assert told == ["revoked gone active active active active active active revoked"]
    directory.refresh()
    assert directory.caller_of_token(tokens[1].pk) is None


def test_a_call_that_waits_between_admission_and_attempt_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    target: Any = object()
    plan = SimpleNamespace(targets=(SimpleNamespace(target=target),))
    call: Any = SimpleNamespace(caller=SimpleNamespace(token_id=1), attempt=None, plan=plan)
    directory = SimpleNamespace(caller_of_token=lambda token_id: SimpleNamespace(state="active", expires_at=None))
    monkeypatch.setattr(recheck.state, "directory", directory)
    monkeypatch.setattr(recheck.grants, "still_allowed", lambda caller, asked: asked is not target)
    error = recheck._objection(call)
    assert error is not None
    assert error.code == "access_ended"
