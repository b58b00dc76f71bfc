"""The sockets' paths, a line per kind: below ``/live/{account}``, where SDKs connect with ``websocket_base_url``, and
below the API prefixes.
"""

from channels.routing import URLRouter
from django.urls import re_path

from gateway.realtime.consumer import SocketConsumer, UnknownSocket
from gateway.realtime.kinds import LIVE, REALTIME, RESPONSES, TRANSLATION

PREFIX = r"^(?:v1|api/llm(?:/api/inference/openai)?)(?:/v1)?"
ACCOUNT = r"^live/(?P<account>[^/]+)"
KINDS = {
    "realtime": REALTIME,
    "realtime/translations": TRANSLATION,
    "responses": RESPONSES,
    "live/sessions": LIVE,
}

BASES = (ACCOUNT, PREFIX, f"{PREFIX}/accounts/(?P<account>[^/]+)(?:/v1)?", r"^(?P<azure>openai)(?:/v1)?")

sockets = URLRouter(
    [
        *(
            re_path(f"{base}/{path}/?$", SocketConsumer.as_asgi(kind=kind))
            for base in BASES
            for path, kind in KINDS.items()
        ),
        re_path(f"{ACCOUNT}/?$", SocketConsumer.as_asgi(kind=REALTIME)),
        re_path("", UnknownSocket.as_asgi()),
    ]
)
