"""Calls that do more than to answer: what must not happen twice."""

from collections.abc import Mapping
from typing import Final

import msgspec

from gateway.body.json import flag

OURS: Final = frozenset({"function", "custom"})
"""The types of tools that the caller runs."""

_tools = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def acts(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether a call has the provider run tools, or go on in the background."""
    if "mcp_servers" in fields or flag(fields, "background"):
        return True
    if "tools" not in fields:
        return False
    try:
        tools = _tools.decode(fields["tools"])
    except msgspec.DecodeError:
        return True
    kinds = [tool["type"] for tool in tools if "type" in tool]
    return any(bytes(kind).strip(b'"').decode("utf-8", "replace") not in OURS for kind in kinds)


def stores(fields: Mapping[str, msgspec.Raw], model_type: str) -> bool:
    """Whether the provider keeps the call's answer: responses, unless the call says otherwise; others, if it does."""
    return bytes(fields.get("store", b"null")) == b"true" or (
        model_type == "responses" and bytes(fields.get("store", b"null")) != b"false"
    )
