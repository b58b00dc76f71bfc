"""Where a server under test takes a call, and how it is given the upstream."""

from dataclasses import dataclass

# The paths below /v1: OpenAI's, and Anthropic's.
CHAT, RESPONSES, TRANSCRIPTIONS, REALTIME = "/chat/completions", "/responses", "/audio/transcriptions", "/realtime"
MESSAGES = "/messages"
# The models that the upstreams know: OpenAI's, the first of them for most paths, and other vendors'.
MODEL = "gpt-4o-mini"
OTHERS = {TRANSCRIPTIONS: "gpt-4o-mini-transcribe", REALTIME: "gpt-realtime"}
CLAUDE, GEMINI = "claude-sonnet-4-5", "gemini-2.5-flash"
# Where the upstreams are Anthropic. At OpenAI's address they know no messages: who passes them on there fails.
ANTHROPIC = "/anthropic"


@dataclass(frozen=True)
class Endpoint:
    """One address: the whole URL, the headers that the server wants, and the model's name there."""

    url: str
    headers: dict[str, str]
    model: str


def address(origin: str, path: str, model: str) -> str:
    """Return the address of ``path`` at ``origin``; a socket's model is named there."""
    return f"{origin}/v1{path}" + (f"?model={model}" if path == REALTIME else "")
