"""OpenAI's own wire dialect: the body goes on as it came, with the model's upstream name. Pure: no Django, no client."""

from collections.abc import Iterable, Mapping

import msgspec
from multidict import CIMultiDict

from providers.snapshot import AccountSnapshot, Target

STREAM_OPTIONS = msgspec.Raw(b'{"include_usage":true}')
USAGE_OPERATIONS = frozenset({"chat/completions", "completions"})
_encode = msgspec.json.Encoder().encode
_options = msgspec.json.Decoder(dict[str, msgspec.Raw])


def encode_body(
    target: Target, path: str, fields: Mapping[str, msgspec.Raw], *, stream: bool, wants_usage: bool
) -> bytes:
    """Return the upstream body: ``fields`` untouched but for ``model`` and, in a stream, the request for usage.

    ``fields`` is the client's body, decoded at its top level only, so every nested byte is sent as it came.
    """
    changed = dict(fields)
    changed["model"] = msgspec.Raw(_encode(target.model.upstream_id))
    if stream and not wants_usage and path in USAGE_OPERATIONS and target.account.vendor.stream_usage:
        changed["stream_options"] = _with_usage(fields.get("stream_options"))
    return _encode(changed)


def headers(account: AccountSnapshot, forwarded: Iterable[tuple[str, str]] = ()) -> CIMultiDict[str]:
    """Return the upstream headers: what is forwarded from the client, and over it what the account sets."""
    made: CIMultiDict[str] = CIMultiDict(forwarded)
    made["accept-encoding"] = "identity"
    for name, value in account.headers:
        made[name] = value
    return made


def url(target: Target, path: str, query: str = "", base_url: str = "") -> str:
    """Return the upstream address of an operation's path."""
    base = f"{base_url or target.account.url}/{path}"
    return f"{base}?{query}" if query else base


def _with_usage(options: msgspec.Raw | None) -> msgspec.Raw:
    if options is None or bytes(options) == b"null":
        return STREAM_OPTIONS
    try:
        given = _options.decode(options)
    except msgspec.DecodeError:
        return options  # not an object: the upstream says so better than we can
    given["include_usage"] = msgspec.Raw(b"true")
    return msgspec.Raw(_encode(given))
