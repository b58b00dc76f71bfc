"""The wait for a call with the same idempotency key."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.call import errors
from gateway.endpoints import idempotency
from gateway.objects.kept_answers import About, Busy, Kept

ANSWER = Kept(About(b"", 200, [], True, "req_1"), b"{}")
CALLER: Any = SimpleNamespace(key="user:1")


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the table says, one after the other; the last again and again."""
    answers: list[Any] = []

    async def run(function: Any, *arguments: Any) -> Any:
        return answers.pop(0) if len(answers) > 1 else answers[0]

    monkeypatch.setattr(idempotency.objects, "run", run)
    monkeypatch.setattr(idempotency, "WAIT_SECONDS", 0.3)
    return answers


@pytest.mark.parametrize("end", [ANSWER, None])
async def test_it_ends_with_the_answer_or_the_turn(claims: list[Any], end: Kept | None) -> None:
    claims += [Busy(), Busy(), end]
    assert await idempotency._turn("s", CALLER, "n") == end


async def test_it_is_bounded(claims: list[Any]) -> None:
    claims.append(Busy())
    with pytest.raises(errors.KeyInUse) as refused:
        await idempotency._turn("s", CALLER, "n")
    assert errors.status_of(refused.value) == 409
    assert errors.code_of(refused.value) == "idempotency_key_in_use"
    assert errors.headers_of(refused.value)["retry-after"] == "5"
