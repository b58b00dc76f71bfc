"""The headers and kinds of replies: what of an upstream's answer goes on to the client."""

from time import perf_counter_ns

from gateway.call import errors
from gateway.call.call import Call
from providers.snapshot import Target
from providers.upstream.client import UpstreamAnswer
from providers.upstream.failures import BrokenAnswer

UPSTREAM_ID_HEADER = "x-request-id"
# What of an upstream's answer goes on to the client. Names are matched in lower case, prefixes as they stand here.
PASSED_HEADERS = frozenset(
    {"content-type", "content-disposition", "retry-after", "retry-after-ms", "cache-control", "x-should-retry"}
)
FILE_HEADERS = frozenset({"accept-ranges", "content-range", "content-length", "etag", "last-modified"})
PASSED_PREFIXES = ("x-ratelimit-", "openai-processing", "openai-version", "openai-model")


def _is_json(answer: UpstreamAnswer) -> bool:
    media = answer.headers.get("content-type", "application/json").split(";", 1)[0].strip().lower()
    return media == "application/json" or media.endswith("+json") or answer.status == 204


def _check_kind(answer: UpstreamAnswer) -> None:
    """Raise ``BrokenAnswer`` for what no API answers.

    That is a redirect, which is never followed, a web page as a success, and a status that HTTP does not have.
    """
    if not 200 <= answer.status < 600:
        raise BrokenAnswer(f"The upstream answered with the status {answer.status}, which HTTP does not have.")
    if 300 <= answer.status < 400:
        raise BrokenAnswer(f"The upstream answered with a redirect ({answer.status}). Check the account's base URL.")
    if answer.status < 300 and answer.headers.get("content-type", "").lower().startswith("text/html"):
        raise BrokenAnswer("The upstream answered with a web page. Check the account's base URL.")


def _reply_headers(call: Call, target: Target, answer: UpstreamAnswer) -> list[tuple[bytes, bytes]]:
    headers = [
        (b"x-tfy-resolved-model", target.model.public_name.encode("latin1", "replace")),
        (b"server-timing", _server_timing(call)),
    ]
    if answer.status >= 400:
        headers.append((errors.ORIGIN_HEADER.encode(), b"upstream"))
    whole_file = call.operation.raw and answer.status < 300 and "content-encoding" not in answer.headers
    for name, value in answer.headers.items():
        name = name.lower()
        if name in PASSED_HEADERS or name.startswith(PASSED_PREFIXES) or (whole_file and name in FILE_HEADERS):
            headers.append((name.encode("latin1"), value.encode("latin1", "replace")))
        elif name == UPSTREAM_ID_HEADER:
            headers.append((b"x-upstream-request-id", value.encode("latin1", "replace")))
    return headers


def _server_timing(call: Call) -> bytes:
    """Return the Server-Timing header: the upstream's share and ours, in milliseconds."""
    total = (perf_counter_ns() - call.started_ns) / 1e6
    upstream = call.timings.get("upstream", 0.0)
    return b"upstream;dur=%.2f, gateway;dur=%.2f" % (upstream, max(0.0, total - upstream))
