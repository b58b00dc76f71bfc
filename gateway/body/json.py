"""A JSON body: decoded at its top level only, checked for what would make two readers see two different requests."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.call.errors import InvalidRequest, UnsupportedMedia

MODEL_MISSING = "You must provide a 'model', named 'account/model' like 'openai-main/gpt-4o-mini'."


_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode
_text = msgspec.json.Decoder(str)
_any = msgspec.json.Decoder()
_flags = msgspec.json.Decoder(dict[str, msgspec.Raw])

# How many values a body may have. Reading one with millions would keep every other call waiting for seconds; what
# people send has its megabytes in long strings. Counted roughly, in strings too, and far above what the largest model
# reads.
MAX_CONTAINERS = 300_000
MAX_VALUES = 1_000_000
MAX_FIELDS = 1000
UNCOUNTED_BYTES = 100_000
FEW_COMMAS = 1000
_name = re.compile(rb'[\s,{]*+("(?:[^"\\]++|\\.)*+")\s*+:\s*+')
_gap = re.compile(rb"\s*[,}]")


def check_json_type(content_type: bytes) -> None:
    """Raise :class:`UnsupportedMedia` unless the content type is JSON or absent."""
    if not content_type or is_json(content_type):
        return
    shown = content_type.split(b";", 1)[0].strip().lower().decode("latin1")[:80]
    raise UnsupportedMedia(f"This endpoint takes application/json, not {shown!r}. Set the Content-Type header.")


def is_json(content_type: bytes) -> bool:
    """Whether a content type is JSON."""
    if content_type == b"application/json":
        return True
    media = content_type.split(b";", 1)[0].strip().lower()
    return media == b"application/json" or media.endswith(b"+json")


def decode_fields(body: bytes) -> dict[str, msgspec.Raw]:
    """Return the top-level fields of a JSON object, their values as they came.

    Raises :class:`InvalidRequest` for anything that is not one JSON object in UTF-8 with unique names.
    """
    if len(body) > UNCOUNTED_BYTES:
        _check_count(body)
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise InvalidRequest(
                f"The body is not valid UTF-8 (byte {error.start}).", code="invalid_encoding"
            ) from None
    try:
        fields = _fields.decode(body)
    except msgspec.ValidationError:
        raise InvalidRequest("The body must be a JSON object.", code="invalid_json") from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(
            f"We could not parse the JSON body of your request: {error}.", code="invalid_json"
        ) from None
    except RecursionError:
        raise InvalidRequest("The JSON body is nested too deeply.", code="invalid_json") from None
    if len(fields) > MAX_FIELDS:
        raise InvalidRequest(f"The body has more than {MAX_FIELDS} fields.", code="too_many_values")
    # A body without whitespace and without duplicate names has exactly the length of what it encodes to.
    spaces = len(body) - len(_encode(fields))
    if spaces and not (spaces == 2 * len(fields) - 1 and body == _spaced(fields)):
        _refuse_duplicate_names(body, fields)
    return fields


def _check_count(body: bytes) -> None:
    position = 0
    for _ in range(FEW_COMMAS):  # to go from one to the next is quicker than to count, where a string fills the body
        position = body.find(b",", position) + 1
        if not position:
            return
    commas = body.count(b",")
    # All containers but those that only nest, whose depth is bounded, come after a comma.
    if commas <= MAX_CONTAINERS:
        return
    if commas > MAX_VALUES or body.count(b"{") + body.count(b"[") > MAX_CONTAINERS:
        raise InvalidRequest("The JSON body has too many values. Send fewer objects and lists.", code="too_many_values")


def _spaced(fields: dict[str, msgspec.Raw]) -> bytes:
    """Return ``fields`` as Python's ``json.dumps`` and many others write them: a space after each comma and colon."""
    return b"{" + b", ".join([b'"%b": %b' % (name.encode(), value) for name, value in fields.items()]) + b"}"


def _refuse_duplicate_names(body: bytes, fields: dict[str, msgspec.Raw]) -> None:
    """Go from name to name past the values that are known: where a value is another one, its name comes again."""
    missing = dict(fields)
    position = 0
    while missing:
        found = _name.match(body, position)
        if found is None:  # it was decoded before, so there is a name
            raise InvalidRequest("We could not parse the JSON body of your request.", code="invalid_json")
        name = _text.decode(found[1])
        value = bytes(missing.pop(name, b""))
        position = found.end() + len(value)
        if not value or not body.startswith(value, found.end()) or not _gap.match(body, position):
            raise _duplicate(name)
    again = _name.match(body, position)
    if again is not None:
        raise _duplicate(_text.decode(again[1]))


def _duplicate(name: str) -> InvalidRequest:
    return InvalidRequest(f"The field {name[:80]!r} is given twice.", param=name[:80], code="duplicate_field")


def decode_nested(raw: bytes, name: str) -> Any:
    """Return the whole value of the field ``name``.

    Raises :class:`InvalidRequest` for what is not valid JSON, and for a name that is given twice in one object, however
    deep: another reader could see the other value.
    """
    try:
        value = _any.decode(raw)
    except (ValueError, RecursionError):
        raise InvalidRequest(f"We could not parse {name[:80]!r}.", param=name[:80], code="invalid_json") from None
    refuse_nested_duplicates(raw, value)
    return value


def refuse_nested_duplicates(raw: bytes, value: Any) -> None:
    """Raise :class:`InvalidRequest` when JSON, whose decoded ``value`` is given, names a field twice in one object."""
    if _encode(value) == raw:  # as most libraries write it: what was decoded has no name twice
        return
    try:
        json.loads(raw, object_pairs_hook=_check_unique, parse_int=_nothing, parse_float=_nothing)
    except RecursionError:
        raise InvalidRequest("The JSON body is nested too deeply.", code="invalid_json") from None


def _check_unique(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        raise _duplicate(Counter(name for name, _ in pairs).most_common(1)[0][0])


def _nothing(digits: str) -> None:
    return None


def is_given(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    """Whether a body has the field, and more in it than ``null`` or an empty string."""
    return bytes(fields.get(name, b"null")) not in (b"null", b'""')


def text_field(fields: dict[str, msgspec.Raw], name: str, missing: str) -> str:
    """Return a required text field; raise :class:`InvalidRequest` with ``missing`` when it is not there."""
    raw = fields.get(name)
    if raw is None or bytes(raw) == b"null":
        raise InvalidRequest(missing, param=name, code="missing_required_parameter")
    try:
        value = _text.decode(raw)
    except msgspec.DecodeError:
        raise InvalidRequest(f"'{name}' must be a string.", param=name, code="invalid_type") from None
    if not value.strip():
        raise InvalidRequest(missing, param=name, code="missing_required_parameter")
    return value


def text_of(raw: msgspec.Raw | None) -> str:
    """Return a field as a string: a string's own characters, a number's digits; empty for anything else."""
    if raw is None:
        return ""
    try:
        value = msgspec.json.decode(raw, type=str | int | float | None)
    except (ValueError, RecursionError):
        return ""
    return "" if value is None else str(value)


def flag(fields: Mapping[str, msgspec.Raw], name: str) -> bool:
    """Return a boolean field, false when it is missing or null; raise when it is anything else.

    Some upstreams take ``1`` or ``"true"`` for it: we must not see another call than they do.
    """
    raw = bytes(fields.get(name, b"null"))
    if raw not in (b"true", b"false", b"null"):
        raise InvalidRequest(f"'{name}' must be true or false.", param=name, code="invalid_type")
    return raw == b"true"


def is_true(raw: msgspec.Raw | None) -> bool:
    """Whether a field is the JSON value ``true``."""
    return raw is not None and bytes(raw) == b"true"


def wants_usage(options: msgspec.Raw | None) -> bool:
    """Whether ``stream_options`` asks for the usage chunk; raise when it is neither an object nor null."""
    if options is None or bytes(options) == b"null":
        return False
    try:
        return is_true(_flags.decode(options).get("include_usage"))
    except msgspec.DecodeError:
        raise InvalidRequest(
            "'stream_options' must be an object.", param="stream_options", code="invalid_type"
        ) from None
