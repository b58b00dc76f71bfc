"""Counts of tokens in Gemini's dialect."""

from providers.dialects.failures import unreadable
from providers.dialects.gemini.vertex import counted
from providers.dialects.gemini.writing import write_request
from providers.dialects.neutral import Request, Settings, Written
from providers.dialects.wire import answer_fields, decode, encode


def write_count_request(request: Request, settings: Settings) -> Written:
    """Return the JSON for ``countTokens``: a whole request, so that system prompt and tools are counted, too."""
    written = write_request(request, settings)
    if settings.vertex:
        return Written(encode(counted(decode(written.body))), written.dropped)
    inner = {"model": f"models/{settings.model.removeprefix('models/')}", **decode(written.body)}
    inner.pop("serviceTier", None)
    return Written(encode({"generateContentRequest": inner}), written.dropped)


def read_count(body: bytes) -> int:
    """Return what a ``countTokens`` answer says."""
    counted = answer_fields(body).get("totalTokens", 0)
    if not isinstance(counted, int):
        raise unreadable("it has no totalTokens")
    return counted


def write_count(tokens: int) -> bytes:
    """Return a ``countTokens`` answer."""
    return encode({"totalTokens": tokens})
