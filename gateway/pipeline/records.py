"""The usage record of an attempt: begun with it, completed once."""

import asyncio
from time import perf_counter_ns, time_ns

from gateway.billing import pricing
from gateway.call import errors
from gateway.call.call import Call
from gateway.state import state
from providers.snapshot import Target
from usage.records import AttemptRecord, new_id


class _Finisher:
    """Completes an attempt's record, once: what it used, cost and took goes to the spool.

    ``replied`` says that the answer's head goes to the client, so that its status is what the client sees.
    """

    __slots__ = ("_call", "_done", "_record", "_target", "replied", "started_ns")

    def __init__(self, call: Call, target: Target, record: AttemptRecord) -> None:
        self._call = call
        self._target = target
        self._record = record
        self._done = False
        self.replied = False
        self.started_ns = perf_counter_ns()

    def __call__(self, error: BaseException | None) -> None:
        if self._done:
            return
        self._done = True
        record, call = self._record, self._call
        record.latency_us = (perf_counter_ns() - self.started_ns) // 1000
        if call.upload is not None:
            record.bytes_in = call.upload.sent
        if error is not None:
            cause = _cause(call, error)
            record.error_class = errors.code_of(cause)
            if not self.replied:
                record.status = errors.status_of(cause)
            record.client_gone = call.client_gone
            call.error = record.error_class
        if call.operation.units is not None and 200 <= record.upstream_status < 300:
            record.units = {**call.operation.units(call), **record.units}
        unsent = error is not None and not getattr(error, "sent", True)
        if not call.operation.charges:
            pricing.waive(record)
        elif not call.operation.model_type or record.upstream_status >= 400 or unsent:
            record.cost_pico = 0  # calls without a model, and refused or unsent ones, are charged by nobody
        else:
            pricing.price(record, self._target)
        state.spool.append(record)


def _cause(call: Call, error: BaseException) -> BaseException:
    """Return why an attempt ended; a call that is cancelled by nobody else is so by the server, which shuts down."""
    if call.ended_by is not None:
        return call.ended_by
    if isinstance(error, asyncio.CancelledError) and not call.client_gone:
        return errors.shutting_down()
    return error


def new_record(call: Call, target: Target, number: int) -> AttemptRecord:
    """Return the record of an attempt that begins now."""
    caller = call.caller
    return AttemptRecord(
        attempt_id=new_id(),
        request_id=call.request_id,
        started_at=time_ns() // 1000,
        subject_type=caller.subject_type,
        subject_id=caller.subject_id,
        subject_name=caller.subject_name,
        token_id=caller.token_id,
        token_prefix=caller.prefix,
        teams=list(caller.teams),
        account=target.account.name,
        provider=target.account.provider,
        model_asked=call.model_asked,
        model_served=target.model.upstream_id,
        operation=call.operation.name,
        endpoint=call.endpoint,
        stream=call.stream,
        attempt_number=number,
        metadata={**call.options.metadata, **caller.tags} if caller.tags else call.options.metadata,
        object_id=str(call.notes.get("object_id", "")),
        batch_key=str(call.notes.get("batch_key", "")),
        batch_line=str(call.notes.get("batch_line", "")),
    )
