"""Cross-origin calls from browsers, for the origins that ``GATEHOUSE_CORS_ORIGINS`` names: by default none.

Tokens travel in a header that a page's script sets, never in cookies, so nothing here allows credentials.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from gateway.call.request import Receive, Scope, Send

Application = Callable[[Scope, Receive, Send], Awaitable[None]]
METHODS = b"GET, POST, PUT, PATCH, DELETE, HEAD, OPTIONS"
REMEMBERED_SECONDS = b"600"
VARY = (b"vary", b"origin")


def cross_origin(application: Application, origins: Collection[str]) -> Application:
    """Return ``application`` with answers that pages of ``origins`` may read; itself, when there are none."""
    if not origins:
        return application

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        asked = dict(scope["headers"])
        origin = asked.get(b"origin", b"").lower()
        allowed = bool(origin) and ("*" in origins or origin.decode("latin1") in origins)
        if allowed and scope["method"] == "OPTIONS" and b"access-control-request-method" in asked:
            await _preflight(asked, send)
            return
        # A cache that keeps the answer to another origin, or to none, must not give it to a page of ours.
        added = _readable(origin) if allowed else [VARY]

        async def send_readable(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await application(scope, receive, send_readable)

    return answer


async def _preflight(asked: dict[bytes, bytes], send: Send) -> None:
    headers = [
        *_readable(asked[b"origin"].lower()),
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", asked.get(b"access-control-request-headers", b"authorization")),
        (b"access-control-max-age", REMEMBERED_SECONDS),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _readable(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-expose-headers", b"*"),
        VARY,
    ]
