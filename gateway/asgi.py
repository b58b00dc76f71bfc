"""The ASGI application: inference paths to the lean handler, everything else to Django's own, and the server's lifespan."""

import os
from collections.abc import MutableMapping
from typing import Any

import django
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django.setup(set_prefix=False)

from gateway.call.request import Receive, Scope, Send  # noqa: E402
from gateway.realtime.routing import sockets  # noqa: E402
from gateway.server import handler, lifespan  # noqa: E402
from gateway.state import state  # noqa: E402
from gateway.urls import API_ROOTS  # noqa: E402

LEAN_PATHS = frozenset({"/healthz", "/readyz", *(root.rstrip("/") for root in API_ROOTS)})
_django = get_asgi_application()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Route one ASGI connection."""
    kind = scope["type"]
    if kind == "http":
        if not state.started:  # daphne has no lifespan: the first request opens
            await lifespan.start()
        path = scope["path"]
        if path.startswith(API_ROOTS) or path in LEAN_PATHS:
            await handler.handle(scope, receive, send)
        else:
            await _django(scope, receive, send)
    elif kind == "lifespan":
        await _lifespan(receive, send)
    elif kind == "websocket":
        if not state.started:
            await lifespan.start()
        await sockets(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message: MutableMapping[str, Any] = await receive()
        if message["type"] == "lifespan.startup":
            await lifespan.start()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await lifespan.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return
