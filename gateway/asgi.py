"""The ASGI application: inference paths to the lean handler, everything else to Django's own, and the server's lifespan."""

import os
from collections.abc import MutableMapping
from typing import Any

import django
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django.setup(set_prefix=False)

from gateway import handler  # noqa: E402 - needs the app registry
from gateway.admission import recheck_running_calls  # noqa: E402
from gateway.handler import Receive, Scope, Send  # noqa: E402
from gateway.realtime.routing import sockets  # noqa: E402
from gateway.runtime import runtime  # noqa: E402
from gateway.urls import API_ROOTS  # noqa: E402

LEAN_PATHS = frozenset({"/healthz", "/readyz", *(root.rstrip("/") for root in API_ROOTS)})
_django = get_asgi_application()


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Route one ASGI connection."""
    kind = scope["type"]
    if kind == "http":
        if not runtime.started:  # daphne has no lifespan: the first request opens
            await _open()
        path = scope["path"]
        if path.startswith(API_ROOTS) or path in LEAN_PATHS:
            await handler.handle(scope, receive, send)
        else:
            await _django(scope, receive, send)
    elif kind == "lifespan":
        await _lifespan(receive, send)
    elif kind == "websocket":
        if not runtime.started:
            await _open()
        await sockets(scope, receive, send)


async def _open() -> None:
    runtime.open(recheck_running_calls)
    await runtime.ready()


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message: MutableMapping[str, Any] = await receive()
        if message["type"] == "lifespan.startup":
            await _open()
            await send({"type": "lifespan.startup.complete"})
        elif message["type"] == "lifespan.shutdown":
            await runtime.close()
            await send({"type": "lifespan.shutdown.complete"})
            return
