"""Calls over WebRTC and SIP. Their audio passes the gateway by; a sideband of its own meters each response, checks what
the session is set to, and hangs the call up when it must end.

The sideband belongs to the process that began the call. Every other one, and a job should this one die, can hang it up.
"""

import asyncio
import contextlib
import logging
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.call import errors
from gateway.call.call import Call
from gateway.models import NewObject
from gateway.objects import calls as call_records
from gateway.objects.job_kinds import REALTIME_CALL
from gateway.objects.records import new_object
from gateway.objects.store import mark_deleted, objects
from gateway.policies import release
from gateway.realtime.audio_estimate import UnheardAudio
from gateway.realtime.closing import CloseReason
from gateway.realtime.kinds import CALL
from gateway.realtime.realtime_dialogue import SESSION_EVENTS, Dialogue
from gateway.realtime.session import Session, SessionCall
from gateway.realtime.sideband import join
from gateway.realtime.slots import Slots
from gateway.server.access_log import log_call
from gateway.state import state
from providers.dialects import dialect_of
from providers.redaction import redactor
from providers.snapshot import Target
from providers.upstream.client import UpstreamRequest
from providers.upstream.failures import UpstreamFailure

logger = logging.getLogger("gateway.realtime")

HANG_UP_SECONDS = 5.0
USAGE_SECONDS = 0.5
"""How long a hang-up waits for what a cancelled response used."""
DRAIN_SECONDS = 5.0
"""How long a response that is being made may take when the server ends; then its call is hung up."""
# What a vendor adds to the settings that it was given.
VENDORS_OWN = frozenset({"id", "object", "expires_at", "client_secret", "model"})
SNAPSHOT = re.compile(r"-20\d\d-\d\d-\d\d\Z")


class SessionEvent(msgspec.Struct):
    """What is read of an event that reports a session's settings."""

    type: str = ""
    session: dict[str, Any] | None = None


_event = msgspec.json.Decoder(SessionEvent)
_encode = msgspec.json.Encoder().encode


class CallDialogue(Dialogue):
    """A call's events on the gateway's own sideband: metered, and the settings that they report checked.

    A client's own channel to the vendor can change the session without us. So what the vendor reports is checked as if
    the client had sent it here: a setting that the caller has no right to ends the call.
    """

    def __init__(self, call: Call, target: Target, call_id: str, named: Mapping[tuple[str, ...], Target]) -> None:
        super().__init__(call, target.account, CALL, target)
        self._audio = UnheardAudio()
        self._call_id = call_id
        self._note_id()
        self.take_targets(named)

    async def from_upstream(self, message: str | bytes) -> str | bytes | None:
        """Read an event; nothing goes on. Raises :class:`~gateway.call.errors.CallError` for a forbidden setting."""
        await super().from_upstream(message)
        try:
            event = _event.decode(message)
        except (ValueError, RecursionError):
            return None
        if event.type in SESSION_EVENTS and event.session is not None:
            self._note_id()
            given = {name: value for name, value in event.session.items() if name not in VENDORS_OWN}
            self._undate(given)
            await self.from_client(_encode({"type": "session.update", "session": given}).decode())
        return None

    def _note_id(self) -> None:
        self.records.session.record.object_id = self._call_id

    def _undate(self, given: dict[str, Any]) -> None:
        """Name the transcriber as it was asked for, where the vendor reports a dated snapshot of it."""
        node: Any = given
        for step in ("audio", "input", "transcription"):
            node = node.get(step) if isinstance(node, dict) else None
        name = node.get("model") if isinstance(node, dict) else None
        if isinstance(name, str) and name.lower() not in self.account.upstream_ids:
            node["model"] = SNAPSHOT.sub("", name)


class Leg:
    """The side of a call that does not pass us, as the client of its session: silent here, ended by a hang-up."""

    asked_method = "CALL"

    def __init__(self, call: SessionCall, target: Target, call_id: str, dialogue: CallDialogue) -> None:
        self.call: Call | None = call
        self._dialogue = dialogue
        self.request_id = call.request_id
        self.path = f"/v1/realtime/calls/{call_id}"
        self.status = 101
        self.over = False
        self._target = target
        self._call_id = call_id

    async def receive(self) -> str | bytes:
        """Wait for ever: what is said goes straight to the vendor."""
        silence: asyncio.Future[str | bytes] = asyncio.get_running_loop().create_future()
        return await silence

    async def send(self, message: str | bytes) -> None:
        """Send nothing: the other side hears the vendor itself."""

    async def end(self, ending: CloseReason) -> None:
        """Hang up, also where the upstream closed the sideband: nothing may go on unmetered.

        A response that is being made is cancelled meanwhile; what it used is reported before the call is over.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + USAGE_SECONDS
        while ending.side == "gateway" and self._dialogue.busy and loop.time() < until:
            await asyncio.sleep(USAGE_SECONDS / 20)
        self.over = await hang_up(self._target, self._call_id)


def record_of(call: Call, target: Target, call_id: str) -> NewObject:
    """Return the record of a call that is begun or accepted: a job hangs it up unless a worker keeps it."""
    return new_object(
        call.caller,
        target.account.name,
        REALTIME_CALL.kind,
        call_id,
        model_name=target.model.public_name,
        metadata=call.options.metadata,
        data={"request_id": call.request_id},
        due_in=call_records.KEPT,
    )


async def meter(
    call: SessionCall, target: Target, call_id: str, named: Mapping[tuple[str, ...], Target], slots: Slots
) -> None:
    """Join a call that was begun, and meter it in a task of its own until it is over; ``slots`` are released then.

    ``named`` are the models that its settings name. Raises ``UpstreamFailure`` when the call can't be joined: the
    code that began it hangs it up then.
    """
    sideband = await join(target, call_id)
    dialogue = CallDialogue(call, target, call_id, named)
    leg = Leg(call, target, call_id, dialogue)
    session = Session(leg, sideband, dialogue, redactor(target.account.secrets), ends_idle=False)
    call.attach(session)
    state.finish_later(_run(call, leg, session, target.account.name, call_id, slots))


async def _run(call: SessionCall, leg: Leg, session: Session, account: str, call_id: str, slots: Slots) -> None:
    task = asyncio.current_task()
    keeper = asyncio.create_task(_keep(session, account, call_id))

    async def end_with_server() -> None:
        session.drain(DRAIN_SECONDS)
        if task is not None:
            await asyncio.wait([task])

    state.endings.add(end_with_server)
    try:
        with slots:
            ending = await session.run()
        call.error = errors.code_of(ending.error) if ending.error is not None else ""
    finally:
        keeper.cancel()
        state.endings.discard(end_with_server)
        state.running.discard(call)
        release(call)
        log_call(leg, leg.status)
    if leg.over:
        with contextlib.suppress(
            errors.Unavailable
        ):  # the job that finds it due learns from the upstream that it is over
            await objects.run(mark_deleted, call_id, account)
            objects.forget(call_id, account)


async def _keep(session: Session, account: str, call_id: str) -> None:
    """Note now and then that this process meters the call; end it when the records say that it is over."""
    while True:
        await asyncio.sleep(call_records.KEEP_SECONDS)
        with contextlib.suppress(errors.Unavailable):  # a job that would hang it up can't read the records either
            if not await objects.run(call_records.keep, account, call_id):
                session.fail(errors.SessionOver("The call was ended.", code="call_ended"))
                return


async def hang_up(target: Target, call_id: str) -> bool:
    """End a call at the upstream; return whether it is over. Where it isn't, a job tries again."""
    dialect = dialect_of(target.account)
    url = dialect.url(target, f"{REALTIME_CALL.address(call_id)}/hangup")
    request = UpstreamRequest("POST", url, dialect.headers(target.account), total_timeout=HANG_UP_SECONDS)
    try:
        answer = await state.client.send(target.account, request)
    except UpstreamFailure as failure:
        logger.warning("Call %s can't be hung up: %s A job tries again.", call_id, failure)
        return False
    answer.close()
    over = answer.status < 300 or answer.status in call_records.OVER
    if not over:
        logger.warning("Call %s can't be hung up: the upstream answered %d. A job tries again.", call_id, answer.status)
    return over


def hang_up_soon(target: Target, call_id: str) -> None:
    """Hang a call up that no one meters, in the background."""

    async def work() -> None:
        await hang_up(target, call_id)

    state.finish_later(work())
