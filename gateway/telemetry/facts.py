"""What is known of a call when it ends, for its spans: taken beside the answer, read later in another thread."""

from collections.abc import Mapping, Sequence

import msgspec

from gateway.telemetry.context import Trace
from usage.records import AttemptRecord


class AttemptFacts(msgspec.Struct, gc=False):
    """A finished attempt. Moments are of ``perf_counter_ns``; ``upstream_us`` is until the answer's head came.

    ``request`` and ``response`` are fields of the bodies, as JSON.
    """

    record: AttemptRecord
    model: str
    upstream_model: str
    url: str
    started_ns: int
    finished_ns: int
    settled_ns: int
    upstream_us: int
    overhead_us: int
    response: Mapping[str, bytes]
    finish_reasons: Sequence[str] = ()


class CallFacts(msgspec.Struct, gc=False):
    """A call that ended. ``attempts`` are those whose spans were not sent before."""

    trace: Trace
    request_id: str
    method: str
    operation: str
    model_type: str
    endpoint: str
    model_asked: str
    model: str
    subject: str
    teams: tuple[str, ...]
    token: str
    metadata: Mapping[str, str]
    stream: bool
    status: int
    error: str
    started_ns: int
    ended_ns: int
    request: Mapping[str, bytes]
    attempts: tuple[AttemptFacts, ...]
