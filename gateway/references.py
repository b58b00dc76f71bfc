"""Finds the ids of other objects that a request body mentions, wherever they can stand."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.errors import InvalidRequest

# Fields whose value is the id of an object, a list of ids, or an object with an ``id``.
REFERENCE_FIELDS = frozenset(
    {
        "assistant_id",
        "batch_id",
        "container",
        "container_id",
        "conversation",
        "eval_id",
        "file_id",
        "file_ids",
        "input_file_id",
        "previous_response_id",
        "response_id",
        "thread_id",
        "training_file",
        "upload_id",
        "validation_file",
        "vector_store_id",
        "vector_store_ids",
        "video_id",
    }
)
# An item of a response's input that stands for an earlier item: {"type": "item_reference", "id": "msg_..."}.
ITEM_REFERENCE = "item_reference"
# Where a bare {"id": "msg_..."} in a list stands for an earlier item, too.
ITEM_LISTS = frozenset({"input", "items"})
# A field without any of these bytes mentions nothing. Escapes of ASCII characters could hide a name, so they count too.
MARKS = (
    *(name.encode() for name in sorted(REFERENCE_FIELDS - {"file_ids", "vector_store_ids"})),
    ITEM_REFERENCE.encode(),
    b"\\u00",
)
MAX_REFERENCES = 1000

_decode = msgspec.json.Decoder().decode


def find_references(body: bytes, fields: Mapping[str, msgspec.Raw]) -> list[tuple[str, str]]:
    """Return ``(field, id)`` for every reference in ``body``, whose top-level ``fields`` are given. Without doubles.

    Raises :class:`~gateway.errors.InvalidRequest` for more than ``MAX_REFERENCES``.
    """
    marked = any(mark in body for mark in MARKS)
    listed = [name for name in ITEM_LISTS if name in fields and b'"id"' in bytes(fields[name])]
    if not marked and not listed:
        return []
    found: dict[tuple[str, str], None] = {}
    for name, raw in fields.items():
        value = bytes(raw)
        if name in REFERENCE_FIELDS or name in listed or (marked and any(mark in value for mark in MARKS)):
            _walk({name: _decode(value)}, found, items=name in ITEM_LISTS)
    return list(found)


def _walk(value: Any, found: dict[tuple[str, str], None], *, items: bool) -> None:
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(entry for entry in node if isinstance(entry, dict | list))
            if items:
                found.update((reference, None) for reference in map(_item_reference, node) if reference)
            continue
        for name, child in node.items():
            if name in REFERENCE_FIELDS:
                found.update(dict.fromkeys((name, entry) for entry in _ids(child)))
            if isinstance(child, dict | list):
                pending.append(child)
        if len(found) > MAX_REFERENCES:
            raise InvalidRequest(f"The request mentions more than {MAX_REFERENCES} other objects.")


def _item_reference(node: Any) -> tuple[str, str] | None:
    if not isinstance(node, dict) or not isinstance(node.get("id"), str):
        return None
    kind = node.get("type")
    if kind == ITEM_REFERENCE or (kind is None and node.keys() <= {"id", "type"}):
        return ITEM_REFERENCE, node["id"]
    return None


def _ids(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict) and isinstance(value.get("id"), str):
        return [value["id"]]
    if isinstance(value, list):
        return [entry for entry in value if isinstance(entry, str)]
    return []
