"""Whose turn it is with an idempotency key, and what is kept of the answers, by the table alone."""

from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F

from gateway.models import KeptAnswer
from gateway.objects import kept_answers
from gateway.objects.kept_answers import About, Busy, Kept

pytestmark = pytest.mark.django_db

ABOUT = About(b"print", 200, [(b"content-type", b"audio/mpeg")], False, "req_1", operation="speech")
AUDIO = bytes(range(256))


@pytest.fixture(autouse=True)
def looks_for_room_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "ROOM_SECONDS", 0.0)


def claim(name: str, scope: str = "s") -> Any:
    return kept_answers.claim(scope, "user:1", name)


def age(**moments: timedelta) -> None:
    KeptAnswer.objects.update(**{column: F(column) - span for column, span in moments.items()})


def test_one_has_the_turn_until_it_answers() -> None:
    assert claim("a") is None
    assert claim("b") == Busy()
    assert claim("b", "other") is None
    kept_answers.keep("s", "a", ABOUT, AUDIO)
    assert claim("b") == Kept(ABOUT, AUDIO)
    age(expires_at=timedelta(hours=25))
    assert claim("b") is None


def test_a_turn_that_is_given_back_is_the_next_ones() -> None:
    assert claim("a") is None
    kept_answers.release("s", "b")  # not its own
    assert claim("b") == Busy()
    kept_answers.release("s", "a")
    assert claim("b") is None


def test_a_turn_ends_with_its_lease() -> None:
    assert claim("a") is None
    age(leased_until=timedelta(seconds=45))
    assert kept_answers.renew("s", "a")
    age(leased_until=timedelta(seconds=45))
    assert claim("b") == Busy()
    age(leased_until=timedelta(seconds=45))
    assert claim("b") is None
    assert not kept_answers.renew("s", "a")
    kept_answers.release("s", "a")
    kept_answers.keep("s", "a", ABOUT, AUDIO)
    assert claim("c") == Busy()
    kept_answers.keep("s", "b", ABOUT, None)
    kept_answers.release("s", "b")  # too late
    assert claim("c") == Kept(ABOUT, None)


def test_what_no_key_opens_is_not_there() -> None:
    claim("a")
    kept_answers.keep("s", "a", ABOUT, AUDIO)
    KeptAnswer.objects.update(about=b"gAAAA", body=b"gAAAA")
    assert claim("b") == Kept(None, None)


def test_the_oldest_bodies_make_room(settings: Any) -> None:
    settings.IDEMPOTENCY_TOTAL_BYTES = 10**9
    for number in range(10):
        claim("a", str(number))
        kept_answers.keep(str(number), "a", ABOUT, AUDIO)
        age(expires_at=timedelta(seconds=1))
    settings.IDEMPOTENCY_TOTAL_BYTES = sum(KeptAnswer.objects.values_list("size", flat=True)) // 2
    claim("a", "last")
    kept_answers.keep("last", "a", ABOUT, AUDIO)
    assert sum(KeptAnswer.objects.values_list("size", flat=True)) <= settings.IDEMPOTENCY_TOTAL_BYTES * 0.9
    answers = [claim("b", scope) for scope in (*map(str, range(10)), "last")]
    assert all(kept.about == ABOUT for kept in answers)
    there = [kept.body is not None for kept in answers]
    assert there == sorted(there)  # the older went, the younger stayed
    assert (there[0], there[-1]) == (False, True)
