"""Finds the ids of other objects that a request body mentions, at the places where OpenAI's description has them.

What a caller calls things at other places (prompt variables, headers, arguments, unknown fields) refers to nothing: an
id there is only *mentioned*, and no one else's. Of an operation that OpenAI does not describe, below an object whose
``type`` it does not, and at the doors of other vendors, the names of fields are all there is to go by.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from gateway.body import reference_table
from gateway.body.object_names import (
    LABELS,
    MENTION_MARKS,
    NATIVE_MARKS,
    find_mentioned,
    is_google_file,
    may_mention,
    names_object,
    normal_id,
)
from gateway.call.errors import InvalidRequest
from providers.routing.naming import ITEM_REFERENCE, NATIVE_FIELDS, OWN_PREFIXES, REFERENCE_FIELDS

# Those whose string is always an id, also in forms and queries; the others may be a vendor's word, or audio.
FORM_FIELDS = REFERENCE_FIELDS - {"audio", "voice"}
# Fields that hold what callers or models wrote, or what an earlier answer cited: names in there refer to nothing.
INERT_FIELDS = frozenset({"annotations", "input_schema", "metadata", "parameters", "schema"})
ADDRESSES = frozenset({"fileUri", "file_uri"})
NATIVE_INERT = INERT_FIELDS | {
    "args",
    "input",
    "parametersJsonSchema",
    "response",
    "responseJsonSchema",
    "responseSchema",
    "response_schema",
}
# Places that other vendors of chat completions have beside OpenAI's.
OTHER_PLACES = {
    "chat/completions": (
        "messages.content.file_id",
        "messages.content.image_file.file_id",
        "messages.content.input_file.file_id",
        "messages.content.source.file_id",
    )
}
# Where an item with an id but without content refers to an earlier item, too.
ITEM_LISTS = frozenset({"input", "items"})
# What an item of the kind says; without any of it, the upstream looks the item up.
CONTENTS = {
    "compaction": ("encrypted_content",),
    "image_generation_call": ("result",),
    "reasoning": ("encrypted_content", "content"),
}
# A field without any of these bytes mentions nothing. Escapes of ASCII characters could hide a name, so they count too.
ESCAPES = tuple(b"\\u00%d" % digit for digit in range(2, 8))
# A search for a name finds those that contain it; audio and voices are found by how their ids begin.
MARKS = (
    *(name.encode() for name in sorted(FORM_FIELDS) if not any(part in name for part in FORM_FIELDS - {name})),
    *(OWN_PREFIXES[name].encode() for name in sorted(REFERENCE_FIELDS - FORM_FIELDS)),
    ITEM_REFERENCE.encode(),
    *MENTION_MARKS,
    *ESCAPES,
)
# A part of each mark, of many the same: what has none of these has no mark, and a few searches say so.
HINTS = (
    b"_id",
    b"_file",
    b"audio_",
    b"voice_",
    ITEM_REFERENCE.encode(),
    b"container",
    b"conversation",
    b"\\u00",
    *MENTION_MARKS[:2],
)
MAX_REFERENCES = 1000
SEARCHED_BYTES = 4096
NAME_BYTES = 256  # no name that matters is longer, each of its characters escaped
MOST_QUOTES = 2000

Found = dict[tuple[str, str], None]
Node = dict[str | int, Any]
"""A place: its properties' places by name. Of the marks, which no name equals, ``ANY`` has the place of every other
name, ``LEAF`` says that ids are here and what their field is called, ``ITEMS`` that items of a conversation do."""
ANY, LEAF, ITEMS = 0, 1, 2
EVENTS = "realtime"
OPENAI = "openai"
_NATIVE_NAMES = REFERENCE_FIELDS | NATIVE_FIELDS

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@lru_cache(maxsize=1024)
def operation_key(path: str) -> str:
    """Return how the description's table names an operation: its path without the ids, or the words ``{...}`` for
    them.
    """
    return "/".join(part for part in path.split("/") if not part.startswith("{"))


def _compile(places: Iterable[str], item_lists: Iterable[str]) -> Node:
    root: Node = {}
    for mark, paths in ((LEAF, places), (ITEMS, item_lists)):
        for path in paths:
            node = root
            for name in path.split("."):
                node = node.setdefault(ANY if name == "*" else name, {})
            node[mark] = path.rpartition(".")[2]
    return root


def _marks(places: Iterable[str]) -> tuple[bytes, ...]:
    """Return what a field must hold to mention anything: ``MARKS``, and the quoted names that they miss."""
    names = {path.rpartition(".")[2] for path in places}
    return (*MARKS, *(f'"{name}"'.encode() for name in sorted(names - REFERENCE_FIELDS)))


def _hints(marks: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Return ``HINTS`` for these marks: those that no hint is a part of are hints themselves."""
    return (*HINTS, *(mark for mark in marks if not any(hint in mark for hint in HINTS)))


Tree = tuple[Node | None, tuple[bytes, ...], tuple[bytes, ...]]
_TREES: dict[str, Tree] = {
    key: (_compile(places, reference_table.ITEM_LISTS.get(key, ())), _marks(places), _hints(_marks(places)))
    for key, described in reference_table.PLACES.items()
    for places in ((*described, *OTHER_PLACES.get(key, ())),)
}
_BY_NAMES: Tree = (None, MARKS, _hints(MARKS))
_NATIVE: Tree = (None, (*MARKS, *NATIVE_MARKS), _hints((*MARKS, *NATIVE_MARKS)))


def find_references(
    body: bytes, fields: Mapping[str, msgspec.Raw], operation: str = "", door: str = OPENAI
) -> list[tuple[str, str]]:
    """Return ``(field, id)`` for every reference in ``body``, whose top-level ``fields`` are given. Without doubles.

    ``operation`` is its path, like ``responses`` or ``vector_stores/{id}/files``; one that OpenAI does not describe is
    searched by names, as is a body in the dialect of another ``door``. Ids are in their normal form. The field of what
    is only mentioned is :data:`~gateway.body.object_names.MENTIONED`.

    Raises :class:`~gateway.call.errors.InvalidRequest` for more than ``MAX_REFERENCES``, and for a name that is given
    twice where references belong: another reader could see the other one.
    """
    tree, marks, hints = _TREES.get(operation_key(operation), _BY_NAMES) if door == OPENAI else _NATIVE
    if operation == EVENTS and bytes(fields.get("type", b"")).strip(b'"').decode() not in reference_table.TYPES:
        tree = None  # an event of another kind of socket
    marked = len(body) > SEARCHED_BYTES or (_has_mark(body, hints) and _has_mark(body, marks)) or may_mention(body)
    listed = [name for name in ITEM_LISTS if name in fields and b'"id"' in short_strings(bytes(fields[name]))]
    listed += [name for name in fields if tree is not None and name in tree and LEAF in tree[name]]
    if not marked and not listed:
        return []
    found: Found = {}
    names, inert = (REFERENCE_FIELDS, INERT_FIELDS) if door == OPENAI else (_NATIVE_NAMES, NATIVE_INERT)
    for name, raw in fields.items():
        if name in LABELS:
            continue
        strings = short_strings(bytes(raw)) if marked else b""
        mentions = marked and (names_object(name) or _has_mark(strings, marks) or may_mention(strings))
        if not (mentions or name in names or name in listed):
            continue
        value = _value(raw)
        if tree is not None and name in tree:
            _follow(value, tree[name], found)
        elif tree is None and name not in inert:
            _search({name: value}, found, items=name in ITEM_LISTS, names=names, inert=inert)
        if mentions:
            _add_mentioned(value, name, found)
        _refuse_duplicate_names(bytes(raw), value, marks)
    return list(found)


def _add_mentioned(value: Any, name: str, found: Found) -> None:
    referred = {object_id for _, object_id in found}
    for pair in find_mentioned(value, name):
        if pair[1] not in referred:
            found[pair] = None
            if len(found) > MAX_REFERENCES:
                raise _too_many()


def _value(raw: msgspec.Raw) -> Any:
    try:
        return _decode(raw)
    except msgspec.DecodeError as error:  # a number that no reader takes
        raise InvalidRequest(
            f"We could not parse the JSON body of your request: {error}.", code="invalid_json"
        ) from None
    except RecursionError:
        raise InvalidRequest("The JSON body is nested too deeply.", code="invalid_json") from None


def _has_mark(value: bytes, marks: tuple[bytes, ...]) -> bool:
    # Every body comes here: no generator for any(), and find() instead of in, which tries a number first.
    for mark in marks:  # noqa: SIM110
        if value.find(mark) >= 0:
            return True
    return False


def short_strings(value: bytes) -> bytes:
    """Return a long JSON value without its long strings: images and documents, which hold no name and no id.

    What lies between two quotes is short where it is a name, however the quotes before it pair up. A value of short
    strings is returned as it is, and so is a short one.
    """
    pieces: list[bytes] = []
    start, most = 0, min(len(value) // (2 * NAME_BYTES), MOST_QUOTES) if len(value) > SEARCHED_BYTES else 0
    while len(pieces) < most:
        end = value.find(b'"', start)
        piece = value[start : end if end >= 0 else None]
        pieces.append(piece if len(piece) <= NAME_BYTES else b"")
        if end < 0:
            return b'"'.join(pieces)
        start = end + 1
    return value


def _refuse_duplicate_names(raw: bytes, value: Any, marks: tuple[bytes, ...]) -> None:
    # Without whitespace and duplicate names, what it encodes to has the same length.
    if len(_encode(value)) == len(raw):
        return
    try:
        json.loads(raw, object_pairs_hook=_unique)
    except InvalidRequest:
        if b'"id"' in raw or _has_mark(raw, marks):
            raise
    except RecursionError:
        raise InvalidRequest("The JSON body is nested too deeply.", code="invalid_json") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0][:80]
        raise InvalidRequest(f"The field {twice!r} is given twice in one object.", param=twice, code="duplicate_field")
    return unique


# --- by the description -------------------------------------------------------------------------------------


def _follow(value: Any, place: Node, found: Found) -> None:
    """Find what is at ``place`` and below.

    A list's entries belong where the list does, however deep it is nested.
    """
    pending = [(value, place)]
    while pending:
        node, place = pending.pop()
        if LEAF in place:
            _add(found, place[LEAF], node)
        if isinstance(node, list):
            if ITEMS in place:
                found.update((reference, None) for reference in map(_item_reference, node) if reference)
            pending.extend((entry, place) for entry in node if isinstance(entry, dict | list))
        elif isinstance(node, dict):
            kind = node.get("type")
            if isinstance(kind, str) and kind not in reference_table.TYPES:
                _search(node, found, items=False)
            if ANY in place:
                pending.extend((child, place[ANY]) for child in node.values())
            else:
                pending.extend((node[name], inner) for name, inner in place.items() if name in node)
        if len(found) > MAX_REFERENCES:
            raise _too_many()


def _add(found: Found, field: str, value: Any) -> None:
    prefix = OWN_PREFIXES.get(field, "")
    found.update(
        ((field, normal_id(entry)), None)
        for entry in _ids(value)
        if entry.strip().startswith(prefix) and (field not in ADDRESSES or is_google_file(entry, relative=True))
    )


def _too_many() -> InvalidRequest:
    return InvalidRequest(f"The request mentions more than {MAX_REFERENCES} other objects.")


# --- by names -----------------------------------------------------------------------------------------------


def _search(
    value: Any,
    found: Found,
    *,
    items: bool,
    names: frozenset[str] = REFERENCE_FIELDS,
    inert: frozenset[str] = INERT_FIELDS,
) -> None:
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(entry for entry in node if isinstance(entry, dict | list))
            if items:
                found.update((reference, None) for reference in map(_item_reference, node) if reference)
        else:
            _search_object(node, found, pending, names, inert)
        if len(found) > MAX_REFERENCES:
            raise _too_many()


def _search_object(
    node: dict[str, Any], found: Found, pending: list[Any], names: frozenset[str], inert: frozenset[str]
) -> None:
    kind = node.get("type")
    for name, child in node.items():
        if name in names:
            _add(found, name, child)
        passed_over = name in inert or (name == "results" and kind == "file_search_call")
        if isinstance(child, dict | list) and not passed_over:
            pending.append(child)
    if kind == "file_id" and isinstance(node.get("id"), str):
        found["file_id", node["id"]] = None  # a data source of evals


def _item_reference(node: Any) -> tuple[str, str] | None:
    if not isinstance(node, dict) or not isinstance(node.get("id"), str):
        return None
    if is_reference(node):
        return ITEM_REFERENCE, node["id"]
    return None


def is_reference(item: Mapping[str, Any]) -> bool:
    """Whether an item with an id says nothing itself, so that the upstream looks it up."""
    kind = item.get("type")
    hollow = kind in CONTENTS and not any(item.get(name) for name in CONTENTS[kind])
    return kind == ITEM_REFERENCE or hollow or item.keys() <= {"id", "type", "status"}


def _ids(value: Any) -> Iterable[str]:
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, dict) and isinstance(value.get("id"), str):
        return [value["id"]] if value["id"] else []
    if isinstance(value, list):
        return [entry for entry in value if isinstance(entry, str) and entry]
    return []
