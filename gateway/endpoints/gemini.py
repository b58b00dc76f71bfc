"""Google's front door: what its clients do with a model, whose name is in the address: ``models/{name}:{action}``.

With any model that can chat, or embed. The key comes in ``x-goog-api-key``, or in the query as ``key``.
"""

from collections.abc import AsyncIterator
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlencode

import msgspec
from django.urls import URLPattern, path

from gateway.body import sse
from gateway.call.call import Call
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import ModelCallView
from gateway.endpoints.counting import count
from gateway.endpoints.describe import begin_call, read_json_body
from gateway.objects import operations
from gateway.pipeline import describe
from gateway.pipeline import run as pipeline_run
from providers.dialects import gemini
from providers.dialects.token_counts import read_gemini

JSON_TYPE = (b"content-type", b"application/json")


class GeminiView(ModelCallView):
    """A ``POST`` to a model's action."""

    door = "gemini"
    key_in_query = True
    streams: ClassVar[bool] = False

    async def describe(self, request: InferenceRequest) -> Call:
        """Return the call: the model's name is the address's, whatever the body repeats."""
        call = begin_call(request, self.caller, self.operation)
        assert request.resolver_match is not None
        call.model_of_path = request.resolver_match.kwargs["name"]
        call.query = urlencode([pair for pair in parse_qsl(call.query) if pair[0] not in ("key", "alt", "$alt")])
        call.stream = self.streams
        await read_json_body(request, call)
        call.body.replace(_without_models(call.body.fields))
        describe.read_model(call, required=True)
        await describe.find_account(call)
        return call


class GenerateContent(GeminiView):
    """Create content, in Gemini's words."""

    operation = operations.GENERATE


class StreamGenerateContent(GeminiView):
    """Create content as a stream: server-sent events with ``alt=sse``, else one JSON array."""

    operation = operations.GENERATE
    streams = True

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Describe the call and run it."""
        call = await self.describe(request)
        call.query = f"alt=sse&{call.query}".rstrip("&")
        reply = await pipeline_run.run(call)
        if reply.stream is not None and request.GET.get("alt", request.GET.get("$alt")) != "sse":
            reply.listen(as_array(reply.stream))
            reply.headers = [*(pair for pair in reply.headers if pair[0] != JSON_TYPE[0]), JSON_TYPE]
        return reply


class CountTokens(GeminiView):
    """Count the tokens of content."""

    operation = operations.GENERATE_COUNT

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Return the vendor's count, or an estimate where the vendor does not count."""
        return await count(await self.describe(request), read_gemini, gemini.write_count)


class EmbedContent(GeminiView):
    """Create a vector for one text, in Gemini's words."""

    operation = operations.EMBED_CONTENT


class BatchEmbedContents(GeminiView):
    """Create vectors for several inputs, in Gemini's words."""

    operation = operations.BATCH_EMBED_CONTENTS


VIEWS: dict[str, type[GeminiView]] = {
    "generateContent": GenerateContent,
    "streamGenerateContent": StreamGenerateContent,
    "countTokens": CountTokens,
    "embedContent": EmbedContent,
    "batchEmbedContents": BatchEmbedContents,
}


def action_urls() -> list[URLPattern]:
    """Return a pattern for each action."""
    return [path(f"models/<path:name>:{action}", view.as_view(), name=action) for action, view in VIEWS.items()]


def _without_models(fields: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Return a body without the model's name, which Google's API wants to be the address's wherever it comes again."""
    found = {name: value for name, value in fields.items() if name != "model"} if "model" in fields else fields
    for name in ("requests", "generateContentRequest"):
        if b'"model"' in bytes(found.get(name, b"")):
            value = msgspec.json.decode(found[name])
            each = [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, dict)]
            for entry in each:
                entry.pop("model", None)
            found = {**found, name: msgspec.Raw(msgspec.json.encode(value))}
    return found


async def as_array(stream: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the data of a stream of events as one JSON array, as Google answers without ``alt=sse``."""
    begun = False
    try:
        async for piece in stream:
            for event in sse.Events(piece):
                if event.data:
                    yield (b",\r\n" if begun else b"[") + event.data
                    begun = True
        yield b"]" if begun else b"[]"
    finally:
        await stream.aclose()  # type: ignore[attr-defined]
