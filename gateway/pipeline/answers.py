"""A whole JSON answer: metered, its errors read, and returned with the provider's name added, otherwise byte for
byte.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from gateway.billing import usage as metering
from gateway.body import sse
from gateway.call.by_size import by_size
from gateway.call.operation import HEARD
from gateway.call.shortened import shortened
from gateway.pipeline.attempt import Attempt
from gateway.pipeline.cleaning import cleaned
from gateway.pipeline.kinds import is_due, may_stream, starts_events
from gateway.pipeline.records import MESSAGE_CHARACTERS
from gateway.pipeline.replies import HTML, NO_BODY, WEB_PAGE, is_json, media_type
from providers.dialects.base import ReportedError
from providers.dialects.conversion import JSON, Converted
from providers.dialects.openai import failed_response
from providers.dialects.reported import EMPTY, error_in, has_result, may_report
from providers.redaction import TURN_BYTES, redactor
from providers.upstream.failures import BrokenAnswer
from providers.upstream.pieces import LARGE_BYTES, Pieces

UPSTREAM_ERROR = "upstream_error"
SHOWN = frozenset({"null", "{}", "[]"})
NOT_JSON = "The upstream's answer is not valid JSON."
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class ReadAnswer:
    """What of an answer goes to the client; ``fields`` are its top-level fields, none when it is not a JSON object.
    Those of a large one lack its long base64.

    ``outcome`` is the status that decides about another attempt, where it is not ``status``; ``provider`` is what is
    still to be added at the end of the object.
    """

    status: int
    body: bytes | Pieces
    fields: Mapping[str, msgspec.Raw]
    outcome: int = 0
    provider: bytes = b""


async def read_answer(attempt: Attempt, status: int, body: bytes) -> ReadAnswer:
    """Read an answer into the attempt's record. Raises ``BrokenAnswer`` for a success that no client could use.

    An error inside a 200 has the status that it should have had, unless a result is beside it.
    """
    if len(body) > TURN_BYTES:
        read = await by_size(len(body), _read, attempt, status, body)
        return await _without_secrets(attempt, read)
    # What is small, as most answers are, needs neither a thread nor turns for others.
    return _cleaned_at_once(attempt, _read(attempt, status, body))


def _read(attempt: Attempt, status: int, body: bytes) -> ReadAnswer:
    """Do what :func:`read_answer` does, except for the secrets."""
    text, fields = _short_fields(body) if len(body) > LARGE_BYTES else (body, None)
    if fields is None:
        fields = _read_fields(attempt, status, body)
    if status >= 300:
        refusal = error_in(attempt.spoken, body, fields, due=True) or ReportedError(
            status, body[:MESSAGE_CHARACTERS].decode("utf-8", "replace")
        )
        note_error(attempt, refusal)
        if attempt.call.operation.door:
            body = attempt.dialect.error_body(attempt.target.account, status, body)
        return ReadAnswer(status, body, fields)
    if fields:
        metering.read_fields(attempt.record, fields, attempt.target.account.vendor.usage)
    outcome = status
    if (text.find(b"rror") >= 0 or may_report(fields)) and (error := _error_in(attempt, text, fields)) is not None:
        note_error(attempt, error)
        if not has_result(fields):
            return ReadAnswer(error.status, body, fields)
        if bytes(fields.get("error", b"null")) in EMPTY:  # the error is in a choice: the answer is not kept
            outcome = error.status
    if not fields and status not in NO_BODY:
        _check_something(attempt, body)
    failed = _failed_response(attempt, fields)
    if failed is not None:
        note_error(attempt, failed)
    outcome = failed.status if failed is not None else outcome
    return ReadAnswer(status, body, fields, outcome, _provider(attempt, body, fields))


def _short_fields(body: bytes) -> tuple[bytes, Mapping[str, msgspec.Raw] | None]:
    """Return a large answer and its fields without its long base64; the body and ``None`` where that does not help."""
    short = shortened(body)
    try:
        return (body, None) if short is None else (short.text, _fields.decode(short.text))
    except (ValueError, RecursionError):
        return body, None


def _cleaned_at_once(attempt: Attempt, read: ReadAnswer) -> ReadAnswer:
    """Return ``read``, whose body is small, without the account's secrets."""
    whole = bytes(read.body)
    if read.provider:
        whole = _with_provider(whole, read.provider)
    passed = redactor(attempt.target.account.secrets).whole(whole)
    if read.fields and passed != whole:
        read.fields = sse.fields_of(passed)
    read.body = passed
    return read


async def _without_secrets(attempt: Attempt, read: ReadAnswer) -> ReadAnswer:
    """Return ``read`` without the account's secrets: what is kept of an answer has none either."""
    body = bytes(read.body)
    passed = await cleaned(attempt.target.account, body)
    if read.fields and passed != body:
        read.fields = await by_size(len(passed), sse.fields_of, passed)
    read.body = passed
    if read.provider and passed.rfind(b"}") >= 0:  # it was there, unless a secret ended so
        read.body = (_in_pieces if len(passed) > LARGE_BYTES else _with_provider)(passed, read.provider)
    return read


def without_events(attempt: Attempt, body: bytes) -> bytes:
    """Return a body to be read whole, without a byte order mark. Where it is events, which no one asked for, it is that
    of the error that they report. Raises ``BrokenAnswer`` for others, when they are metered.
    """
    body = body.removeprefix(sse.BOM)
    if may_stream(attempt.call) or not starts_events(body):
        return body
    for event in sse.Events(body):
        if error_in(attempt.dialect, event.data, event.fields, event.name, due=True) is not None:
            return event.data
        if b'"usage' in event.raw:
            metering.read_fields(attempt.record, event.fields, attempt.target.account.vendor.usage)
    raise BrokenAnswer("The upstream answered with a stream of events, although no stream was asked for.")


def _error_in(attempt: Attempt, body: bytes, fields: Mapping[str, msgspec.Raw]) -> ReportedError | None:
    return error_in(attempt.spoken, body, fields, due=is_due(attempt.call))


def _failed_response(attempt: Attempt, fields: Mapping[str, msgspec.Raw]) -> ReportedError | None:
    """Return the error of a response that failed as it was created; one that is only looked at is a good answer."""
    creates = attempt.call.method == "POST" and attempt.call.operation.path == "responses"
    return failed_response(fields) if creates else None


async def read_converted(attempt: Attempt, converted: Converted) -> ReadAnswer:
    """Read an answer that was converted, whose usage is in the record already."""
    if len(converted.body) <= TURN_BYTES:
        return _cleaned_at_once(attempt, _read_converted(attempt, converted))
    read = await by_size(len(converted.body), _read_converted, attempt, converted)
    return await _without_secrets(attempt, read)


def _read_converted(attempt: Attempt, converted: Converted) -> ReadAnswer:
    if converted.failure is not None:
        note_error(attempt, ReportedError(converted.status, converted.failure.message))
    fields: Mapping[str, msgspec.Raw] = {}
    provider = b""
    if converted.failure is None and converted.media_type == JSON:
        fields = _fields.decode(converted.body)
        provider = _provider(attempt, converted.body, fields)
    return ReadAnswer(converted.status, converted.body, fields, provider=provider)


def _read_fields(attempt: Attempt, status: int, body: bytes) -> Mapping[str, msgspec.Raw]:
    try:
        return _fields.decode(body)
    except (ValueError, RecursionError):
        pass
    fields = sse.fields_of(body)  # what clients' parsers take, although it is not quite JSON
    if fields or status >= 300 or status in NO_BODY:
        return fields
    due = is_due(attempt.call)
    words = body.strip()
    if not words and due:
        raise BrokenAnswer("The upstream answered with a success and an empty body.")
    if words and attempt.answer is not None and not sse.is_json(body):
        if media_type(attempt.answer) == HTML:
            raise BrokenAnswer(WEB_PAGE)
        if is_json(attempt.answer):
            raise BrokenAnswer(NOT_JSON)
    return fields


def _check_something(attempt: Attempt, body: bytes) -> None:
    """Raise ``BrokenAnswer`` for JSON without a field where a result is due. Only a transcript may be any text."""
    call = attempt.call
    if is_due(call) and call.operation.audio != HEARD and sse.is_json(body):
        raise BrokenAnswer(f"The upstream answered with a success and nothing but {_shown(body)}.")


def _shown(body: bytes) -> str:
    text = body.decode("utf-8", "replace").strip()
    return text if text in SHOWN else "JSON that is not an object"


def note_error(attempt: Attempt, error: ReportedError) -> None:
    """Note an error that the upstream reported in the attempt's record."""
    record = attempt.record
    record.error_class = UPSTREAM_ERROR
    record.error_message = redactor(attempt.target.account.secrets).beginning(error.message, MESSAGE_CHARACTERS)


def _provider(attempt: Attempt, body: bytes, fields: Mapping[str, msgspec.Raw]) -> bytes:
    """Return ``"provider"`` as an answer gets it at its end; nothing for one that is not an object, or names one."""
    if not fields and body.strip() != b"{}":
        return b""
    if "provider" in fields or attempt.spoken.name != "openai":
        return b""
    return (b"," if fields else b"") + b'"provider":' + _encode(attempt.target.account.provider)


def _with_provider(body: bytes, provider: bytes) -> bytes:
    end = body.rindex(b"}")
    return b"".join((body[:end], provider, body[end:]))


def _in_pieces(body: bytes, provider: bytes) -> Pieces:
    """Return what :func:`_with_provider` does without a copy of the body."""
    view, end = memoryview(body), body.rindex(b"}")
    return Pieces((view[:end], provider, view[end:]))
