"""From the facts of a call to its spans, as OTLP has them on the wire."""

import time
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gateway.telemetry.context import span_of_attempt
from gateway.telemetry.facts import AttemptFacts, CallFacts
from gateway.telemetry.names import OPERATIONS, PROVIDERS, STEADY, UNIQUE
from gateway.telemetry.wire import CLIENT, INTERNAL, MASK, SERVER, Attributes, Part, span
from usage.span_query import SPAN_TYPES

Pairs = Sequence[tuple[str, str]]
PICO = 1e-12
SERVER_ERROR = 500
AUTHENTICATE, DESCRIBE, POLICIES, STREAM, SETTLE = map(
    Part, ("authenticate", "describe", "policies", "stream", "settle")
)
# The fields of a request that spans have, and the facts that they are.
REQUEST_FIELDS = {
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "seed": "seed",
    "n": "choice_count",
    "stop": "stop",
    "dimensions": "dimensions",
    "conversation": "conversation",
}
FLOATS = frozenset({"temperature", "top_p", "frequency_penalty", "presence_penalty"})


class _Choice(msgspec.Struct):
    finish_reason: str | None = None


_choices = msgspec.json.Decoder(list[_Choice])
_any = msgspec.json.Decoder()


class Builder:
    """Builds spans with the attributes that were chosen (``names.chosen``)."""

    def __init__(self, attempt: Pairs, call: Pairs) -> None:
        self._attempt = Attributes(attempt, UNIQUE, STEADY)
        self._call = Attributes(call, UNIQUE, STEADY)

    def call(self, facts: CallFacts) -> list[bytes]:
        """Return the spans of a call: its own first, then its stages' and attempts'."""
        trace, wall = facts.trace, _wall()
        operation = OPERATIONS.get(facts.operation, facts.operation)
        trace_id, span_id = bytes.fromhex(trace.trace_id), bytes.fromhex(trace.span_id)
        failed = facts.error or facts.status >= SERVER_ERROR
        root = span(
            trace_id,
            span_id,
            bytes.fromhex(trace.parent_id),
            f"{operation} {facts.model_asked}".rstrip(),
            (wall + (trace.received_ns or facts.started_ns), wall + facts.ended_ns),
            SERVER,
            self._call.write(_call_values(facts, operation)),
            facts.error if failed else None,
        )
        spans = [root]
        _add_stages(spans, facts, trace_id, span_id, wall)
        for attempt in facts.attempts:
            spans += self.attempt(attempt, trace.trace_id, trace.span_id, facts)
        return spans

    def attempt(
        self, facts: AttemptFacts, trace_hex: str, parent_hex: str, call: CallFacts | None = None
    ) -> list[bytes]:
        """Return the span of an attempt, and those of its stream and its settlement."""
        record, wall = facts.record, _wall()
        trace_id, span_id = bytes.fromhex(trace_hex), bytes.fromhex(span_of_attempt(record.attempt_id))
        operation = OPERATIONS.get(record.operation, record.operation)
        values = _attempt_values(facts, operation)
        if call is not None:
            values["model_type"] = call.model_type
            if call.request:
                values |= _request_values(call.request)
        started, finished = wall + facts.started_ns, wall + facts.finished_ns
        spans = [
            span(
                trace_id,
                span_id,
                bytes.fromhex(parent_hex),
                f"{operation} {facts.upstream_model}".rstrip(),
                (started, finished),
                CLIENT,
                self._attempt.write(values),
                record.error_message if record.error_class else None,
            )
        ]
        if record.stream and record.ttft_us is not None:
            began = started + record.ttft_us * 1000
            spans.append(STREAM.write(trace_id, _following(span_id, 1), span_id, began, finished))
        if facts.settled_ns:
            settled = wall + facts.settled_ns
            spans.append(SETTLE.write(trace_id, _following(span_id, 2), span_id, finished, settled))
        return spans


def _add_stages(spans: list[bytes], facts: CallFacts, trace_id: bytes, parent_id: bytes, wall: int) -> None:
    trace, started = facts.trace, facts.started_ns
    described, admitted = trace.described_ns, trace.admitted_ns
    if trace.received_ns:
        times = wall + trace.received_ns, wall + started
        spans.append(AUTHENTICATE.write(trace_id, _following(parent_id, 1), parent_id, *times))
    if not described:
        return
    times = wall + started, wall + described
    spans.append(DESCRIBE.write(trace_id, _following(parent_id, 2), parent_id, *times))
    if admitted:
        times = wall + described, wall + admitted
        spans.append(POLICIES.write(trace_id, _following(parent_id, 3), parent_id, *times))
    elif facts.ended_ns:
        times = wall + described, wall + facts.ended_ns
        own = _following(parent_id, 3)
        spans.append(span(trace_id, own, parent_id, "policies", times, INTERNAL, fault=facts.error))


def _call_values(facts: CallFacts, operation: str) -> dict[str, Any]:
    costs = [each.record.cost_pico for each in facts.attempts if each.record.cost_pico is not None]
    return {
        "method": facts.method,
        "route": f"/{facts.endpoint}",
        "status": facts.status,
        "operation": operation,
        "model_asked": facts.model_asked,
        "error": facts.error or (str(facts.status) if facts.status >= SERVER_ERROR else ""),
        "span_type": SPAN_TYPES.get(facts.operation, facts.operation),
        "subject": facts.subject,
        "teams": facts.teams,
        "metadata": msgspec.json.encode(facts.metadata).decode() if facts.metadata else "",
        "request_id": facts.request_id,
        "token": facts.token,
        "model": facts.model,
        "cost": sum(costs) * PICO if costs else None,
        "attempts": len(facts.attempts),
    }


def _attempt_values(facts: AttemptFacts, operation: str) -> dict[str, Any]:
    record = facts.record
    address, port = _place(facts.url)
    first_us = record.ttft_us
    values: dict[str, Any] = {
        "operation": operation,
        "provider": PROVIDERS.get(record.provider, record.provider),
        "upstream_model": facts.upstream_model,
        "response_model": record.model_served,
        "stream": record.stream or None,
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "cached_tokens": record.cached_tokens,
        "cache_write_tokens": record.cache_write_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "address": address,
        "port": port,
        "error": record.error_class,
        "upstream_status": record.upstream_status,
        "span_type": "Model",
        "model": facts.model,
        "url": facts.url,
        "latency_ms": record.latency_us / 1000,
        "first_chunk_s": first_us / 1e6 if first_us is not None else None,
        "first_token_ms": first_us / 1000 if first_us is not None else None,
        "cost": record.cost_pico * PICO if record.cost_pico is not None else None,
        "error_message": record.error_message,
        "account": record.account,
        "attempt": record.attempt_number,
        "price_version": record.price_version,
        "price_gaps": record.price_gaps,
        "upstream_request_id": record.upstream_request_id,
        "object_id": record.object_id,
        "batch": record.batch_key,
        "overhead_ms": facts.overhead_us / 1000 if facts.overhead_us >= 0 else None,
        "estimated": record.estimated or None,
    }
    if first_us is not None and record.output_tokens > 1:
        values["per_token_ms"] = (record.latency_us - first_us) / 1000 / (record.output_tokens - 1)
    if facts.finish_reasons:
        values["finish_reasons"] = facts.finish_reasons
    if facts.response:
        values |= _response_values(facts.response)
    return values


def _request_values(fields: Mapping[str, bytes]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, raw in fields.items():
        try:
            value = _any.decode(raw)
        except (ValueError, RecursionError):
            continue
        fact = REQUEST_FIELDS[name]
        if fact == "stop" and isinstance(value, str):
            value = [value]
        if fact == "conversation" and isinstance(value, dict):
            value = value.get("id")
        if isinstance(value, int) and fact in FLOATS:
            value = float(value)
        if isinstance(value, (int, float, str)) or fact == "stop":
            values[fact] = value
    return values


def _response_values(fields: Mapping[str, bytes]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    if "id" in fields and isinstance(value := _decoded(fields["id"]), str):
        values["response_id"] = value[:200]
    if "choices" in fields:
        try:
            reasons = [choice.finish_reason for choice in _choices.decode(fields["choices"])]
            if any(reasons):
                values["finish_reasons"] = [reason for reason in reasons if reason]
        except (ValueError, RecursionError):
            pass
    return values


def _decoded(raw: bytes) -> Any:
    try:
        return _any.decode(raw)
    except (ValueError, RecursionError):
        return None


def _following(span_id: bytes, number: int) -> bytes:
    """Return the id of a part of a span."""
    return ((int.from_bytes(span_id) + number) & MASK or 1).to_bytes(8)


def _wall() -> int:
    """Return what turns a moment of ``perf_counter_ns`` into one since 1970."""
    return time.time_ns() - time.perf_counter_ns()


@lru_cache(maxsize=1024)
def _place(url: str) -> tuple[str, int | None]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or (443 if parts.scheme in ("https", "wss") else 80)
