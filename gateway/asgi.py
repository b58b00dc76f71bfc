"""The ASGI application: inference paths to the lean handler, everything else to Django's own, and the server's
lifespan."""

import os
from collections.abc import MutableMapping
from typing import Any

import django
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django.setup(set_prefix=False)

from django.conf import settings  # noqa: E402

from gateway.addresses import is_api  # noqa: E402
from gateway.call.request import Receive, Scope, Send  # noqa: E402
from gateway.realtime.routing import sockets  # noqa: E402
from gateway.server import handler, lifespan  # noqa: E402
from gateway.server.bounded_body import with_bounded_body  # noqa: E402
from gateway.server.cors import cross_origin  # noqa: E402
from gateway.state import state  # noqa: E402

_django = with_bounded_body(get_asgi_application())
_inference = cross_origin(handler.handle, settings.CORS_ORIGINS)


async def _application(scope: Scope, receive: Receive, send: Send) -> None:
    """Route one ASGI connection."""
    kind = scope["type"]
    if kind == "http":
        if not state.started:  # daphne has no lifespan: the first request opens
            await lifespan.start()
        if is_api(scope["path"]):
            await _inference(scope, receive, send)
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


async def _below_base_path(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve below the public address's path, be it that the proxy strips it or not."""
    if "path" in scope:
        base = settings.BASE_PATH
        path = scope["path"].removeprefix(base) if f"{scope['path']}/".startswith(f"{base}/") else scope["path"]
        lean = is_api(path) or scope["type"] == "websocket"
        # Django wants the whole path, and takes the base off by itself.
        scope = {**scope, "path": path or "/" if lean else f"{base}{path or '/'}"}
    await _application(scope, receive, send)


application = _below_base_path if settings.BASE_PATH else _application
