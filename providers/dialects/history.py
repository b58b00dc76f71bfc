"""What other vendors' answers and callers leave in a chat's messages, taken out for a vendor that refuses it.

Servers of one's own take what they like: nothing is taken out for them.
"""

import re
from typing import Any

import msgspec

from providers.dialects.base import Fields
from providers.dialects.wire import decode, encode
from providers.vendor_row import Vendor

CACHE, SIGNED = "cache_control", "extra_content"
REASONING = ("reasoning_content", "reasoning_details", "thinking_blocks")
_MARKS = {name: f'"{name}"'.encode() for name in (CACHE, SIGNED, *REASONING)}
# How all of these names end, from the underscore on: most histories are searched once, for that, and hold none.
_ANY = re.compile(rb'_(?:control|content|details|blocks)"')


def clean(fields: Fields, vendor: Vendor) -> tuple[Fields, list[str]]:
    """Return a chat's fields without what the vendor does not know in messages and tools, and the marks that are lost.

    Nothing is lost with another vendor's reasoning and signatures, which mean nothing here.
    """
    if not vendor.needs_key:
        return fields, []
    changed: dict[str, msgspec.Raw] = {}
    lost: set[str] = set()
    for name in ("messages", "tools"):
        raw = fields.get(name)
        if raw is None or _ANY.search(raw) is None:
            continue
        said = bytes(raw)
        found = [each for each in _unknown(vendor) if _MARKS[each] in said]
        if found:
            changed[name] = msgspec.Raw(encode(_without(decode(raw), frozenset(found), lost)))
    return ({**fields, **changed} if changed else fields), [CACHE] if CACHE in lost else []


def _unknown(vendor: Vendor) -> list[str]:
    found = [] if vendor.cache_marks else [CACHE]
    found += [] if vendor.signed_calls else [SIGNED]
    return found if vendor.replays_reasoning else [*found, *REASONING]


def _without(value: Any, names: frozenset[str], lost: set[str]) -> Any:
    """Return messages or tools without fields of these names: of a message, a part of its content, a call, a tool."""
    if isinstance(value, list):
        return [_without(each, names, lost) for each in value]
    if not isinstance(value, dict):
        return value
    lost.update(names.intersection(value))
    return {
        name: _without(inner, names, lost) if name in ("content", "tool_calls", "function") else inner
        for name, inner in value.items()
        if name not in names
    }
