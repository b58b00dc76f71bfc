"""Many references at once: looked up in a few bounded queries, and each refused for what it is."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.body.object_names import MENTIONED
from gateway.call.errors import NotFound
from gateway.endpoints.files import check_mentioned
from gateway.managed.input import InputCheck
from gateway.models import Owned
from gateway.objects import ownership, rows, store

LINES = 2500


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Let the database know every id that ends in a digit, as Ada's; return how many ids each query has asked for."""
    sizes: list[int] = []

    def find(object_ids: list[str]) -> list[Owned]:
        sizes.append(len(object_ids))
        return [Owned(each, "main", "file", "user:1") for each in object_ids if each[-1].isdigit()]

    monkeypatch.setattr(rows, "found", find)
    monkeypatch.setattr(ownership, "objects", store.Objects())
    return sizes


CALLER: Any = SimpleNamespace(key="user:1", team_keys=())
ACCOUNT: Any = SimpleNamespace(name="main", isolation="owner")


async def test_many_references_are_a_few_bounded_queries(asked: list[int]) -> None:
    references = [("file_id", f"file-{number}") for number in range(LINES)]
    assert await ownership.first_refused(CALLER, ACCOUNT, references) is None
    assert len(asked) == math.ceil(LINES / store.LOOKUP_IDS)
    assert max(asked) <= store.LOOKUP_IDS
    assert await ownership.first_refused(CALLER, ACCOUNT, references) is None
    assert sum(asked) == LINES, "what is known is not asked for again"


async def test_the_first_that_is_refused_is_named(asked: list[int]) -> None:
    references = [("file_id", "file-1"), ("file_id", "file-x"), ("a", "../b"), ("file_id", "file-y")]
    refused = await ownership.first_refused(CALLER, ACCOUNT, references)
    assert refused is not None
    place, error = refused
    assert (place, type(error), error.code) == (1, NotFound, "not_found")
    assert await ownership.first_refused(CALLER, ACCOUNT, references[2:]) is not None


async def test_what_is_only_mentioned_may_be_unknown_and_not_anothers(asked: list[int]) -> None:
    other: Any = SimpleNamespace(key="user:2", team_keys=())
    references = [(MENTIONED, "file-x"), (MENTIONED, "../b"), (MENTIONED, "file-1")]
    assert await ownership.first_refused(CALLER, ACCOUNT, references) is None
    refused = await ownership.first_refused(other, ACCOUNT, references)
    assert refused is not None
    assert (refused[0], refused[1].code) == (2, "not_found")


async def test_the_lines_of_a_batch_are_looked_up_together(asked: list[int]) -> None:
    check = InputCheck(CALLER, ACCOUNT)
    check.mentioned = [(number, "file_id", f"file-{number}") for number in range(1, 500)]
    call: Any = SimpleNamespace(caller=CALLER, references=[])
    await check_mentioned(call, ACCOUNT, check)
    assert asked == [499]
    check.mentioned = [(501, "file_id", "file-7"), (502, "file_id", "file-nobodys")]
    with pytest.raises(Exception, match=r"Line 502 of the batch input: .*file-nobodys"):
        await check_mentioned(call, ACCOUNT, check)
    assert check.mentioned == []
