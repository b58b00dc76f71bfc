"""Where a server under test takes a call, and how it is given the upstream."""

from dataclasses import dataclass

# OpenAI's paths below /v1.
CHAT, RESPONSES, TRANSCRIPTIONS, REALTIME = "/chat/completions", "/responses", "/audio/transcriptions", "/realtime"
# The models that the upstreams know, and which of them a path calls when it is not the first.
MODEL = "gpt-4o-mini"
OTHERS = {TRANSCRIPTIONS: "gpt-4o-mini-transcribe", REALTIME: "gpt-realtime"}


@dataclass(frozen=True)
class Endpoint:
    """One address: the whole URL, the headers that the server wants, and the model's name there."""

    url: str
    headers: dict[str, str]
    model: str


def model_of(path: str) -> str:
    """Return the upstream's model that the call to ``path`` names."""
    return OTHERS.get(path, MODEL)


def address(origin: str, path: str, model: str) -> str:
    """Return OpenAI's address for ``path`` at ``origin``; a socket's model is named there."""
    return f"{origin}/v1{path}" + (f"?model={model}" if path == REALTIME else "")
