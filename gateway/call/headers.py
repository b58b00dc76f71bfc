"""The request headers that Gatehouse reads: the contract's ``x-tfy-*`` options, and those that go on to the
upstream.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from django.conf import settings

from accounts.numbers import whole_number
from gateway.call.errors import InvalidRequest
from providers.dialects.neutral import Cache

METADATA_VALUE_CHARACTERS = 128
METADATA_ENTRIES = 64
MAX_RETRIES = 5
MAX_TIMEOUT_MS = 86_400_000
RETRY_STATUSES = frozenset({429, 500, 502, 503, 504})
_text_map = msgspec.json.Decoder(dict[str, str])
_retry = msgspec.json.Decoder(dict[str, msgspec.Raw])
# What of a client's request goes on to the upstream. Credentials, cookies and hop-by-hop headers never do.
FORWARDED = frozenset(
    [
        *b"accept user-agent openai-beta x-client-request-id traceparent tracestate".split(),
        *(name.encode("latin1") for name in settings.FORWARD_HEADERS),
    ]
)


@dataclass(slots=True)
class Options:
    """What the ``x-tfy-*`` headers ask for. Timeouts are in seconds; ``log_bodies`` is ``None`` where none is named.

    ``strict`` refuses what a model does not take instead of dropping it; ``cache`` marks the prompt for the vendor's
    cache; ``thinking_in_content`` shows thinking blocks in a chat message's content.
    """

    provider_name: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    request_timeout: float | None = None
    first_token_timeout: float | None = None
    retries: int = 0
    retry_statuses: frozenset[int] = RETRY_STATUSES
    log_bodies: bool | None = None
    strict: bool = False
    cache: Cache | None = None
    thinking_in_content: bool = False


def read_options(headers: Mapping[bytes, bytes]) -> Options:
    """Read the contract's request headers; raise :class:`InvalidRequest` that names a bad one."""
    options = Options()
    if b"x-tfy-provider-name" in headers:
        options.provider_name = headers[b"x-tfy-provider-name"].decode("latin1").strip()
    if b"x-tfy-metadata" in headers:
        options.metadata = _metadata(headers[b"x-tfy-metadata"])
    if b"x-tfy-request-timeout" in headers:
        options.request_timeout = _milliseconds("x-tfy-request-timeout", headers[b"x-tfy-request-timeout"])
    if b"x-tfy-ttft-timeout-ms" in headers:
        options.first_token_timeout = _milliseconds("x-tfy-ttft-timeout-ms", headers[b"x-tfy-ttft-timeout-ms"])
    if b"x-tfy-retry-config" in headers:
        options.retries, options.retry_statuses = _retries(headers[b"x-tfy-retry-config"])
    if b"x-tfy-logging-config" in headers:
        options.log_bodies = _logging(headers[b"x-tfy-logging-config"])
    if b"x-gatehouse-strict" in headers:
        options.strict = _flag("x-gatehouse-strict", headers[b"x-gatehouse-strict"])
    if b"x-tfy-cache-control" in headers:
        options.cache = _cache(headers[b"x-tfy-cache-control"])
    if b"x-tfy-strict-openai" in headers:
        options.thinking_in_content = not _flag("x-tfy-strict-openai", headers[b"x-tfy-strict-openai"])
    return options


def _flag(name: str, text: bytes) -> bool:
    given = text.strip().lower()
    if given not in (b"true", b"false"):
        raise InvalidRequest(f"{name} must be true or false.", param=name)
    return given == b"true"


def _cache(text: bytes) -> Cache | None:
    """Read ``true``, a time to live (``5m``, ``1h``), or Anthropic's own mark; ``false`` marks nothing."""
    given = text.strip()
    if given.lower() in (b"true", b"false"):
        return Cache() if given.lower() == b"true" else None
    try:
        mark = _text_map.decode(given) if given[:1] == b"{" else {"type": "ephemeral", "ttl": given.decode("latin1")}
    except (ValueError, RecursionError):
        mark = {}
    if mark.get("type") != "ephemeral" or mark.get("ttl", "") not in ("", "5m", "1h"):
        raise InvalidRequest(
            'x-tfy-cache-control must be true, 5m, 1h, or like {"type": "ephemeral", "ttl": "1h"}.',
            param="x-tfy-cache-control",
        )
    return Cache(mark.get("ttl", ""))


def _metadata(text: bytes) -> dict[str, str]:
    try:
        metadata = _text_map.decode(text)
    except (ValueError, RecursionError):
        raise InvalidRequest(
            'x-tfy-metadata must be a JSON object of strings, for example {"project": "search"}.',
            param="x-tfy-metadata",
        ) from None
    if len(metadata) > METADATA_ENTRIES:
        raise InvalidRequest(f"x-tfy-metadata has more than {METADATA_ENTRIES} entries.", param="x-tfy-metadata")
    for key, value in metadata.items():
        if len(value) > METADATA_VALUE_CHARACTERS or len(key) > METADATA_VALUE_CHARACTERS:
            raise InvalidRequest(
                f"x-tfy-metadata: {key[:40]!r} is longer than {METADATA_VALUE_CHARACTERS} characters.",
                param="x-tfy-metadata",
            )
    return metadata


def _milliseconds(name: str, text: bytes) -> float:
    number = whole_number(text.strip(), MAX_TIMEOUT_MS)
    if not number:
        raise InvalidRequest(f"{name} must be a whole number of milliseconds, at most {MAX_TIMEOUT_MS}.", param=name)
    return number / 1000


def _logging(text: bytes) -> bool | None:
    """Read ``{"enabled": true}``; ``None`` where it does not say."""
    try:
        enabled = _retry.decode(text).get("enabled")
        return None if enabled is None else msgspec.json.decode(enabled, type=bool)
    except (ValueError, RecursionError):
        raise InvalidRequest(
            'x-tfy-logging-config must be like {"enabled": true}.', param="x-tfy-logging-config"
        ) from None


def _retries(text: bytes) -> tuple[int, frozenset[int]]:
    """Read ``{"attempts": 3, "onStatusCodes": [429, 500]}``; both spellings of the codes, as numbers or strings."""
    try:
        given = _retry.decode(text)
        attempts = msgspec.json.decode(given.get("attempts", b"2"), type=int)
        codes = given.get("onStatusCodes", given.get("on_status_codes"))
        listed = msgspec.json.decode(codes, type=list[int | str]) if codes is not None else sorted(RETRY_STATUSES)
        statuses = frozenset(int(code) for code in listed)
    except (ValueError, RecursionError):
        raise InvalidRequest(
            'x-tfy-retry-config must be like {"attempts": 3, "onStatusCodes": [429, 500, 503]}.',
            param="x-tfy-retry-config",
        ) from None
    if not 0 <= attempts <= MAX_RETRIES or any(not 400 <= code <= 599 for code in statuses):
        raise InvalidRequest(
            f"x-tfy-retry-config: attempts go from 0 to {MAX_RETRIES}, status codes from 400 to 599.",
            param="x-tfy-retry-config",
        )
    return attempts, statuses
