"""The headers and kinds of replies: what of an upstream's answer goes on to the client."""

from functools import lru_cache
from time import perf_counter_ns

import msgspec

from gateway.call import errors
from gateway.pipeline.attempt import Attempt
from gateway.policies.limits import APPLIED, by_routing
from providers.redaction import Redactor, redactor
from providers.upstream.client import UpstreamAnswer
from providers.upstream.failures import BrokenAnswer

UPSTREAM_ID_HEADER = "x-request-id"
ANTHROPIC_ID_HEADER = "request-id"
DROPPED_HEADER = b"x-gatehouse-dropped"
# What of an upstream's answer goes on to the client, by names in lower case.
PASSED_HEADERS = frozenset(
    {b"content-type", b"content-disposition", b"retry-after", b"retry-after-ms", b"cache-control", b"x-should-retry"}
)
FILE_HEADERS = frozenset({b"accept-ranges", b"content-range", b"content-length", b"etag", b"last-modified"})
LIMIT_PREFIXES = (b"x-ratelimit-", b"anthropic-ratelimit-")
PASSED_PREFIXES = (*LIMIT_PREFIXES, b"openai-processing", b"openai-version", b"openai-model")
EVENT_STREAM = "text/event-stream"
WEB_PAGE = "The upstream answered with a web page. Check the account's base URL."
HTML = "text/html"
NO_BODY = frozenset({204, 205, 304})


def media_type(answer: UpstreamAnswer) -> str:
    """Return the answer's media type in lower case, without parameters; JSON where it does not say."""
    return _media_type(answer.headers.get("content-type", "application/json"))


@lru_cache(maxsize=256)
def _media_type(content_type: str) -> str:
    return content_type.split(";", 1)[0].strip().lower()


def is_json(answer: UpstreamAnswer) -> bool:
    """Whether the answer says that it is JSON, or has no body."""
    media = media_type(answer)
    return media == "application/json" or media.endswith("+json") or answer.status in NO_BODY


def check_kind(answer: UpstreamAnswer) -> None:
    """Raise ``BrokenAnswer`` for what no API answers.

    That is a redirect, which is never followed, and a status that HTTP does not have.
    """
    if not 200 <= answer.status < 600:
        raise BrokenAnswer(f"The upstream answered with the status {answer.status}, which HTTP does not have.")
    if 300 <= answer.status < 400:
        raise BrokenAnswer(f"The upstream answered with a redirect ({answer.status}). Check the account's base URL.")


def reply_headers(
    attempt: Attempt, answer: UpstreamAnswer, status: int, content_type: str = ""
) -> list[tuple[bytes, bytes]]:
    """Return the headers of the reply with ``status`` that an attempt's answer becomes.

    ``content_type`` is that of an answer that was converted, empty where it stayed the upstream's.
    """
    call, target = attempt.call, attempt.target
    headers = [
        (b"x-tfy-resolved-model", target.model.public_name.encode("latin1", "replace")),
        (b"server-timing", _server_timing(attempt)),
    ]
    limits = call.limits
    if limits is not None:
        headers += limits.headers()
    elif call.plan.rules:
        headers.append((APPLIED, msgspec.json.encode(by_routing(call))))
    if status >= 400:
        headers.append((errors.ORIGIN_HEADER.encode(), b"upstream"))
    if attempt.dropped:
        headers.append((DROPPED_HEADER, ", ".join(dict.fromkeys(attempt.dropped)).encode("latin1", "replace")))
    if content_type:
        headers.append((b"content-type", content_type.encode("latin1")))
    whole_file = call.operation.raw and answer.status < 300 and "content-encoding" not in answer.headers
    found = []
    for name, value in answer.headers.raw:
        if content_type and name == b"content-type":
            continue
        passed = name if whole_file and name in FILE_HEADERS else _passed_as(name)
        if passed and not (limits is not None and passed.startswith(LIMIT_PREFIXES)):  # how much is left is said by us
            found.append((passed, value))
    return headers + _cleaned(found, redactor(target.account.secrets))


def _cleaned(headers: list[tuple[bytes, bytes]], clean: Redactor) -> list[tuple[bytes, bytes]]:
    """Return headers without the account's secrets. As a rule none has any: all are searched at once."""
    values = b"\n".join([value for _, value in headers])
    return headers if clean.whole(values) == values else [(name, clean.whole(value)) for name, value in headers]


@lru_cache(maxsize=1024)
def _passed_as(name: bytes) -> bytes:
    """Return the name that an upstream's header has in our reply, empty when it stays behind."""
    if name.decode("latin1") in (UPSTREAM_ID_HEADER, ANTHROPIC_ID_HEADER):
        return b"x-upstream-request-id"
    return name if name in PASSED_HEADERS or name.startswith(PASSED_PREFIXES) else b""


def _server_timing(attempt: Attempt) -> bytes:
    """Return the Server-Timing header: the upstream's share and ours, in milliseconds."""
    total = (perf_counter_ns() - attempt.call.started_ns) / 1e6
    upstream = attempt.upstream_ms
    return b"upstream;dur=%.2f, gateway;dur=%.2f" % (upstream, max(0.0, total - upstream))
