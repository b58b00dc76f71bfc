"""The kinds of sockets, as rows."""

from dataclasses import dataclass, field

from gateway.call.operation import Operation
from gateway.objects import operations


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of socket: its upstream path, the model type that it needs, and whether its models are named by events
    only.
    """

    name: str
    path: str
    model_type: str
    models_in_events: bool = False
    operation: Operation = field(kw_only=True)


REALTIME = Kind("realtime", "realtime", "realtime", operation=operations.REALTIME_SOCKET)
CALL = Kind("call", "realtime", "realtime", operation=operations.REALTIME_CALL)
"""The gateway's own sideband socket of a call over WebRTC or SIP."""
TRANSLATION = Kind("translation", "realtime/translations", "realtime", operation=operations.TRANSLATION_SOCKET)
LIVE = Kind("live", "live/sessions", "realtime", models_in_events=True, operation=operations.LIVE_SOCKET)
RESPONSES = Kind("responses", "responses", "responses", models_in_events=True, operation=operations.RESPONSES_SOCKET)
SECRET_KINDS = {"realtime": REALTIME, "transcription": REALTIME, "translation": TRANSLATION}
