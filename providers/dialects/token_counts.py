"""Counts of tokens, converted between the vendors that count."""

from collections.abc import Callable

import msgspec

from providers.dialects import anthropic, gemini
from providers.dialects.anthropic import vertex
from providers.dialects.conversion import Ask, Converted, Upstream
from providers.dialects.gemini.dialect import model_path
from providers.dialects.media_conversion import Whole
from providers.dialects.neutral import Failure, Request, Settings, Written


class CountRoute(msgspec.Struct, frozen=True):
    """How one vendor's count becomes another's."""

    read: Callable[[Ask], Request]
    write: Callable[[Request, Settings], Written]
    path: Callable[[Settings], str]
    read_count: Callable[[bytes], int]
    write_count: Callable[[int], bytes]
    read_error: Callable[[int, bytes], Failure]
    write_error: Callable[[Failure], bytes]
    urls: Callable[[Request, Settings], list[str]]


def read_anthropic(ask: Ask) -> Request:
    """Return the conversation of Anthropic's ``count_tokens``."""
    return anthropic.read_request(ask.fields)


def read_gemini(ask: Ask) -> Request:
    """Return the conversation of Gemini's ``countTokens``."""
    return gemini.read_request(ask.fields, ask.model)


anthropic_to_gemini = CountRoute(
    read_anthropic,
    gemini.write_count_request,
    lambda settings: model_path(settings.model, "countTokens", vertex=settings.vertex),
    gemini.read_count,
    anthropic.write_count,
    gemini.read_error,
    anthropic.write_error,
    gemini.media_needed,
)
gemini_to_anthropic = CountRoute(
    read_gemini,
    anthropic.write_count_request,
    lambda settings: vertex.placed(vertex.COUNT, settings.model) if settings.vertex else vertex.COUNT,
    anthropic.read_count,
    gemini.write_count,
    anthropic.read_error,
    gemini.write_error,
    lambda request, settings: [],
)


class CountConversion(Whole):
    """A count that another vendor makes."""

    def __init__(self, route: CountRoute, ask: Ask) -> None:
        super().__init__()
        self.read_error, self.write_error = route.read_error, route.write_error
        self._route = route
        self._request = route.read(ask)

    def urls(self, settings: Settings) -> list[str]:
        """Return what the vendor does not fetch itself."""
        return self._route.urls(self._request, settings)

    def write(self, settings: Settings) -> Upstream:
        """Return the upstream request."""
        written = self._route.write(self._request, settings)
        self.dropped = written.dropped
        return Upstream(self._route.path(settings), written.body)

    def answer(self, body: bytes) -> Converted:
        """Return the count."""
        return Converted(status=200, body=self._route.write_count(self._route.read_count(body)))
