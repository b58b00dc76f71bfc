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
from gateway.pipeline.attempt import Attempt
from gateway.pipeline.cleaning import cleaned
from gateway.pipeline.kinds import is_due, may_stream, starts_events
from gateway.pipeline.records import MESSAGE_CHARACTERS
from gateway.pipeline.replies import NO_BODY, is_json
from providers.dialects.base import ReportedError
from providers.dialects.conversion import JSON, Converted
from providers.dialects.openai import failed_response
from providers.dialects.reported import WORDS, error_in, has_result
from providers.redaction import TURN_BYTES, redactor
from providers.upstream.failures import BrokenAnswer

UPSTREAM_ERROR = "upstream_error"
SHOWN = frozenset({"null", "{}", "[]"})
NOT_JSON = "The upstream's answer is not valid JSON."
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class ReadAnswer:
    """What of an answer goes to the client; ``fields`` are its top-level fields, none when it is not a JSON object.

    ``outcome`` is the status that decides about another attempt, where it is not ``status``.
    """

    status: int
    body: bytes
    fields: Mapping[str, msgspec.Raw]
    outcome: int = 0


async def read_answer(attempt: Attempt, status: int, body: bytes) -> ReadAnswer:
    """Read an answer into the attempt's record. Raises ``BrokenAnswer`` for a success that no client could use.

    An error inside a 200 has the status that it should have had, unless a result is beside it.
    """
    if len(body) > TURN_BYTES:
        return await _without_secrets(attempt, await by_size(len(body), _read, attempt, status, body))
    # What is small, as most answers are, needs neither a thread nor turns for others.
    read = _read(attempt, status, body)
    passed = redactor(attempt.target.account.secrets).whole(read.body)
    if read.fields and passed != read.body:
        read.fields = sse.fields_of(passed)
    read.body = passed
    return read


def _read(attempt: Attempt, status: int, body: bytes) -> ReadAnswer:
    """Do what :func:`read_answer` does, except for the secrets."""
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
    if (body.find(b"rror") >= 0 or fields.keys() <= WORDS) and (error := _error_in(attempt, body, fields)) is not None:
        note_error(attempt, error)
        if not has_result(fields):
            return ReadAnswer(error.status, body, fields)
    if not fields and status not in NO_BODY:
        _check_something(attempt, body)
    failed = _failed_response(attempt, fields)
    if failed is not None:
        note_error(attempt, failed)
    outcome = failed.status if failed is not None else status
    return ReadAnswer(status, _with_provider(attempt, body, fields), fields, outcome)


async def _without_secrets(attempt: Attempt, read: ReadAnswer) -> ReadAnswer:
    """Return ``read`` without the account's secrets: what is kept of an answer has none either."""
    passed = await cleaned(attempt.target.account, read.body)
    if read.fields and passed != read.body:
        read.fields = await by_size(len(passed), sse.fields_of, passed)
    read.body = passed
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
    read = await by_size(len(converted.body), _read_converted, attempt, converted)
    return await _without_secrets(attempt, read)


def _read_converted(attempt: Attempt, converted: Converted) -> ReadAnswer:
    if converted.failure is not None:
        note_error(attempt, ReportedError(converted.status, converted.failure.message))
    body = converted.body
    fields: Mapping[str, msgspec.Raw] = {}
    if converted.failure is None and converted.media_type == JSON:
        fields = _fields.decode(body)
        body = _with_provider(attempt, body, fields)
    return ReadAnswer(converted.status, body, fields)


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
    if words and not sse.is_json(body) and attempt.answer is not None and is_json(attempt.answer):
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


def _with_provider(attempt: Attempt, body: bytes, fields: Mapping[str, msgspec.Raw]) -> bytes:
    """Return the answer with ``"provider"`` added at its end; one that is not an object, or names one itself, as it
    came.
    """
    if not fields and body.strip() != b"{}":
        return body
    if "provider" in fields or attempt.spoken.name != "openai":
        return body
    end = body.rindex(b"}")
    comma = b"," if fields else b""
    return b"".join((body[:end], comma, b'"provider":', _encode(attempt.target.account.provider), body[end:]))
