"""The usage record of an attempt: begun with it, completed once, whatever happens."""

import asyncio
import logging
import re
from time import perf_counter_ns, time_ns

from gateway.access.model_names import SNAPSHOT
from gateway.billing import audio, pricing
from gateway.billing.audio_length import AudioMeter
from gateway.billing.usage import REPORTED
from gateway.body.json import text_of
from gateway.call import errors
from gateway.call.call import Call
from gateway.call.operation import HEARD
from gateway.directory.accounts import unlisted_model
from gateway.objects.kept_answers import About
from gateway.state import state
from gateway.telemetry import meter
from gateway.telemetry.tables import UNRESOLVED
from providers.pricing import private
from providers.redaction import redactor
from providers.snapshot import AccountSnapshot, Target
from usage.records import AttemptRecord, new_id

logger = logging.getLogger("gateway.pipeline")

MESSAGE_CHARACTERS = 500
# Chat models of OpenAI that search the web for every call, and bill the search beside the tokens.
SEARCH_MODELS = re.compile(r"-search-(?:preview|api)")
UPSTREAM_WRITES = ("model_served", "object_id", "service_tier")
REPLAYED = "replayed"
"""What a decision calls the request whose kept answer the call got."""
INCOMPLETE = "incomplete_record"
"""The gap of a record whose completion failed: its usage is not known to be right, so it has no price."""
UNKNOWN_MODEL = "model_served"
"""The gap of a record that is priced by the model asked for: the one that answered is in no list."""

NO_MODEL = "model"
"""The gap of a record without a price of a call that named no model, and whose answer named none."""


def new_record(call: Call, target: Target, number: int) -> AttemptRecord:
    """Return the record of an attempt that begins now."""
    caller, line = call.caller, call.batch_line
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
        object_id=line.batch_id if line is not None else "",
        batch_key=line.key if line is not None else "",
        batch_line=line.line if line is not None else "",
        trace_id=call.trace.joined_id,
        model_resolved=next((model.public_name for model in (target.model, *call.named) if model.name), ""),
        decision=call.decision,
    )


def refused_record(call: Call, error: BaseException) -> AttemptRecord:
    """Return the record of a call of a known caller that was refused before any attempt: it has no cost."""
    record = _without_attempt(call)
    record.status = errors.status_of(error)
    record.error_class = errors.code_of(error)
    record.error_message = errors.message_of(error)[:MESSAGE_CHARACTERS]
    return record


def record_replay(call: Call, about: About, size: int) -> None:
    """Leave a record of a call that got the answer that an earlier one was given: ``size`` bytes, and no cost."""
    record = _without_attempt(call)
    for name in ("account", "provider", "model_served", "model_resolved", "status"):
        setattr(record, name, getattr(about, name))
    record.decision = {REPLAYED: about.request_id}
    record.bytes_out = size
    record.latency_us = (perf_counter_ns() - call.started_ns) // 1000
    if state.started:
        state.spool.append(record)
        meter.attempt_ended(record, record.model_resolved or UNRESOLVED)


def _without_attempt(call: Call) -> AttemptRecord:
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
        account=call.account_name[:64],
        model_asked=call.model_asked,
        operation=call.operation.name,
        endpoint=call.endpoint,
        stream=call.stream,
        attempt_number=0,
        metadata={**call.options.metadata, **caller.tags},
        cost_pico=0,
        client_gone=call.client_gone,
        trace_id=call.trace.joined_id,
        decision=call.decision,
    )


def record_refusal(call: Call, error: BaseException) -> None:
    """Leave a record of a call that ended in ``error`` before any attempt was made; once, and only while the spool is
    open.
    """
    if call.attempt is None and state.started:
        record = refused_record(call, error)
        state.spool.append(record)
        meter.attempt_ended(record, call.target.model.public_name if call.target is not None else UNRESOLVED)


def complete(
    record: AttemptRecord, call: Call, target: Target, error: BaseException | None, *, replied: bool, free: bool = False
) -> None:
    """Complete an attempt's record with what ended it and what it cost. Never raises: what fails is a gap in the
    record.

    ``replied`` says that the answer's head went to the client, so that its status is what the client sees; ``free``
    that there is nothing to pay.
    """
    try:
        if error is not None:
            _note_error(record, call, target, error, replied=replied)
        if free:
            record.cost_pico = 0
        else:
            _price(record, call, target, error)
        redact(record, target.account)
    except Exception:  # the boundary of a record: the vendor has been paid, so there must be one
        logger.exception("The record of %s can't be completed.", call.request_id)
        record.cost_pico, record.price_gaps = None, INCOMPLETE


def redact(record: AttemptRecord, account: AccountSnapshot) -> None:
    """Take the account's secrets out of what the upstream wrote into the record, after it was priced by that."""
    clean = redactor(account.secrets)
    for name in UPSTREAM_WRITES:
        value = getattr(record, name)
        if value:
            setattr(record, name, clean.beginning(value, MESSAGE_CHARACTERS))


def _note_error(record: AttemptRecord, call: Call, target: Target, error: BaseException, *, replied: bool) -> None:
    cause = cause_of(call, error)
    if isinstance(cause, errors.HedgeLost):  # nothing went wrong: the decision says it
        return
    if not record.error_class:  # what the vendor said itself stays
        record.error_class = errors.code_of(cause)
        clean = redactor(target.account.secrets)
        record.error_message = clean.beginning(errors.message_of(cause), MESSAGE_CHARACTERS)
    if not replied:
        record.status = errors.status_of(cause)
    record.client_gone = record.client_gone or call.client_gone
    call.error = record.error_class


def _price(record: AttemptRecord, call: Call, target: Target, error: BaseException | None) -> None:
    operation = call.operation
    if operation.units is not None and 200 <= record.upstream_status < 300:
        record.units = {**operation.units(call), **record.units}
    if call.audio is not None and 200 <= record.upstream_status < 300:
        _estimate_audio(record, call, call.audio, target)
    unsent = error is not None and not getattr(error, "sent", True)
    if not operation.charges:
        pricing.waive(record)
    elif not operation.model_type or record.upstream_status >= 400 or unsent:
        record.cost_pico = 0  # calls without a model, and refused or unsent ones, are charged by no vendor
    else:
        if SEARCH_MODELS.search(target.model.upstream_id):
            record.units = {"web_searches": 1, **record.units}
        served = served_target(record, target)
        pricing.price(record, served)
        if not target.model.name:
            _note_answering(record, served)


def _note_answering(record: AttemptRecord, served: Target) -> None:
    """Note which of our models answered a call that named none; a gap where that is not known, and so has no price."""
    if served.model.name:
        record.model_resolved = record.model_resolved or served.model.public_name
    elif record.cost_pico is None:
        pricing.add_gaps(record, NO_MODEL)


def _estimate_audio(record: AttemptRecord, call: Call, meter: AudioMeter, target: Target) -> None:
    """Fill in from the audio itself what the vendor did not report."""
    sheet = target.model.sheet
    if call.operation.audio == HEARD:
        audio.estimate_transcript(record, sheet, meter)
    else:
        audio.estimate_speech(record, sheet, meter, text_of(call.body.fields.get("response_format")))


def served_target(record: AttemptRecord, target: Target) -> Target:
    """Return the target whose price counts: of the model that the vendor says it served, where that is another.

    A model's private price holds whatever its server calls the model, but for another model that is listed. So does its
    public price for a name that has no price anywhere, with a note among the record's gaps.
    """
    model = target.model
    if record.model_served in (model.upstream_id, ""):
        return target
    known = target.account.upstream_ids.get(record.model_served.lower())
    if known is None and not model.name:
        known = target.account.upstream_ids.get(SNAPSHOT.sub("", record.model_served.lower()))
    if known is None and model.sheet is not None and model.sheet.version.startswith(private.VERSION):
        return target
    served = known or unlisted_model(target.account, record.model_served)
    if known is None and served.sheet is None and model.sheet is not None:
        if record.price_version != REPORTED:
            pricing.add_gaps(record, UNKNOWN_MODEL)
        return target
    return Target(target.account, served)


def cause_of(call: Call, error: BaseException) -> BaseException:
    """Return why an attempt ended; a call that is cancelled by no one else is so by the server, which shuts down."""
    if call.ended_by is not None:
        return call.ended_by
    if isinstance(error, asyncio.CancelledError) and not call.client_gone:
        return errors.shutting_down()
    return error
