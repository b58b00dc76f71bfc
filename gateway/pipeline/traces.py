"""The end of a call, for its trace: the server, sockets and batches say it once for each."""

from time import perf_counter_ns

from gateway.call.call import Call
from gateway.telemetry import tracer as tracing
from gateway.telemetry.facts import CallFacts
from gateway.telemetry.spans import REQUEST_FIELDS

FIELD_BYTES = 500
FAILED = 400


def call_ended(call: Call, status: int) -> None:
    """Note that a call ended with an HTTP status; its spans are made in another thread, if they are kept at all."""
    tracer = tracing.tracer
    if tracer is None:
        return
    ended_ns = perf_counter_ns()
    failed = status >= FAILED or bool(call.error)
    if tracer.keeps(call.trace, failed=failed, took_ns=ended_ns - call.started_ns):
        tracer.add(_facts(call, status, ended_ns))
    call.trace.live = True  # an attempt whose usage is still estimated completes later
    call.trace.attempts.clear()


def _facts(call: Call, status: int, ended_ns: int) -> CallFacts:
    caller, fields, target = call.caller, call.body.fields, call.target
    return CallFacts(
        trace=call.trace,
        request_id=call.request_id,
        method=call.method,
        operation=call.operation.name,
        model_type=call.operation.model_type,
        endpoint=call.endpoint,
        model_asked=call.model_asked[:200],
        model=target.model.public_name if target is not None else "",
        subject=f"{caller.subject_type}:{caller.subject_name}",
        teams=tuple(caller.teams),
        token=caller.prefix,
        metadata=call.options.metadata,
        stream=call.stream,
        status=status,
        error=call.error,
        started_ns=call.started_ns,
        ended_ns=ended_ns,
        request={name: bytes(memoryview(fields[name])[:FIELD_BYTES]) for name in REQUEST_FIELDS if name in fields},
        attempts=tuple(attempt.facts() for attempt in call.trace.attempts),
    )
