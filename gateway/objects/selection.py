"""Operations whose objects are chosen by a filter or a group, not by an id: no record says whose those are.

They reach everything of the vendor's project, so they are refused unless the account's isolation is ``account``, which
shares everything anyway. ``docs/passthrough.md`` lists each with what it does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from accounts.caller import Caller
from gateway.body.json import decode_nested
from gateway.call.errors import Forbidden
from providers.snapshot import AccountSnapshot

SHARED = "account"


@dataclass(frozen=True, slots=True)
class Selection:
    """One way of choosing objects: ``place`` in the body of an operation (its path without ids), and the words that
    choose.

    Without ``words`` every value chooses, but the caller's own name. ``place`` empty: whatever the body, for the
    ``methods``.
    """

    operation: str
    place: str
    words: frozenset[str]
    what: str
    methods: frozenset[str] = frozenset({"POST"})


SELECTIONS: tuple[Selection, ...] = (
    Selection(
        "evals", "data_source_config.type", frozenset({"stored_completions", "logs"}), "stored completions by metadata"
    ),
    Selection(
        "evals/runs", "data_source.source.type", frozenset({"stored_completions"}), "stored completions by filter"
    ),
    Selection("evals/runs", "data_source.source.type", frozenset({"responses"}), "responses by filter"),
    Selection("chatkit/sessions", "user", frozenset(), "the threads of an end user"),
    Selection("webhook_endpoints", "", frozenset(), "events of the whole project"),
)


def check(
    caller: Caller, account: AccountSnapshot, method: str, operation: str, fields: Mapping[str, msgspec.Raw]
) -> None:
    """Raise :class:`~gateway.call.errors.Forbidden` when a call chooses objects that may be anyone's on ``account``.

    ``operation`` is its path without ids, ``fields`` are the body's.
    """
    if account.isolation == SHARED:
        return
    for row in SELECTIONS:
        if row.operation == operation and method in row.methods and _chooses(row, caller, fields):
            raise Forbidden(
                f"This call chooses {row.what}, which may be anyone's. The provider account {account.name!r} keeps "
                f"callers apart: "
                "only an account with 'isolation: account' takes it.",
                param=row.place or None,
                code="selects_objects_of_others",
            )


def _chooses(row: Selection, caller: Caller, fields: Mapping[str, msgspec.Raw]) -> bool:
    if not row.place:
        return True
    found = list(_values(row.place.split("."), fields))
    if row.words:
        return any(value in row.words for value in found if isinstance(value, str))
    return any(value != caller.subject_name for value in found)


def _values(names: list[str], fields: Mapping[str, msgspec.Raw]) -> Iterator[Any]:
    """Yield what is at a place of the body, lists left out."""
    raw = fields.get(names[0])
    if raw is None:
        return
    pending: list[tuple[Any, int]] = [(decode_nested(bytes(raw), names[0]), 1)]
    while pending:
        node, depth = pending.pop()
        if isinstance(node, list):
            pending.extend((entry, depth) for entry in node)
        elif depth == len(names):
            yield node
        elif isinstance(node, dict) and names[depth] in node:
            pending.append((node[names[depth]], depth + 1))
