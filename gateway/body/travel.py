"""Conversations that go on at another provider account: what of a history's items only the account knows that made
them.

A complete item says itself what was said or done, so it is content and may go anywhere. Its own id, the container that
it ran in and its encrypted reasoning mean nothing elsewhere. What is nothing but a reference can't travel:
``gateway.body.references`` finds that.
"""

import re
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from gateway.body import reference_table
from gateway.body.references import is_reference, operation_key, short_strings

REASONING = "reasoning"
# Its answer names it by its id.
ANSWERED = "mcp_approval_request"
# The history itself, encrypted: without that, nothing is left of what came before.
COMPACTION = "compaction"
# Must name the container that it ran in: elsewhere it goes on as what was said about it.
CODE = "code_interpreter_call"
_carried = re.compile(rb'"(?:container_)?id"\s*:\s*"([A-Za-z0-9_.:-]{1,200})"').findall
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


def carried_ids(fields: Mapping[str, msgspec.Raw], operation: str) -> set[str]:
    """Return the ids that items of a history carry, and perhaps others in them: a glance, so that ordinary calls pay
    little.

    ``fields`` are a body's top-level fields, ``operation`` is as for ``find_references``, which has read the body
    before.
    """
    return {
        found.decode()
        for name in _item_lists(fields, operation)
        for found in _carried(short_strings(bytes(fields[name])))
    }


def without_ids(fields: Mapping[str, msgspec.Raw], operation: str, ids: AbstractSet[str]) -> dict[str, msgspec.Raw]:
    """Return ``fields`` as another account can read them: complete items without any of ``ids``.

    Reasoning with such an id loses what is encrypted; when nothing can be read then, the item goes. Pure references
    stay.
    """
    changed = dict(fields)
    for name in _item_lists(fields, operation):
        items = _decode(fields[name])
        kept = [_stripped(item, ids) for item in items]
        if kept != items:
            changed[name] = msgspec.Raw(_encode([item for item in kept if item is not None]))
    return changed


def _item_lists(fields: Mapping[str, msgspec.Raw], operation: str) -> list[str]:
    lists = reference_table.ITEM_LISTS.get(operation_key(operation), ())
    return [name for name in lists if name in fields and bytes(fields[name]).lstrip()[:1] == b"["]


def _travels(item: dict[str, Any]) -> bool:
    kind = item.get("type")
    return kind == REASONING or (kind not in (COMPACTION, ANSWERED) and not is_reference(item))


def _own_ids(item: dict[str, Any]) -> Iterator[str]:
    if _travels(item):
        environment = item.get("environment")
        inner = environment.get("container_id") if isinstance(environment, dict) else None
        yield from (value for value in (item.get("id"), item.get("container_id"), inner) if isinstance(value, str))


def _stripped(item: Any, ids: AbstractSet[str]) -> Any:
    """Return an item without ``ids``; ``None`` when nothing is left of it."""
    if not isinstance(item, dict) or ids.isdisjoint(_own_ids(item)):
        return item
    if item.get("type") == CODE and item.get("container_id") in ids:
        return _code_message(item)
    kept = {name: value for name, value in item.items() if not (name in ("id", "container_id") and value in ids)}
    environment = item.get("environment")
    if isinstance(environment, dict) and environment.get("container_id") in ids:
        del kept["environment"]
    if item.get("type") == REASONING and item.get("id") in ids:
        kept.pop("encrypted_content", None)
        return kept if item.get("content") else None
    return kept


def _code_message(item: dict[str, Any]) -> dict[str, Any]:
    """Return a message with the code that ran, and what it wrote."""
    outputs = item.get("outputs")
    logs = [each.get("logs") for each in outputs if isinstance(each, dict)] if isinstance(outputs, list) else []
    parts = ["```python", str(item.get("code") or ""), "```", *(text for text in logs if isinstance(text, str))]
    return {"role": "assistant", "content": "\n".join(parts)}
