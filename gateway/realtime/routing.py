"""The sockets' paths, a line per kind: below ``/live/{account}``, where SDKs connect with ``websocket_base_url``, and
below the API prefixes.
"""

from channels.routing import URLRouter
from django.urls import re_path

from gateway.addresses import LIVE_PREFIX, SOCKET_PREFIXES
from gateway.realtime.consumer import SocketConsumer, UnknownSocket
from gateway.realtime.kinds import LIVE, REALTIME, RESPONSES, TRANSLATION

KINDS = {
    "realtime": REALTIME,
    "realtime/translations": TRANSLATION,
    "responses": RESPONSES,
    "live/sessions": LIVE,
}

sockets = URLRouter(
    [
        *(
            re_path(f"{prefix}{path}/?$", SocketConsumer.as_asgi(kind=kind))
            for prefix in SOCKET_PREFIXES
            for path, kind in KINDS.items()
        ),
        re_path(f"{LIVE_PREFIX}?$", SocketConsumer.as_asgi(kind=REALTIME)),
        re_path("", UnknownSocket.as_asgi()),
    ]
)
