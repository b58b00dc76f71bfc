"""The upstream request of an attempt: as the call came, or converted for a provider that speaks another dialect; and
the way back of a whole answer.
"""

import io
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from django.conf import settings as configured

from gateway.billing import usage as metering
from gateway.body import json as json_body
from gateway.body import sse
from gateway.body.form_as_json import form_as_json
from gateway.call import errors
from gateway.call.body import JSON, Body, Upload
from gateway.call.by_size import aside, by_size
from gateway.call.call import Call
from gateway.call.shortened import Shortened
from gateway.objects import kept_responses
from gateway.pipeline.answers import note_error
from gateway.pipeline.attempt import Attempt
from gateway.pipeline.cleaning import cleaned
from gateway.state import state
from providers.dialects.conversion import Ask, Conversion, Converted
from providers.dialects.conversions import RESPONSES, Maker, maker_of
from providers.dialects.failures import DialectError, unsupported
from providers.dialects.neutral import Media, Settings
from providers.dialects.reported import error_in, has_result
from providers.dialects.wire import plain
from providers.media.fetcher import FetchFailed
from providers.snapshot import Target
from providers.upstream.client import UpstreamRequest
from providers.upstream.failures import BrokenAnswer

LONGEST_SHOWN = 200
PASSED_FIELDS = frozenset({"contents", "input", "messages"})
"""Where what is long is only passed on: no answer is written with what is in these."""
STATEFUL = ("background", "conversation", "previous_response_id")
OF_DIALECTS = frozenset({"accept", "anthropic-beta", "anthropic-version", "openai-beta"})
"""What of a caller's headers means something to its own dialect alone."""


async def build_request(attempt: Attempt) -> UpstreamRequest:
    """Return the attempt's request.

    Raises :class:`~gateway.call.errors.InvalidRequest` for what the target can't be asked for, before anything is sent.
    """
    call, target = attempt.call, attempt.target
    maker = maker_of(call.operation.path, call.operation.door, target.account.vendor)
    try:
        if maker is None:
            request = await by_size(call.body.size, attempt.dialect.request, call, target)
            attempt.dropped = request.dropped
            return request
        if call.operation.path == RESPONSES:
            await _read_history(call, target)
        if call.body.upload is not None:
            await _read_form(call, call.body.upload)
        if call.body.short is not None:
            short = await _converted_short(attempt, maker, call.body.short)
            if short is not None:
                return short
        conversion = attempt.conversion = await by_size(call.body.size, maker, _ask(call, call.body.fields))
        return await _converted_request(attempt, conversion)
    except DialectError as error:
        attempt.free = True
        raise refusal(error) from None


async def _read_history(call: Call, target: Target) -> None:
    """Take what an earlier response holds into the call that goes on from it.

    Raises ``DialectError`` for what only a provider that keeps responses can do.
    """
    fields = plain({name: call.body.fields[name] for name in STATEFUL if name in call.body.fields})
    for name in ("background", "conversation"):
        if fields.get(name):
            raise unsupported(name, "is not supported with this model.")
    previous = fields.get("previous_response_id")
    if previous:
        kept = await kept_responses.find(target.account.name, str(previous))
        if kept is None:
            raise DialectError(
                f"Previous response with id {str(previous)[:200]!r} not found.",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        call.history = kept.items


async def _read_form(call: Call, upload: Upload) -> None:
    """Read a form whole, and make it the JSON body that is converted, for this attempt and those that follow it.

    Raises :class:`~gateway.call.errors.TooLarge` for more than one file that is named by its URL may have, and what is
    wrong with the form.
    """
    held, size, most = io.BytesIO(), 0, configured.MEDIA_FILE_BYTES
    async for piece in upload.body(""):
        size += held.write(piece)
        if size > most:
            raise errors.TooLarge(
                f"The form is larger than the {most} bytes that this model's provider is sent at once. The operator "
                "sets the bound with GATEHOUSE_MEDIA_MAX_MB."
            )
    if call.ticket is not None:
        call.ticket.count(2 * size)
    call.body = await aside(_as_json, held.getvalue(), upload.content_type, call.model_asked)
    if call.as_asked is not None:
        call.as_asked = (call.body.copy(), call.as_asked[1])


def _as_json(form: bytes, content_type: str, model: str) -> Body:
    raw = msgspec.json.encode({**form_as_json(form, content_type), "model": model})
    return Body(raw, json_body.decode_fields(raw))


async def keep_response(call: Call, target: Target, response: Mapping[str, Any]) -> None:
    """Keep a response that was converted, unless its caller asked not to."""
    if response.get("store") is not False:
        clean = await cleaned(target.account, msgspec.json.encode(response))
        await kept_responses.keep(call, target.account.name, msgspec.json.decode(clean))


def _ask(call: Call, fields: Mapping[str, msgspec.Raw]) -> Ask:
    return Ask(
        fields=fields,
        model=call.model_asked,
        stream=call.stream,
        history=call.history,
        thinking_in_content=call.options.thinking_in_content,
    )


async def _converted_short(attempt: Attempt, maker: Maker, short: Shortened) -> UpstreamRequest | None:
    """Return the request of a large body, made of its short text: what is long in it is only passed on.

    ``None`` where the whole body is needed: what is left out is where answers repeat it, the conversion reads it or
    leaves it behind, or there is something to refuse, which is said of the whole.
    """
    if not short.marked_names() <= PASSED_FIELDS:
        return None
    try:
        conversion = await by_size(len(short.text), maker, _ask(attempt.call, short.fields))
        request = await _converted_request(attempt, conversion)
    except DialectError:
        return None
    assert isinstance(request.body, bytes)  # conversions write it whole
    request.body = short.restored(request.body)
    if request.body is None:
        return None
    attempt.conversion = conversion
    return request


async def _converted_request(attempt: Attempt, conversion: Conversion) -> UpstreamRequest:
    call, target = attempt.call, attempt.target
    settings = _settings(call, target)
    urls = conversion.urls(settings)
    if urls:
        settings.media = await _fetched(call, urls)
    written = await by_size(call.body.size, conversion.write, settings)
    attempt.dropped = conversion.dropped
    forwarded = [pair for pair in call.forwarded if pair[0] not in OF_DIALECTS]
    headers = attempt.dialect.headers(target.account, forwarded)
    headers["content-type"] = JSON
    base = target.account.url.removesuffix(written.cut) if written.cut else ""
    url = attempt.dialect.url(target, written.path.lstrip("/"), base_url=base)
    return UpstreamRequest("POST", url, headers, written.body)


async def _fetched(call: Call, urls: list[str]) -> dict[str, Media]:
    """Return what a call names by URL and its provider does not fetch. Raises ``DialectError`` that names the field."""
    try:
        found = await state.media.fetch_all(urls)
    except FetchFailed as failure:
        place = next(places(plain(call.body.fields), failure.url), "messages")
        shown = failure.url if len(failure.url) <= LONGEST_SHOWN else f"{failure.url[:LONGEST_SHOWN]}…"
        message = f"The file at {shown!r} can't be fetched: {failure}"
        raise DialectError(message, param=place, code="invalid_image_url") from None
    if call.ticket is not None:
        call.ticket.count(sum(len(media.data) for media in found.values()))
    return found


def places(value: Any, wanted: str, path: str = "") -> Iterator[str]:
    """Yield where a string is in a body, like ``messages[0].content[1].image_url.url``."""
    if value == wanted:
        yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from places(inner, wanted, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from places(inner, wanted, f"{path}[{index}]")


def _settings(call: Call, target: Target) -> Settings:
    vendor, model = target.account.vendor, target.model
    return Settings(
        model=model.upstream_id,
        vendor=vendor.kind,
        usage=vendor.usage,
        max_output=model.max_output_tokens,
        strict=call.options.strict,
        cache=call.options.cache,
        stream_usage=call.asks_usage or call.wants_usage,
        vertex=vendor.vertex,
    )


def refusal(error: DialectError) -> Exception:
    """Return what a call ends with that can't be converted: the caller's fault, or an answer that no one can read."""
    if error.status >= 500:
        return BrokenAnswer(error.message)
    if error.status == 404:
        return errors.ModelNotFound(error.message, param=error.param)
    return errors.InvalidRequest(error.message, param=error.param, code=error.code)


def whole(attempt: Attempt, conversion: Conversion, status: int, body: bytes) -> Converted:
    """Return a whole answer as the client gets it, its usage in the attempt's record.

    An error inside a 200 has the status that it should have had, unless a result is beside it. Raises ``BrokenAnswer``
    for one that is not in the provider's dialect.
    """
    if status >= 300:
        return conversion.failed(status, body)
    fields = sse.fields_of(body)
    reported = error_in(attempt.dialect, body, fields, due=True)
    if reported is not None and not has_result(fields):
        metering.read_fields(attempt.record, fields, attempt.target.account.vendor.usage)
        return conversion.failed(reported.status, body)
    try:
        converted = conversion.answer(body)
    except DialectError as error:
        if error.status >= 500:
            raise BrokenAnswer(error.message) from None
        failure = error.failure()
        return Converted(status=failure.status, body=conversion.refused(failure), failure=failure)
    metering.take(attempt.record, converted.usage, converted.model)
    if reported is not None:
        note_error(attempt, reported)
    return converted
