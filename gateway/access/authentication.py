"""From a request's headers to its caller: the token that it presents, and whether that token still opens anything."""

from collections.abc import Mapping
from time import time
from typing import Any

from accounts import tokens
from accounts.caller import Caller
from gateway.call import errors
from gateway.call.request import InferenceRequest
from gateway.call.single_headers import SINGLE
from gateway.state import state

BEARER = b"bearer "
AS_IT_IS = "Write 'Authorization: Bearer YOUR_TOKEN', without quotation marks."
QUOTES = (b'"', b"'", b"`")
# Where clients send their key: Azure's, Anthropic's and Google's in headers of their own.
KEY_HEADERS = (b"api-key", b"x-api-key", b"x-goog-api-key")
CREDENTIAL_HEADERS = frozenset({b"authorization", *KEY_HEADERS})


def authenticate(request: InferenceRequest, *, in_query: bool = False) -> Caller:
    """Return whom the request's token belongs to. Raises :class:`~gateway.call.errors.BadToken`.

    The token is in ``Authorization: Bearer``, or in one of ``KEY_HEADERS``; with ``in_query`` also in the query's
    ``key``.
    """
    headers = request.raw_headers
    if len(headers) != len(request.scope["headers"]):
        refuse_duplicate_headers(request.scope)
    if in_query and CREDENTIAL_HEADERS.isdisjoint(headers) and request.GET.get("key"):
        return caller_of(_plain(str(request.GET["key"]).strip().encode("latin1", "replace")))
    return caller_of(presented_token(headers))


def refuse_duplicate_headers(scope: Mapping[str, Any]) -> None:
    """Raise when a header that we act on came twice: a proxy before us may have read the other one."""
    seen: set[bytes] = set()
    for name, _ in scope["headers"]:
        if name in seen and (name in CREDENTIAL_HEADERS or name in SINGLE or name.startswith(b"x-tfy-")):
            header = name.decode("latin1")
            raise errors.InvalidRequest(f"The header {header} was sent twice. Send it once.", param=header)
        seen.add(name)


def caller_of(presented: str) -> Caller:
    """Return whom a token belongs to.

    Raises :class:`~gateway.call.errors.BadToken`, or ``Unavailable`` before the snapshot is loaded.
    """
    check_loaded()
    caller = state.directory.caller(tokens.digest(presented))
    if caller is None:
        fault = tokens.fault(presented)
        why = f"{fault[0].upper()}{fault[1:]}." if fault else "No such token, or it was revoked long ago."
        raise errors.BadToken(f"Incorrect API key provided: {_masked(presented)}. {why}")
    check_alive(caller)
    state.ledger.touch(caller.token_id, time())
    return caller


def check_loaded() -> None:
    """Raise :class:`~gateway.call.errors.Unavailable` until the snapshot is loaded."""
    if not state.directory.loaded:
        raise errors.Unavailable(
            "Gatehouse is starting: its configuration is not loaded yet.", headers={"retry-after": "1"}
        )


def check_alive(caller: Caller) -> None:
    """Raise :class:`~gateway.call.errors.BadToken` when the caller's token opens nothing any more."""
    if caller.state == "revoked":
        raise errors.BadToken(f"The token {caller.prefix}… was revoked. Ask for a new one.", code="token_revoked")
    if caller.state != "active":
        raise errors.BadToken(f"The holder of the token {caller.prefix}… is disabled.", code="token_holder_disabled")
    if caller.expires_at is not None and caller.expires_at <= time():
        raise errors.BadToken(f"The token {caller.prefix}… has expired. Ask for a new one.", code="token_expired")


def presented_token(headers: Mapping[bytes, bytes]) -> str:
    """Return the token that a request's headers present. Raises :class:`~gateway.call.errors.BadToken`."""
    header = headers.get(b"authorization", b"")
    bearer = header[7:].strip() if header[:7].lower() == BEARER else b""
    if bearer:
        return _plain(bearer)
    for name in KEY_HEADERS:
        if key := headers.get(name, b"").strip():
            return _plain(key)
    raise _unread(header.strip())


def _unread(header: bytes) -> errors.BadToken:
    """Return what is wrong with an ``Authorization`` header that holds no token as we read it; it is not shown."""
    if header[:1] in QUOTES:
        return errors.BadToken(f"The value of the Authorization header begins with a quotation mark. {AS_IT_IS}")
    if header.startswith(tokens.PREFIX.encode()):
        return errors.BadToken(f"The Authorization header holds the token without the word 'Bearer'. {AS_IT_IS}")
    if b" " in header:
        return errors.BadToken(
            f"The Authorization header is not of the scheme 'Bearer', so it holds no API key. {AS_IT_IS}",
            code="missing_api_key",
        )
    return errors.BadToken(
        "You didn't provide an API key. Send it in the Authorization header: 'Authorization: Bearer YOUR_TOKEN'.",
        code="missing_api_key",
    )


def _plain(presented: bytes) -> str:
    """Return a token as a string.

    Raises :class:`~gateway.call.errors.BadToken` for what a client's setting added to it.
    """
    if presented[:7].lower() == BEARER:
        raise errors.BadToken(
            "The API key begins with 'Bearer' itself. Configure the key alone: your client adds the word."
        )
    if presented[:1] in QUOTES and presented[-1:] == presented[:1]:
        raise errors.BadToken("The API key is in quotation marks. Configure it without them.")
    return presented.decode("latin1")


def _masked(token: str) -> str:
    shown = "".join(sign for sign in token[:6] if sign.isascii() and sign.isprintable())
    return f"{shown}…" if len(token) > 12 else "…"
