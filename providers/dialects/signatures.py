"""Proofs of thinking that belong to another vendor than the front door's: sealed into the field that the client sends
back.

A client of Anthropic's or the Responses API returns a thinking block's ``signature`` or a reasoning item's
``encrypted_content`` unread, so another vendor's proof travels there under a prefix that names its dialect.
"""

_PREFIX = "gatehouse."


def seal(origin: str, value: str, own: str) -> str:
    """Return a proof as the dialect ``own`` carries it; its own proofs stay as they are."""
    return value if not value or not origin or origin == own else f"{_PREFIX}{origin}.{value}"


def unseal(value: str, own: str) -> tuple[str, str]:
    """Return which dialect a proof belongs to, and the proof."""
    if not value.startswith(_PREFIX):
        return own if value else "", value
    origin, _, inner = value[len(_PREFIX) :].partition(".")
    return origin, inner
