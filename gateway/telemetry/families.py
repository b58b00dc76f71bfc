"""The metrics' names: the contract's ``ai_gateway_*``, OpenTelemetry's ``gen_ai.*`` and ours, each a row over a column.

``FAMILIES`` is the one table; Prometheus and OTLP both read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.telemetry.names import PROVIDERS
from gateway.telemetry.series import Key, Table
from gateway.telemetry.tables import ATTEMPTS, KINDS, REFUSED, REQUESTS, SPANS, TRIED_AGAIN

COUNTER, HISTOGRAM = "counter", "histogram"
MILLISECONDS, SECONDS, DOLLARS = 1e-3, 1e-6, 1e-12
"""What a column's whole number is multiplied with."""
CONTRACT, GEN_AI, OWN = "ai_gateway", "gen_ai", "gatehouse"
GROUPS: Final = (CONTRACT, GEN_AI, OWN)

LABELS: Final = {"model": "model_name", "account": "provider_account", "error": "error_code"}
"""Labels whose name outside is another one."""
GEN_AI_LABELS: Final = {
    "model": "gen_ai.request.model",
    "provider": "gen_ai.provider.name",
    "operation": "gen_ai.operation.name",
    "account": "gatehouse.provider_account",
}


@dataclass(frozen=True, slots=True)
class Family:
    """A metric. ``columns`` are the table's columns, each with the labels that distinguish it from the others."""

    name: str
    kind: str
    help: str
    table: Table
    columns: Mapping[str, Mapping[str, str]]
    scale: float = 1
    unit: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: LABELS)
    only_errors: bool = False

    @property
    def group(self) -> str:
        """Which of ``GROUPS`` it belongs to."""
        return next(group for group in GROUPS if self.name.startswith(group))

    def labelled(self, key: Key) -> list[tuple[str, str]]:
        """Return a row's labels as they are shown: the conventions have names of their own for some providers."""
        given = zip(self.table.labels, key, strict=True)
        named = self.labels.get("provider") == GEN_AI_LABELS["provider"]
        return [
            (self.labels.get(label, label), PROVIDERS.get(value, value) if named and label == "provider" else value)
            for label, value in given
        ]


def _plain(column: str) -> dict[str, dict[str, str]]:
    return {column: {}}


_in_out = {"tokens_in": {"gen_ai.token.type": "input"}, "tokens_out": {"gen_ai.token.type": "output"}}
_kinds = {kind: {"kind": kind} for kind in ("input", "output", *KINDS)}

FAMILIES: Final = (
    Family("ai_gateway_requests_total", COUNTER, "Attempts and refused calls by outcome.", REQUESTS, _plain("count")),
    Family("ai_gateway_input_tokens_total", COUNTER, "Input tokens, cached ones included.", ATTEMPTS, _plain("input")),
    Family("ai_gateway_output_tokens_total", COUNTER, "Output tokens.", ATTEMPTS, _plain("output")),
    Family("ai_gateway_request_cost_total", COUNTER, "Cost in US dollars.", ATTEMPTS, _plain("cost_pico"), DOLLARS),
    Family(
        "ai_gateway_request_processing_ms",
        HISTOGRAM,
        "Duration of attempts in milliseconds.",
        ATTEMPTS,
        _plain("duration"),
        MILLISECONDS,
    ),
    Family(
        "ai_gateway_first_token_latency_ms",
        HISTOGRAM,
        "Time to the first token in milliseconds.",
        ATTEMPTS,
        _plain("first_token"),
        MILLISECONDS,
    ),
    Family(
        "ai_gateway_inter_token_latency_ms",
        HISTOGRAM,
        "Time per output token of streams in milliseconds.",
        ATTEMPTS,
        _plain("per_token"),
        MILLISECONDS,
    ),
    Family(
        "ai_gateway_request_model_inference_failure_total",
        COUNTER,
        "Attempts and refused calls that failed.",
        REQUESTS,
        _plain("count"),
        labels={**LABELS, "status": "error_code", "error": "exception_class"},
        only_errors=True,
    ),
    Family("ai_gateway_spans_accepted_total", COUNTER, "Spans to be exported.", SPANS, _plain("accepted")),
    Family("ai_gateway_spans_exported_total", COUNTER, "Spans that a collector took.", SPANS, _plain("exported")),
    Family("ai_gateway_spans_drops_total", COUNTER, "Spans that no collector took.", SPANS, _plain("dropped")),
    Family(
        "gen_ai.client.operation.duration",
        HISTOGRAM,
        "Duration of calls to providers.",
        ATTEMPTS,
        _plain("duration"),
        SECONDS,
        "s",
        GEN_AI_LABELS,
    ),
    Family("gen_ai.client.token.usage", HISTOGRAM, "Tokens of a call.", ATTEMPTS, _in_out, 1, "{token}", GEN_AI_LABELS),
    Family(
        "gen_ai.server.time_to_first_token",
        HISTOGRAM,
        "Time to the first token.",
        ATTEMPTS,
        _plain("first_token"),
        SECONDS,
        "s",
        GEN_AI_LABELS,
    ),
    Family(
        "gen_ai.server.time_per_output_token",
        HISTOGRAM,
        "Time per output token of streams.",
        ATTEMPTS,
        _plain("per_token"),
        SECONDS,
        "s",
        GEN_AI_LABELS,
    ),
    Family("gatehouse_tokens_total", COUNTER, "Tokens by kind; kinds overlap.", ATTEMPTS, _kinds),
    Family("gatehouse_unpriced_total", COUNTER, "Attempts whose cost is not known.", ATTEMPTS, _plain("unpriced")),
    Family(
        "gatehouse_body_bytes_total",
        COUNTER,
        "Bytes of bodies.",
        ATTEMPTS,
        {"bytes_in": {"direction": "in"}, "bytes_out": {"direction": "out"}},
    ),
    Family(
        "gatehouse_overhead_seconds",
        HISTOGRAM,
        "What the gateway itself takes of a call, until its answer begins.",
        ATTEMPTS,
        _plain("overhead"),
        SECONDS,
    ),
    Family(
        "gatehouse_tried_again_total",
        COUNTER,
        "Retries, failovers, other keys and second requests, from one model to the next one tried.",
        TRIED_AGAIN,
        _plain("count"),
    ),
    Family("gatehouse_unauthenticated_total", COUNTER, "Calls without a valid token.", REFUSED, _plain("count")),
)


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value that every process reports, and how those of several become one: ``sum``, ``max`` or ``min``."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    merge: str = "sum"


_LIMIT: Final = ("rule", "unit", "mode")
_FULLEST: Final = "the entity nearest to it"

GAUGES: Final = (
    Gauge("gatehouse_workers", "Server processes."),
    Gauge("gatehouse_calls_in_flight", "Calls that are being served."),
    Gauge("gatehouse_body_bytes_in_flight", "Bytes of bodies and answers of the calls that are being served."),
    Gauge("gatehouse_attempts_running", "Attempts that have begun and not ended."),
    Gauge("gatehouse_spool_records", "Usage records that wait for the database."),
    Gauge("gatehouse_spool_memory_records", "Of them, those that the disk did not take."),
    Gauge("gatehouse_spool_oldest_seconds", "How long the oldest waiting usage record has waited.", merge="max"),
    Gauge("gatehouse_spool_dropped_records", "Usage records lost since the start: disk and memory were full."),
    Gauge("gatehouse_ledger_flush_age_seconds", "Time since records last reached the database.", merge="max"),
    Gauge("gatehouse_directory_age_seconds", "Age of the configuration that calls are served by.", merge="max"),
    Gauge("gatehouse_upstream_connections", "Connections to providers.", ("provider_account", "state")),
    Gauge("gatehouse_upstream_waiting", "Calls that wait for a connection to a provider.", ("provider_account",)),
    Gauge("gatehouse_rate_limit_used_ratio", f"Share of a rate limit that {_FULLEST} has used.", _LIMIT, "max"),
    Gauge("gatehouse_rate_limit_remaining", f"What is left of a rate limit to {_FULLEST}.", _LIMIT, "min"),
    Gauge("gatehouse_budget_used_ratio", f"Share of a budget that {_FULLEST} has used or reserved.", _LIMIT, "max"),
    Gauge("gatehouse_budget_remaining", f"US dollars or tokens of a budget left to {_FULLEST}.", _LIMIT, "min"),
    Gauge("gatehouse_telemetry_dropped", "Observations lost since the start: they came faster than they were counted."),
    Gauge("gatehouse_request_log_dropped", "Calls whose bodies were lost since the start: more waited than may."),
    Gauge("process_cpu_seconds_total", "CPU time of the server processes.", ("pid",)),
    Gauge("process_resident_memory_bytes", "Memory of the server processes.", ("pid",)),
)
