"""The trace that a call is part of (W3C Trace Context), and the ids of its spans.

Ids follow from those that records have anyway: a call's span from its request id, an attempt's from the attempt's id. A
call that comes without a trace has one of its own whose id is the request id, so either finds the other.
"""

import re
from base64 import b64encode
from typing import Any

TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
SAMPLED = 1
RANDOM_BITS = 56
"""The last bits of a trace's id are random, by the standard; our own ids' are, too."""


class Trace:
    """A call's place in a trace, at first one of its own. ``live``: the attempts' spans do not wait for the call's end.

    ``parent_id`` is the caller's span, empty where there is none. Moments are of ``perf_counter_ns``, 0 where the call
    did not get so far. ``attempts`` are the finished ones whose spans were not made yet.
    """

    __slots__ = (
        "_sampled",
        "admitted_ns",
        "attempts",
        "described_ns",
        "live",
        "parent_id",
        "received_ns",
        "span_id",
        "trace_id",
    )

    def __init__(self, request_id: str) -> None:
        self.trace_id = request_id[-32:]
        self.span_id = request_id[-16:]
        self.parent_id = ""
        self.received_ns = self.described_ns = self.admitted_ns = 0
        self.live = False
        self.attempts: list[Any] = []
        self._sampled: bool | None = None

    def join(self, header: bytes) -> None:
        """Become a part of the trace that a ``traceparent`` names; one that is not valid changes nothing."""
        found = TRACEPARENT.fullmatch(header.strip())
        if found is not None and _valid(found):
            self.trace_id, self.parent_id = found[2].decode(), found[3].decode()
            self._sampled = bool(int(found[4], 16) & SAMPLED)

    def sampled(self, ratio: float) -> bool:
        """Whether the trace is kept whatever happens: as its root said, else one in ``1 / ratio``."""
        if self._sampled is None:
            self._sampled = int(self.trace_id[-14:], 16) < ratio * (1 << RANDOM_BITS)
        return self._sampled

    def header(self, span_id: str, ratio: float) -> str:
        """Return the ``traceparent`` of what goes on below ``span_id``."""
        return f"00-{self.trace_id}-{span_id}-{'01' if self.sampled(ratio) else '00'}"

    @property
    def joined_id(self) -> str:
        """The id of the caller's trace; empty where the call has one of its own."""
        return self.trace_id if self.parent_id else ""

    @property
    def feedback_target(self) -> bytes:
        """What the contract's ``x-tfy-feedback-target-id`` says."""
        return b64encode(f'{{"spanId":"{self.span_id}","traceId":"{self.trace_id}"}}'.encode())


def _valid(found: "re.Match[bytes]") -> bool:
    version, trace_id, parent_id, _, rest = found.groups()
    if version == b"ff" or (version == b"00" and rest):
        return False
    return trace_id.strip(b"0") != b"" and parent_id.strip(b"0") != b""


def span_of_attempt(attempt_id: str) -> str:
    """Return the id of an attempt's span: the last 16 digits of its own."""
    return attempt_id[-17:-12].replace("-", "") + attempt_id[-12:]
