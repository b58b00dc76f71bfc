"""Responses over a socket: every ``response.create`` is checked, owned, metered and recorded like the request it
replaces.
"""

from collections import deque
from typing import Any

import msgspec

from gateway.access import named_models
from gateway.billing import usage as metering
from gateway.body import json as json_body
from gateway.body.references import find_references
from gateway.call import errors
from gateway.call.by_size import by_size
from gateway.call.call import Call, new_request_id
from gateway.models import NewObject
from gateway.objects import makers, ownership
from gateway.objects.operations import RESPONSE
from gateway.objects.store import objects
from gateway.pipeline import describe
from gateway.pipeline.unmetered import KeptOutput
from gateway.policies import admit, release
from gateway.policies.access import plan_of
from gateway.realtime import targets as admission
from gateway.realtime.closing import error_event
from gateway.realtime.frames import Fields, encoded, fields_of, refuse_other_case, rewritten, text
from gateway.realtime.kinds import RESPONSES
from gateway.realtime.records import AttemptTimer, Records
from providers.snapshot import AccountSnapshot, Target

CREATED = "response.created"
ENDINGS = frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled"})
# An event that makes something, ends something or fails holds one of these.
MARKS = ('"id"', '"error"', '"usage"')
# What decides here how an event is taken, and must not be given in another case beside.
READ_FIELDS = frozenset({"type", "model", "stream_id", "background"})
REMEMBERED = 1000
MAX_WAITING = 64
STREAM_ID_CHARACTERS = 256

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.Encoder().encode


class PendingResponse:
    """A response on its way: its call, and its record."""

    __slots__ = ("call", "running")

    def __init__(self, call: Call, running: AttemptTimer) -> None:
        self.call = call
        self.running = call.attempt = running
        running.output = KeptOutput()

    def end(self, error: BaseException | None, *, client_gone: bool = False) -> None:
        """Complete its record, and end what its call holds."""
        self.running.end(error, client_gone=client_gone)
        release(self.call)


class ResponsesDialogue:
    """One socket's events. Lanes (``stream_id``) are served beside each other, each one response after the other."""

    def __init__(self, call: Call, account: AccountSnapshot, target: Target) -> None:
        self.call = call
        self.account = account
        self.target = target
        self.records = Records(call, target, RESPONSES.name, f"{RESPONSES.name}_session")
        self._lanes: dict[str, deque[PendingResponse]] = {}
        self._ids: deque[str] = deque(maxlen=REMEMBERED)
        self._known: set[str] = set()

    @property
    def busy(self) -> bool:
        """Whether a response is being made."""
        return any(self._lanes.values())

    def stop_event(self) -> str:
        """Return nothing: the API has no event that ends a response."""
        return ""

    def error_for(self, error: Exception, message: str | bytes) -> str:
        """Return the error event for a client's message that was refused."""
        return error_event(error)

    # --- from the client --------------------------------------------------------------------------------------------
    async def from_client(self, message: str | bytes) -> str | bytes | None:
        """Check a client's event. Raises :class:`~gateway.call.errors.CallError` for one that must not go on."""
        fields = fields_of(message)
        refuse_other_case(fields, READ_FIELDS)
        if text(fields, "type") != "response.create":
            await self._check_other(message, fields)
            return message
        _stream_id(fields)
        if sum(map(len, self._lanes.values())) >= MAX_WAITING:
            raise errors.TooManyRequests(f"This socket has {MAX_WAITING} responses waiting already.")
        call = await self._describe(message, fields)
        target = call.plan.first
        lane = self._lanes.setdefault(_stream_id(fields), deque())
        fields = {**call.body.fields, "model": msgspec.Raw(_encode(target.model.upstream_id))}
        lane.append(PendingResponse(call, AttemptTimer(call, target, call.operation.name)))
        self.call.plan = call.plan
        return rewritten(message, fields)

    async def _describe(self, message: str | bytes, fields: Fields) -> Call:
        """Return the call that an event means, admitted."""
        call = Call(self.call.caller, RESPONSE, self.call.options, new_request_id())
        call.endpoint = self.call.endpoint
        call.account_name = self.account.name
        raw = encoded(message)
        await by_size(len(raw), describe.read_json, call, raw)
        describe.read_model(call, required=True)
        await describe.find_account(call)
        call.stream = True
        if json_body.flag(fields, "background"):
            raise errors.InvalidRequest(
                "A response over a socket can't run in the background. Use POST /responses.",
                param="background",
                code="unsupported_parameter",
            )
        target = admission.resolve(call.caller, self.account, call.model_asked, RESPONSES.model_type)
        call.plan = plan_of(call, target)
        call.references = self._not_own(call.references) + admission.references_of(target)
        await admit(call)
        return call

    async def _check_other(self, message: str | bytes, fields: Fields) -> None:
        _, named = named_models.for_account(self.call.caller, self.account, fields)
        if named or "model" in fields:
            raise errors.InvalidRequest(
                "Only response.create may name a model.", param="model", code="unknown_parameter"
            )
        body = encoded(message)
        self.call.references = self._not_own(find_references(body, fields))
        await ownership.check_references(self.call, self.account)

    def _not_own(self, references: list[tuple[str, str]]) -> list[tuple[str, str]]:
        """Return ``references`` without what this socket created itself: the vendor keeps that for it, stored or
        not.
        """
        return [(field, name) for field, name in references if name not in self._ids]

    # --- from the upstream ------------------------------------------------------------------------------------------
    async def from_upstream(self, message: str | bytes) -> str | bytes | None:
        """Record what a server event makes before it goes on.

        Raises ``Unavailable`` when that can't be recorded.
        """
        if not isinstance(message, str) or not any(mark in message for mark in MARKS):
            self._hear(message)
            return message
        try:
            fields = _fields.decode(message)
        except (ValueError, RecursionError):
            return message
        kind = text(fields, "type")
        lane = self._lanes.get(text(fields, "stream_id"))
        if lane:
            await self._read(kind, fields, lane, len(message))
            if not lane:
                del self._lanes[text(fields, "stream_id")]
        return message

    def _hear(self, message: str | bytes) -> None:
        """Note a delta, for the response that its lane is at."""
        lanes = self._lanes
        if len(lanes) > 1 and isinstance(message, str):
            name = _lane_of(message)
            lanes = {name: lanes[name]} if name in lanes else {}
        for lane in lanes.values():
            running = lane[0].running
            if running.record.object_id:
                running.first_output()
                if running.output is not None and isinstance(message, str):
                    running.output.keep(b"data: %b\n\n" % message.encode())

    async def _read(self, kind: str, fields: Fields, lane: deque[PendingResponse], size: int) -> None:
        making = lane[0]
        record = making.running.record
        record.bytes_out += size
        response = _object(fields.get("response"))
        if kind == CREATED:
            record.object_id = makers.text(response, "id")[:200]
            record.status = record.upstream_status = 200
            self._ids.append(record.object_id)
        made = [each for each in _created(making.call, fields) if each.object_id not in self._known]
        if made:
            self._ids.extend(each.object_id for each in made)
            self._known = set(self._ids)
            await objects.record(made)
        if kind in ENDINGS:
            lane.popleft()
            metering.read_fields(record, fields, self.account.vendor.usage)
            if kind == "response.failed":
                record.error_class = "upstream_error"
            making.end(None)
        elif kind == "error":
            lane.popleft()
            self._failed(making, fields)

    def _failed(self, making: PendingResponse, fields: Fields) -> None:
        record = making.running.record
        record.error_class = "upstream_error"
        if not record.object_id:  # refused before anything was made: nothing to pay
            status: Any = msgspec.json.decode(fields.get("status", b"null"))
            record.status = record.upstream_status = status if isinstance(status, int) else 400
            making.running.free = True
        making.end(None)

    # --- the end ----------------------------------------------------------------------------------------------------
    def finish(self, error: BaseException | None, cut: BaseException, *, client_gone: bool) -> None:
        """Record everything that is not yet: ``cut`` is what ended the responses that are not complete."""
        for lane in self._lanes.values():
            for place, making in enumerate(lane):
                making.running.free = place > 0  # the vendor had not begun it
                making.end(cut, client_gone=client_gone)
        self._lanes.clear()
        self.records.end(error, cut, client_gone=client_gone, billed=False)


def _created(call: Call, fields: Fields) -> list[NewObject]:
    assert call.operation.creates is not None  # a response is an object
    return call.operation.creates.records(call, fields)


def _stream_id(fields: Fields) -> str:
    """Return the lane that an event is for.

    Raises :class:`~gateway.call.errors.InvalidRequest` for a name that is too long.
    """
    name = text(fields, "stream_id")
    if len(name) > STREAM_ID_CHARACTERS:
        raise errors.InvalidRequest(
            f"'stream_id' is longer than {STREAM_ID_CHARACTERS} characters.", param="stream_id", code="string_too_long"
        )
    return name


def _lane_of(message: str) -> str:
    """Return the lane of a server's event, empty where it names none."""
    try:
        return text(_fields.decode(message), "stream_id")
    except (ValueError, RecursionError):
        return ""


def _object(raw: msgspec.Raw | None) -> Fields:
    try:
        return _fields.decode(raw or b"{}")
    except (ValueError, RecursionError):
        return {}
