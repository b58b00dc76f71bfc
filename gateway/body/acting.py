"""Calls that do more than to answer: what must not happen twice. Pure.

Nothing here refuses a call: a value that is not a valid one counts as one that acts, as some upstreams take it so.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

RUN_BY_CALLER: Final = frozenset({"function", "custom"})
"""The types of tools that the caller runs."""
NOT_ASKED: Final = (b"false", b"null")

_tools = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])


def acts(fields: Mapping[str, msgspec.Raw]) -> bool:
    """Whether a call has the provider run tools, or go on in the background."""
    if "mcp_servers" in fields or _said(fields, "background") not in NOT_ASKED:
        return True
    if "tools" not in fields:
        return False
    try:
        tools = _tools.decode(fields["tools"])
    except msgspec.DecodeError:
        return True
    kinds = [tool["type"] for tool in tools if "type" in tool]
    return any(bytes(kind).strip(b'"').decode("utf-8", "replace") not in RUN_BY_CALLER for kind in kinds)


def stores(fields: Mapping[str, msgspec.Raw], model_type: str) -> bool:
    """Whether the provider keeps the call's answer: responses, unless the call says otherwise; others, if it does."""
    said = _said(fields, "store")
    return said != b"false" and (said != b"null" or model_type == "responses")


def _said(fields: Mapping[str, msgspec.Raw], name: str) -> bytes:
    return bytes(fields.get(name, b"null"))
