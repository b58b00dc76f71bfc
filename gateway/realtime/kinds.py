"""The kinds of sockets, as rows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of socket: its upstream path, the model type that it needs, and whether its models are named by events only."""

    name: str
    path: str
    model_type: str
    models_in_events: bool = False


REALTIME = Kind("realtime", "realtime", "realtime")
TRANSLATION = Kind("translation", "realtime/translations", "realtime")
LIVE = Kind("live", "live/sessions", "realtime", models_in_events=True)
RESPONSES = Kind("responses", "responses", "responses", models_in_events=True)
SECRET_KINDS = {"realtime": REALTIME, "transcription": REALTIME, "translation": TRANSLATION}
