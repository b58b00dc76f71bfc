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
    """One way of choosing objects: ``place`` in the body of an operation (its path without ids), and the words there
    that name objects by id, or bring the content along. Every other word chooses, and so does none: what a vendor takes
    it for is not ours to know.

    Without ``naming`` every value chooses, but the caller's own name. ``place`` empty: whatever the body.
    """

    operation: str
    place: str
    naming: frozenset[str]
    what: str


SELECTIONS: tuple[Selection, ...] = (
    Selection("evals", "data_source_config.type", frozenset({"custom"}), "stored completions by metadata"),
    Selection(
        "evals/runs",
        "data_source.source.type",
        frozenset({"file_content", "file_id"}),
        "stored completions or responses by filter",
    ),
    Selection("chatkit/sessions", "user", frozenset(), "the threads of an end user"),
    Selection("webhook_endpoints", "", frozenset(), "events of the whole project"),
)
METHOD = "POST"


def check(
    caller: Caller, account: AccountSnapshot, method: str, operation: str, fields: Mapping[str, msgspec.Raw]
) -> None:
    """Raise :class:`~gateway.call.errors.Forbidden` when a call chooses objects that may be anyone's on ``account``.

    ``operation`` is its path without ids, ``fields`` are the body's.
    """
    for row in SELECTIONS:
        if row.operation == operation and method == METHOD and _chooses(row, caller, fields):
            _refuse(row, account)


def check_path(caller: Caller, account: AccountSnapshot, path: str, fields: Mapping[str, msgspec.Raw]) -> None:
    """Raise as :func:`check` does for a body that goes to the vendor's own ``path``, whatever comes before and between
    the operation's words. A body without ``fields`` (no JSON object) could say anything.
    """
    for row in SELECTIONS:
        segments = iter(path.lower().split("/"))
        if all(word in segments for word in row.operation.split("/")) and (not fields or _chooses(row, caller, fields)):
            _refuse(row, account)


def _refuse(row: Selection, account: AccountSnapshot) -> None:
    if account.isolation == SHARED:
        return
    raise Forbidden(
        f"This call chooses {row.what}, which may be anyone's. The provider account {account.name!r} keeps callers "
        "apart: only an account with 'isolation: account' takes it.",
        param=row.place or None,
        code="selects_objects_of_others",
    )


def _chooses(row: Selection, caller: Caller, fields: Mapping[str, msgspec.Raw]) -> bool:
    if not row.place:
        return True
    names = row.place.split(".")
    if names[0] not in fields:
        return False
    if not row.naming:
        return any(value != caller.subject_name for value in _values(names, fields))
    holders = list(_values(names[:-1], fields))
    named = [holder.get(names[-1]) if isinstance(holder, dict) else None for holder in holders]
    return not named or not all(isinstance(word, str) and word in row.naming for word in named)


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
