"""Changes that are many at once, or that meet a failing database, are not lost."""

from typing import Any

import pytest
from django.db import DatabaseError

from accounts.models import ApiToken, User
from gateway.directory import Directory
from tests.fixtures import USER, HouseMaker
from tests.servers import wait_until

REVOKED_AT_ONCE = 1500
MAKE_AND_REVOKE = f"""
from django.db import transaction
from django.utils import timezone
from accounts.models import ApiToken, User
user = User.objects.get(email={USER!r})
ApiToken.objects.bulk_create(
    [ApiToken(name=str(n), user=user, prefix="gh-x", digest=f"{{n:064}}") for n in range({REVOKED_AT_ONCE})]
)
with transaction.atomic():
    for token in ApiToken.objects.filter(user=user):
        token.revoked_at = timezone.now()
        token.save()
"""


def test_more_revocations_at_once_than_one_query_can_name(make_house: HouseMaker) -> None:
    house = make_house()
    gateway = house.gateway()
    token = gateway.token("t", user=USER)
    done = house.manage("shell", "-v0", "-c", MAKE_AND_REVOKE)
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
