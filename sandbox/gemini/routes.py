"""`/v1beta/models` and their methods: `/v1beta/models/{model}:generateContent` and the others."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.gemini import answer, embeddings, media, models
from sandbox.gemini.fields import Fields, closed, items, typed
from sandbox.gemini.models import Model, find
from sandbox.gemini.reading import KNOWN, Asked, read
from sandbox.gemini.service import GoogleError, error_event, invalid
from sandbox.model.generation import Output, generate
from sandbox.model.usage import CACHE_MIN_TOKENS, cached_tokens
from sandbox.wire.messages import JSON, Answer, Request, Stream, endless_body, json_response
from sandbox.wire.routing import Route

NOT_JSON = "Invalid JSON payload received. Unexpected token."
Method = Callable[[Request, Model, Any], Awaitable[Answer]]


async def call(request: Request) -> Answer:
    """Finds the method behind the colon."""
    name, _, method = request.params["call"].partition(":")
    handler = METHODS.get(method)
    if handler is None:
        raise GoogleError("Requested entity was not found.", status=404)
    return await handler(request, find(name, method), request.json(NOT_JSON))


async def generate_content(request: Request, model: Model, body: Any) -> Answer:
    asked = read(body, model)
    outputs, parts, used, tail = await _answered(request, asked)
    if request.faults.blocked:
        return json_response(answer.blocked(tail, used))
    if request.faults.endless:
        return endless_body()
    return json_response(answer.whole(asked, outputs, parts, tail, used))


async def stream_generate_content(request: Request, model: Model, body: Any) -> Answer:
    asked = read(body, model)
    outputs, parts, used, tail = await _answered(request, asked)
    found = answer.chunks(asked, outputs, parts, tail, used)
    if request.faults.blocked:
        found = iter([answer.blocked(tail, used)])
    if request.query().get("alt") == "sse":
        return Stream(answer.as_events(found), content_type=b"text/event-stream", error=error_event)
    return Stream(answer.as_array(found), content_type=JSON + b"; charset=UTF-8", error=error_event)


async def _answered(request: Request, asked: Asked) -> tuple[list[Output], list[Fields], Fields, Fields]:
    """The candidates, the parts that are not text, the usage and what every answer ends with."""
    state, faults = request.app.state, request.faults
    made: Counter[str] = Counter()
    parts: list[Fields] = []
    outputs = [generate(asked.prompt, asked.settings, faults, index) for index in range(asked.count)]
    if asked.makes != "TEXT" and not faults.refusal:
        outputs = [Output(pieces=["Here is the image."] if asked.makes == "IMAGE" else [])]
        if asked.makes == "IMAGE":
            parts.append(await asyncio.to_thread(media.picture, asked))
            made["IMAGE"] = media.PICTURE_TOKENS
        else:
            part, made["AUDIO"] = await asyncio.to_thread(media.sound, asked)
            parts.append(part)
    cached = 0
    if asked.prompt.tokens >= CACHE_MIN_TOKENS:
        cached = cached_tokens(state, asked.model.id, "", request.body, asked.prompt.tokens)
    used = {} if faults.no_usage else answer.usage(asked, outputs, cached, made, faults)
    tail = {"modelVersion": asked.model.id, "responseId": state.new_id("", 22)}
    return outputs, parts, used, tail


async def count_tokens(request: Request, model: Model, body: Any) -> Answer:
    fields = closed(body, ("contents", "generateContentRequest"))
    inner = fields.get("generateContentRequest")
    if inner is None:
        inner = {"contents": fields.get("contents")}
    elif fields.get("contents"):
        raise invalid("Only one of contents and generate_content_request may be set.")
    asked = read(closed(inner, KNOWN, "generate_content_request"), model)
    details = answer.details(asked.reader.counts)
    return json_response({"totalTokens": asked.prompt.tokens, "promptTokensDetails": details})


async def predict(request: Request, model: Model, body: Any) -> Answer:
    """Images by Imagen."""
    fields = closed(body, ("instances", "parameters"))
    instances = items(fields, "instances")
    prompt = instances[0].get("prompt") if instances and isinstance(instances[0], dict) else None
    if not isinstance(prompt, str) or not prompt:
        raise invalid("Image generation failed: no prompt.")
    given = fields.get("parameters", {})
    count = typed(given, "sampleCount", int, "parameters") or 4
    ratio = given.get("aspectRatio", "1:1")
    if not 1 <= count <= 4 or ratio not in media.RATIOS:
        raise invalid(
            "Invalid parameters: sampleCount must be from 1 to 4, and aspectRatio one of the documented ones."
        )
    if request.faults.refusal or request.faults.blocked:
        return json_response({})
    drawn = [await asyncio.to_thread(media.drawn, prompt, ratio, "1K", variant) for variant in range(count)]
    return json_response({"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": each} for each in drawn]})


METHODS: dict[str, Method] = {
    "generateContent": generate_content,
    "streamGenerateContent": stream_generate_content,
    "countTokens": count_tokens,
    "embedContent": embeddings.one,
    "batchEmbedContents": embeddings.several,
    "predict": predict,
}
ROUTES = (*(Route("POST", f"/{version}/models/{{call}}", call) for version in models.VERSIONS), *models.ROUTES)
