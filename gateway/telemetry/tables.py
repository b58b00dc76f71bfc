"""What is counted: the tables, and how a usage record becomes numbers in them.

Times are in microseconds, costs in 1e-12 USD. Buckets are those of OpenTelemetry's GenAI conventions, where it has any.
"""

from typing import Final

from django.conf import settings

from gateway.telemetry.series import Counts, Histogram, Table
from usage.records import AttemptRecord

UNRESOLVED = "unresolved"
"""The model of a call that was refused before its model was known: its name is the caller's to choose."""
CHOSEN: Final = tuple(settings.METRICS_LABELS)
METADATA: Final = "metadata."


def _micro(*seconds: float) -> tuple[int, ...]:
    return tuple(round(each * 1_000_000) for each in seconds)


DURATION = Histogram(
    "duration",
    _micro(0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92),
)
FIRST_TOKEN = Histogram(
    "first_token",
    _micro(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
)
PER_TOKEN = Histogram(
    "per_token", _micro(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
)
OVERHEAD = Histogram(
    "overhead",
    _micro(0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0),
)
TOKENS_IN = Histogram("tokens_in", tuple(4**power for power in range(14)))
TOKENS_OUT = Histogram("tokens_out", tuple(4**power for power in range(14)))

KINDS: Final = ("cached", "cache_write", "reasoning", "audio_input", "audio_output", "image_input", "image_output")
"""Parts of the input and output tokens, as records name them."""

_BASE = ("model", "account", "provider", "operation")
_OPEN = frozenset({"model", *CHOSEN})
REQUESTS = Table("requests", (*_BASE, *CHOSEN, "status", "error"), ("count",), open_labels=_OPEN)
ATTEMPTS = Table(
    "attempts",
    (*_BASE, *CHOSEN),
    ("input", "output", *KINDS, "cost_pico", "unpriced", "bytes_in", "bytes_out"),
    (DURATION, FIRST_TOKEN, PER_TOKEN, OVERHEAD, TOKENS_IN, TOKENS_OUT),
    open_labels=_OPEN,
)
TRIED_AGAIN = Table("tried_again", ("kind", "from_model", "to_model"), ("count",))
REFUSED = Table("refused", ("error",), ("count",))
SPANS = Table("spans", (), ("accepted", "exported", "dropped"))

_KIND_FIELDS: Final = tuple((ATTEMPTS.places[kind], f"{kind}_tokens") for kind in KINDS)
_COST: Final = ATTEMPTS.places["cost_pico"]
_UNPRICED: Final = ATTEMPTS.places["unpriced"]
_BYTES_IN: Final = ATTEMPTS.places["bytes_in"]


def count_attempt(counts: Counts, record: AttemptRecord, model: str, overhead_us: int) -> None:
    """Count a finished attempt, or a refused call (attempt number 0), whose model has the public name ``model``.

    ``overhead_us`` is what the gateway itself took, -1 where that is not known.
    """
    chosen = tuple(_chosen(record, name) for name in CHOSEN)
    key = (model, record.account, record.provider, record.operation, *chosen)
    counts.row(REQUESTS, (*key, str(record.status), record.error_class))[0] += 1
    if not record.attempt_number:
        return
    row = counts.row(ATTEMPTS, key)
    row[0] += record.input_tokens
    row[1] += record.output_tokens
    for place, name in _KIND_FIELDS:
        row[place] += getattr(record, name)
    if record.cost_pico is None:
        row[_UNPRICED] += 1
    else:
        row[_COST] += record.cost_pico
    row[_BYTES_IN] += record.bytes_in
    row[_BYTES_IN + 1] += record.bytes_out
    _count_times(row, record, overhead_us)


def _count_times(row: list[int], record: AttemptRecord, overhead_us: int) -> None:
    observe = ATTEMPTS.observe
    observe(row, DURATION, record.latency_us)
    if overhead_us >= 0:
        observe(row, OVERHEAD, overhead_us)
    if record.ttft_us is not None:
        observe(row, FIRST_TOKEN, record.ttft_us)
        if record.stream and record.output_tokens > 1:
            observe(row, PER_TOKEN, (record.latency_us - record.ttft_us) // (record.output_tokens - 1))
    if record.input_tokens:
        observe(row, TOKENS_IN, record.input_tokens)
    if record.output_tokens:
        observe(row, TOKENS_OUT, record.output_tokens)


def _chosen(record: AttemptRecord, name: str) -> str:
    if name == "username":
        return record.subject_name
    return record.metadata.get(name.removeprefix(METADATA), "")
