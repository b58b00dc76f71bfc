"""Realtime, translation and live sessions: the client's events checked, the server's events metered.

Frames go on as they came, but for model names, which become the vendor's.
"""

import re
from collections.abc import Callable, Mapping, Set
from typing import Any

import msgspec

from accounts.numbers import milliseconds
from gateway.access import accounts as access_accounts
from gateway.access import named_models
from gateway.billing import usage as metering
from gateway.billing.audio_length import PCM_BYTES_PER_MS
from gateway.body import json as json_body
from gateway.body.model_fields import may_name
from gateway.body.references import find_references
from gateway.call.call import Call
from gateway.call.errors import InvalidRequest
from gateway.objects import ownership
from gateway.policies.access import plan_of
from gateway.realtime import targets as admission
from gateway.realtime.audio_estimate import SessionAudio
from gateway.realtime.closing import error_event
from gateway.realtime.frames import Fields, encoded, fields_of, refuse_other_case, rewritten, text
from gateway.realtime.kinds import CALL, LIVE, TRANSLATION, Kind
from gateway.realtime.records import Records
from providers.routing.naming import is_naming
from providers.snapshot import AccountSnapshot, Target

# Audio: most of what clients send, and nothing in it names anything.
SOUND = frozenset({"input_audio_buffer.append", "session.input_audio_buffer.append", "session.input_audio.append"})
# Such an event as SDKs write it, wholly: it is seen at a glance, without being parsed.
PLAIN_SOUND = re.compile(
    r'\{(?:"event_id": ?"[\w-]*", ?)?"type": ?"(?:session\.)?input_audio(?:_buffer)?\.append", ?"audio": '
    r'?"[A-Za-z0-9+/=]*"'
    r'(?:, ?"event_id": ?"[\w-]*")?\}\Z',
    re.ASCII,
).match
CANCEL = '{"type":"response.cancel"}'
# Ids in these fields are the session's own; the vendor knows no others there.
SESSION_FIELDS = frozenset({"response_id", "item_reference", "comparison_response_id"})
CONVERSATIONS = frozenset({"auto", "none"})
# Where an event can name models, and what it must hold for that; an escape could hide the name.
SETTINGS_FIELDS = ("session", "response")
# What events of the API have at their top level; what has more is looked at like a body.
EVENT_FIELDS = frozenset(
    {
        *("type", "event_id", "session", "response", "item", "item_id", "previous_item_id", "response_id"),
        *("audio", "audio_end_ms", "content_index"),
    }
)
ITEM_FIELDS = frozenset(
    {
        *("type", "id", "object", "status", "role", "phase", "content", "call_id", "name", "arguments", "output"),
        *("server_label", "approval_request_id", "approve", "reason", "error", "channel"),
    }
)
SOUND_FIELDS = frozenset({"type", "event_id", "audio"})
MODEL = b'"model"'
SESSION_EVENTS = ("session.created", "session.updated", "session.started")
TRANSCRIBED = "conversation.item.input_audio_transcription.completed"


class ServerEvent(msgspec.Struct):
    """What is read of every server event."""

    type: str = ""


class Usage(msgspec.Struct):
    """The usage of a live session so far."""

    seconds: float = 0.0


class Response(msgspec.Struct):
    """What is read of a response."""

    id: str = ""
    status: str = ""


class Session(msgspec.Struct):
    """What is read of a session."""

    id: str = ""
    model: str = ""


class EventFields(msgspec.Struct):
    """What is read of a server event about usage, a response or the session."""

    response: Response | None = None
    session: Session | None = None
    usage: Usage | None = None
    item_id: str = ""
    content_index: int = 0
    delta: str = ""
    event: msgspec.Raw = msgspec.Raw(b"null")


Handlers = dict[str, Callable[[str, EventFields], None]]
_type = msgspec.json.Decoder(ServerEvent)
_event = msgspec.json.Decoder(EventFields)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_object = msgspec.json.Decoder(dict[str, Any])
# Decodes an item that has the API's fields alone.
_item: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    msgspec.defstruct(
        "Item", [(name, msgspec.Raw, msgspec.Raw(b"null")) for name in ITEM_FIELDS], forbid_unknown_fields=True
    )
    | None
)
_encode = msgspec.json.Encoder().encode
_done = re.compile(r"response\.(?:completed|failed|incomplete)\Z")


class Dialogue:
    """One session's events. Both directions return what goes on, or ``None`` for nothing.

    ``metered`` is false where another socket of ours on the same call meters its responses.
    """

    def __init__(
        self, call: Call, account: AccountSnapshot, kind: Kind, target: Target, *, metered: bool = True
    ) -> None:
        self.call = call
        self.account = account
        self.kind = kind
        self.target = target
        name = "live" if kind is LIVE else "realtime"
        self.records = Records(call, target, name, "realtime_call" if kind is CALL else f"{name}_session")
        transcribes = target.model.listed and "audio_transcription" in target.model.model_types
        self._transcriber = target if transcribes else None
        self._delegate: Target | None = None
        self._announced: dict[str, Target] = {}
        self._sound_in = self._sound_out = 0
        self._audio: SessionAudio = SessionAudio()
        self._handlers: Handlers = {
            "response.created": self._response_created,
            "response.done": self._response_done,
            TRANSCRIBED: self._transcribed,
            **dict.fromkeys(SESSION_EVENTS, self._session_described),
            "session.usage.updated": self._session_used,
            "session.closed": self._session_used,
            "response.event": self._delegated,
            "session.output_audio.delta": self._sound_made,
        }
        if not metered:
            self._handlers = {kind: each for kind, each in self._handlers.items() if kind in SESSION_EVENTS}

    @property
    def busy(self) -> bool:
        """Whether a response is being made."""
        return bool(self.records.responses)

    def stop_event(self) -> str:
        """Return the event that asks the vendor to end what it makes, empty when there is none."""
        return "" if self.kind in (LIVE, TRANSLATION) else CANCEL

    # --- from the client --------------------------------------------------------------------------------------------
    async def from_client(self, message: str | bytes) -> str | bytes | None:
        """Check a client's event. Raises :class:`~gateway.call.errors.CallError` for one that must not go on."""
        if isinstance(message, str) and self.kind is not TRANSLATION and PLAIN_SOUND(message):
            self._audio.hear(message)
            return message
        fields = fields_of(message)
        kind = text(fields, "type")
        if kind in SOUND:
            if self.kind is TRANSLATION:
                self._sound_in += _sound_bytes(text(fields, "audio"))
            self._audio.hear(message)
            if fields.keys() <= SOUND_FIELDS:
                return message
        changed = self._check_models(fields, kind)
        await self._check_references(message, fields)
        return rewritten(message, fields) if changed else message

    def error_for(self, error: Exception, message: str | bytes) -> str:
        """Return the error event for a client's message that was refused."""
        try:
            return error_event(error, text(fields_of(message), "event_id") or None)
        except InvalidRequest:
            return error_event(error)

    def _check_models(self, fields: Fields, kind: str) -> bool:
        """Check the models that an event names; return whether the event is to be written again.

        It is whenever it may name one: so no name that is given twice means one model to us and another to the vendor.
        """
        if self.kind is LIVE and kind == "session.start" and MODEL not in bytes(fields.get("session", b"")):
            raise InvalidRequest(
                "session.start must name a model.", param="session.model", code="missing_required_parameter"
            )
        changed = not fields.keys() <= EVENT_FIELDS and self._check_extra(fields, fields.keys() - EVENT_FIELDS)
        named = [name for name in SETTINGS_FIELDS if _mentions_model(fields.get(name))]
        if "item" in fields:
            self._check_item(bytes(fields["item"]))
        for name in named:
            try:
                settings = _object.decode(fields[name])
            except (ValueError, RecursionError):
                raise InvalidRequest(f"'{name}' must be an object.", param=name, code="invalid_type") from None
            self.take_targets(admission.admit_settings(self.call.caller, self.account, settings))
            fields[name] = msgspec.Raw(_encode(settings))
        return bool(named) or changed

    def _check_extra(self, fields: Fields, extra: Set[str]) -> bool:
        """Check what an event has beside the API's fields as HTTP does; return whether models in it were renamed."""
        refuse_other_case(extra, EVENT_FIELDS)
        others = {name: fields[name] for name in extra}
        if "model" in others:
            raise InvalidRequest(
                "An event names its model in 'session' or 'response'.", param="model", code="unknown_parameter"
            )
        found, named = named_models.for_account(self.call.caller, self.account, others)
        fields.update(found)
        return bool(named)

    def _check_item(self, raw: bytes) -> None:
        """Check what an item has beside the API's fields. None of those names a model, so none is renamed."""
        try:
            _item.decode(raw)
        except (ValueError, RecursionError):
            pass
        else:
            return
        item = json_body.decode_fields(raw)
        extra = item.keys() - ITEM_FIELDS
        if extra:
            refuse_other_case(extra, ITEM_FIELDS)
            for name in extra:
                if is_naming(name, top=True):
                    raise InvalidRequest("An item names no model.", param=f"item.{name[:80]}", code="unknown_parameter")
            others = {name: item[name] for name in extra}
            named_models.for_account(self.call.caller, self.account, others, sent_as_is=True)

    def take_targets(self, targets: Mapping[tuple[str, ...], Target]) -> None:
        """Take the models that settings name into account: who transcribes, who answers."""
        for types, target in targets.items():
            if types == ("realtime",):
                self._announced[target.model.upstream_id] = target
                if not self.target.model.name and target.model.name:
                    self._switch(target)
            elif "audio_transcription" in types:
                self._transcriber = target
                if not self.target.model.name:
                    self._switch(target)
            else:
                self._delegate = target

    async def _check_references(self, message: str | bytes, fields: Fields) -> None:
        body = encoded(message)
        found = [
            (field, name)
            for field, name in find_references(body, fields, "realtime")
            if field not in SESSION_FIELDS and not (field == "conversation" and name in CONVERSATIONS)
        ]
        found += [reference for target in self._announced.values() for reference in admission.references_of(target)]
        if found:
            self.call.references = found
            await ownership.check_references(self.call, self.account)

    # --- from the upstream ------------------------------------------------------------------------------------------
    async def from_upstream(self, message: str | bytes) -> str | bytes | None:
        """Take what a server event says of usage into the records."""
        if isinstance(message, str):
            try:
                kind = _type.decode(message).type
                handler = self._handlers.get(kind)
                if handler is not None:
                    handler(message, _event.decode(message))
                elif self.records.responses and kind.endswith(".delta"):
                    self._audio.say(kind, message)
                    for running in self.records.responses.values():
                        running.first_output()
            except (ValueError, RecursionError):
                return message
        return message

    def _response_created(self, message: str, event: EventFields) -> None:
        if event.response is not None:
            self.records.begin(event.response.id, self.target)

    def _response_done(self, message: str, event: EventFields) -> None:
        if event.response is None:
            return
        running = self.records.take(event.response.id, self.target)
        if running is None:
            return
        metering.read_fields(running.record, _fields.decode(message), self.account.vendor.usage)
        if event.response.status == "failed":
            running.record.error_class = "upstream_error"
        self._audio.fill(running.record)
        running.end(None)

    def _transcribed(self, message: str, event: EventFields) -> None:
        target = self._transcriber or Target(self.account, access_accounts.no_model(self.account))
        running = self.records.transcription(f"{event.item_id}:{event.content_index}", target)
        if running is None:
            return
        usage = _fields.decode(message).get("usage")
        if usage is not None:
            metering.read_usage(running.record, usage, self.account.vendor.usage)
        running.end(None)

    def _session_described(self, message: str, event: EventFields) -> None:
        if event.session is None:
            return
        self._audio.configure(message)
        self.records.session.record.object_id = event.session.id[:200]
        target = self._announced.get(event.session.model)
        if target is not None and target is not self.target:
            self._switch(target)

    def _switch(self, target: Target) -> None:
        """Go on with another model: from now on responses are its."""
        self.target = target
        self.call.plan = plan_of(self.call, target)
        record = self.records.session.record
        if not record.model_served or self.records.session.target.model.name == "":
            self.records.session.target = target
            record.model_served = target.model.upstream_id
            record.model_asked = target.model.public_name

    def _session_used(self, message: str, event: EventFields) -> None:
        if event.usage is not None:
            self.records.session.record.units = {"audio_ms": milliseconds(event.usage.seconds) or 0}

    def _sound_made(self, message: str, event: EventFields) -> None:
        if self.kind is TRANSLATION:
            self._sound_out += _sound_bytes(event.delta)

    def _delegated(self, message: str, event: EventFields) -> None:
        """Meter a response that the live session had made by another model."""
        kind = _type.decode(event.event).type
        response = _event.decode(event.event).response
        if response is None or self._delegate is None:
            return
        if kind == "response.created":
            self.records.begin(response.id, self._delegate)
        elif _done.match(kind):
            running = self.records.take(response.id, self._delegate)
            if running is not None:
                metering.read_fields(running.record, _fields.decode(event.event), self.account.vendor.usage)
                running.end(None)

    # --- the end ----------------------------------------------------------------------------------------------------
    def finish(self, error: BaseException | None, cut: BaseException, *, client_gone: bool) -> None:
        """Record everything that is not yet: ``cut`` is what ended the responses that are not complete."""
        if self.kind is TRANSLATION:
            sound = {"input_audio_ms": self._sound_in, "output_audio_ms": self._sound_out}
            self.records.session.record.units = {
                name: size // PCM_BYTES_PER_MS for name, size in sound.items() if size >= PCM_BYTES_PER_MS
            }
        for running in self.records.responses.values():
            self._audio.fill(running.record)
        self.records.end(error, cut, client_gone=client_gone, billed=self.kind in (LIVE, TRANSLATION))


def _mentions_model(settings: msgspec.Raw | None) -> bool:
    """Whether settings can name a model."""
    return may_name(bytes(settings or b""))


def _sound_bytes(encoded: str) -> int:
    """Return how many bytes a base64 text holds."""
    return len(encoded) * 3 // 4 - encoded.endswith("=") - encoded.endswith("==")
