"""What an error inside an answer of status 200 is, whatever server wrote it: one place for all doors and dialects.

Servers write ``{"error": "text"}`` (Ollama, TGI), ``{"object": "error"}`` (vLLM), ``{"type": "error"}`` (Anthropic),
``{"error": {...}}`` beside ``choices`` (OpenRouter), ``[{"error": {...}}]`` (Google), ``{"detail": ...}`` (FastAPI),
``{"errors": [...], "success": false}`` (Cloudflare), ``{"choices": [{"error": {...}}]}`` or a lone finish reason
``error`` (OpenRouter), ``{"base_resp": {"status_code": 1002}}`` (MiniMax), or plain text in an event that is called
``error``.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from accounts.numbers import whole_number
from providers.dialects.base import Dialect, Fields, ReportedError
from providers.dialects.failures import buried, unwrapped

# Objects whose own "error" is a field like any other: a job or response that failed is a good answer.
NOT_BESIDE = ("id", "data", "output", "choices")
# Fields of such an object, which no other result has.
OWN = frozenset({"id", "status"})
# What an answer has that the caller can use although an error is beside it. An id alone is not a result.
RESULTS = frozenset({"data", "output", "choices", "candidates", "content"})
# An answer that says one of these, and nothing but the words of errors, has no result.
SAYING = frozenset({"errors", "detail", "message"})
WORDS = SAYING | {"code", "error_code", "instance", "messages", "object", "param", "path", "request_id", "status"}
WORDS |= {"status_code", "timestamp", "title", "type"}
# An error's type or code, and the status that OpenAI gives it.
STATUSES = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "content_filter": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "insufficient_quota": 429,
    "permission_error": 403,
    "permission_denied": 403,
    "not_found_error": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "tokens": 429,
    "requests": 429,
    "server_error": 500,
    "internal_server_error": 500,
    "api_error": 500,
    "overloaded_error": 503,
    "service_unavailable": 503,
    "timeout": 504,
}
# What types and codes that are not among them have in common.
LIKE = {
    "rate_limit": 429,
    "insufficient_quota": 429,
    "invalid_request": 400,
    "authentication": 401,
    "permission": 403,
    "not_found": 404,
    "overloaded": 503,
    "timeout": 504,
    "context_length": 400,
    "content_filter": 400,
}
OTHER_STATUS = 502
MESSAGE_CHARACTERS = 1000
EMPTY = (b"null", b'""', b"[]", b"{}", b"false", b"")
_any = msgspec.json.Decoder()
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_objects = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_encode = msgspec.json.Encoder().encode


def error_in(
    dialect: Dialect, data: bytes, fields: Fields, event: bytes = b"", *, due: bool = False
) -> ReportedError | None:
    """Return the error that an answer, or the data of an event of the name ``event``, reports; ``None`` for any other.

    ``fields`` are its top-level fields, none where it is not an object. ``due`` says that a result is due: an answer
    that only has words of errors is one then, and any field ``error`` is, but for that of a job or response.
    """
    if not fields:
        fields = _first_of(data)
    if not fields:
        return ReportedError(OTHER_STATUS, _text(data)) if event == b"error" else None
    found = dialect.error(fields, event)
    if found is None and due and (has_only_words(fields) or _refuses(fields)):
        return read_error(decoded(_encode(fields)))
    said = bytes(fields.get("error", b"null"))
    if found is None and due and said not in EMPTY and not fields.keys() >= OWN:
        return read_error(decoded(said), fields)
    return found


def may_report(fields: Fields) -> bool:
    """Whether a whole answer in which no error is named may be one."""
    return fields.keys() <= WORDS or "success" in fields or "base_resp" in fields


def has_result(fields: Fields) -> bool:
    """Whether an answer that reports an error has something for the caller, too: empty choices are nothing."""
    given = {name for name in RESULTS if bytes(fields.get(name, b"")).replace(b" ", b"") not in EMPTY}
    if given == {"choices"}:
        choices = decoded(bytes(fields["choices"]))
        return not isinstance(choices, list) or any(map(_says, choices))
    return bool(given)


def _says(choice: Any) -> bool:
    """Whether a choice of a whole answer or of a stream has a text, a call or anything else but its role."""
    if not isinstance(choice, dict):
        return False
    said = choice.get("message") or choice.get("delta")
    return bool(choice.get("text")) or (
        isinstance(said, dict) and any(value for name, value in said.items() if name != "role")
    )


def _refuses(fields: Fields) -> bool:
    """Whether an answer without a result says that it was not successful."""
    return bytes(fields.get("success", b"")) == b"false" and not has_result(fields)


def has_only_words(fields: Fields) -> bool:
    """Whether an answer says what went wrong, and nothing else."""
    if fields.keys().isdisjoint(SAYING):
        return False
    given = {name for name, raw in fields.items() if bytes(raw) not in EMPTY}
    if "message" in given and not bytes(fields["message"]).startswith(b'"'):
        return False  # a message of a chat
    return given <= WORDS and not given.isdisjoint(SAYING)


def reported(fields: Fields, event: bytes = b"") -> ReportedError | None:
    """Return the error that an answer or event says it is, or has in a field of that name."""
    said = bytes(fields.get("error", b"null"))
    marked = event == b"error" or b'"error"' in (bytes(fields.get("object", b"")), bytes(fields.get("type", b"")))
    if said in EMPTY:
        return read_error(decoded(_encode(fields))) if marked else _buried(fields)
    beside = "choices" in fields or not any(name in fields for name in NOT_BESIDE)
    return read_error(decoded(said), fields) if marked or beside else None


def _buried(fields: Fields) -> ReportedError | None:
    """Return the error that an answer or event has in a choice, or in ``base_resp``."""
    if "base_resp" not in fields and b'"error"' not in bytes(fields.get("choices", b"")):
        return None
    found = buried({name: decoded(bytes(fields[name])) for name in ("base_resp", "choices") if name in fields})
    return read_error(found) if found is not None else None


def read_error(error: Any, fields: Fields | None = None) -> ReportedError:
    """Return what an error object, or an error's bare string, says; ``fields`` are what it is among."""
    beside = [decoded(bytes(fields[name])) for name in ("status", "code") if fields and name in fields]
    error = unwrapped(error)
    if not isinstance(error, dict):
        return ReportedError(status_of(beside), str(error)[:MESSAGE_CHARACTERS])
    nested = error.get("error")
    inner = nested if isinstance(nested, dict) else error
    words = [inner.get(name) for name in ("status", "status_code", "code", "type")]
    code = str(inner.get("code") or inner.get("type") or "")[:100]
    return ReportedError(status_of([*words, *beside]), _message_of(inner)[:MESSAGE_CHARACTERS], code)


def status_of(words: Iterable[Any]) -> int:
    """Return the status that an error's numbers and words mean, the first that is one."""
    words = list(words)
    for word in words:
        if isinstance(word, int) and 400 <= word <= 599:
            return word
        if isinstance(word, str) and (number := whole_number(word, 599)) is not None and number >= 400:
            return number
        if isinstance(word, str) and word.lower() in STATUSES:
            return STATUSES[word.lower()]
    said = " ".join(word.lower() for word in words if isinstance(word, str))
    return next((status for kind, status in LIKE.items() if kind in said), OTHER_STATUS)


def decoded(raw: bytes) -> Any:
    """Return a JSON value, or its text where it is not valid."""
    try:
        return _any.decode(raw)
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace")


def object_of(raw: bytes | msgspec.Raw | None) -> Fields:
    """Return the fields of an object, none when it is not one."""
    try:
        return _object.decode(raw) if raw is not None else {}
    except (ValueError, RecursionError):
        return {}


def _message_of(error: dict[str, Any]) -> str:
    for name in ("message", "error", "detail", "title", "msg"):
        if error.get(name):
            return error[name] if isinstance(error[name], str) else _text(_encode(error[name]))
    return _text(_encode(error))


def _first_of(data: bytes) -> Fields:
    """Return the first object of an array; none for anything else."""
    if data.lstrip()[:1] != b"[":
        return {}
    try:
        return next(iter(_objects.decode(data)), {})
    except (ValueError, RecursionError):
        return {}


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")[:MESSAGE_CHARACTERS]
