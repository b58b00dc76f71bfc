"""``/realtime/calls``: calls over WebRTC, begun with an SDP offer, and incoming ones over SIP.

The offer goes up with the account's key. Its answer goes back when a socket of ours has joined the call.
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec
from django.conf import settings

from gateway.access import accounts as access_accounts
from gateway.access import default_models, grants
from gateway.body import json as json_body
from gateway.body.offer import read_offer, read_settings, write_offer
from gateway.body.references import find_references
from gateway.call import errors
from gateway.call.body import Body
from gateway.call.call import Call
from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.describe import begin_call, read_json_body, read_unpacked_body
from gateway.endpoints.realtime import BrowserView
from gateway.objects import calls as call_records
from gateway.objects import operations, ownership
from gateway.objects.records import visible
from gateway.objects.store import objects
from gateway.pipeline import run as pipeline_run
from gateway.policies import admit, release
from gateway.policies.access import plan_of
from gateway.realtime import calls, client_secrets
from gateway.realtime import targets as admission
from gateway.realtime.kinds import REALTIME
from gateway.realtime.session import SessionCall
from gateway.realtime.slots import Slots
from gateway.state import state
from providers.snapshot import AccountSnapshot, Target
from providers.upstream.failures import BrokenAnswer

ABILITY = "realtime_calls"
ANSWER_BYTES = 2**20


@dataclass(slots=True)
class Asked:
    """What a call is to be: where it goes, and its session's settings with the vendor's names of models.

    ``named`` are the models in them, by model types.
    """

    target: Target
    named: dict[tuple[str, ...], Target]
    session: dict[str, Any]


class CallView(BrowserView):
    """A view of calls."""

    async def ask(self, call: Call, given: dict[str, Any], model: str, param: str) -> Asked:
        """Check a session's settings and return where it goes; ``model`` is what names it where they don't.

        ``param`` is the place of the settings in the request: what comes before a field's name, with a dot. Raises
        what the models, objects and account in them are refused with.
        """
        session, model = self._with_secret(call, given, model)
        if session.setdefault("type", "realtime") != "realtime":
            raise errors.InvalidRequest("A call's session must be of the type 'realtime'.", param=f"{param}type")
        if not session.setdefault("model", model):
            chosen = default_models.choose(
                call.caller, REALTIME.operation, call.account_name, prompt=bool(session.get("prompt"))
            )
            session["model"] = chosen.model.public_name
        if not isinstance(session["model"], str):
            raise errors.InvalidRequest("'model' must be a string.", param=f"{param}model", code="invalid_type")
        call.model_asked = session["model"] = session["model"].strip()
        in_path = call.account_name if call.account_binds else ""
        account = admission.account_for(call.caller, REALTIME, in_path, call.account_name, call.model_asked)
        assert account is not None  # a model is named
        check_ability(account)
        named = admission.admit_settings(call.caller, account, session)
        target = named[("realtime",)]
        if self.secret is not None and self.secret.model:
            meant = admission.resolve(call.caller, account, self.secret.model, "realtime")
            admission.check_secret_model(self.secret, target, meant)
        for each in named.values():
            call.references += admission.references_of(each)
        call.account_name = account.name
        return Asked(target, named, session)

    def _with_secret(self, call: Call, given: dict[str, Any], model: str) -> tuple[dict[str, Any], str]:
        """Return the settings over those of the client secret, and the model that is meant where they name none."""
        if self.secret is None:
            return dict(given), model
        admission.check_secret(self.secret, REALTIME, call.account_name, call.account_name, "")
        if self.secret.kind != "realtime":
            raise admission.out_of_scope(self.secret)
        call.account_name = self.secret.account
        return {**client_secrets.settings_of(self.secret), **given}, model or self.secret.model

    def check_account(self, account: AccountSnapshot) -> None:
        """Raise :class:`~gateway.call.errors.Forbidden` for a call on another account than the client secret's."""
        if self.secret is not None:
            admission.check_secret_account(self.secret, account.name)


class Calls(CallView):
    """Begin a call over WebRTC."""

    operation: ClassVar[Operation] = operations.CALL_CREATE

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Send an SDP offer up; return the answer, and the call's id in the header ``Location``."""
        call = begin_call(request, self.caller, self.operation)
        offer, given = read_offer(request.raw_headers.get(b"content-type", b""), await read_unpacked_body(request))
        asked = await self.ask(call, given, str(request.GET.get("model") or ""), "session.")
        raw = msgspec.json.encode(asked.session)
        call.references += find_references(raw, {"session": msgspec.Raw(raw)}, call.endpoint)
        content_type, body = write_offer(offer, asked.session)
        call.body = Body(body, content_type=content_type)
        async with _metered(call, asked) as metered:
            reply = await _whole(await pipeline_run.deliver(call))
            if reply.status >= 300:
                return reply
            call_id = _id_of(call)
            await metered.begun(call_id, claim=True)
        place = f"{settings.BASE_PATH}{request.path.rstrip('/')}/{call_id}"
        return Reply(reply.status, [*reply.headers, (b"location", place.encode())], reply.body)


class AcceptCall(CallView):
    """Accept an incoming call. It belongs to the caller who accepts it first."""

    operation: ClassVar[Operation] = operations.CALL_ACCEPT

    async def post(self, request: InferenceRequest, call_id: str, **kwargs: Any) -> Reply:
        """Accept a call with a session on an account of the caller's, whose model the caller may call."""
        call = begin_call(request, self.caller, self.operation)
        call.path = f"{operations.CALLS}/{ownership.check_id(call_id)}/accept"
        await read_json_body(request, call)
        asked = await self.ask(call, read_settings(call.body.raw, "body"), "", "")
        await check_incoming(call, asked.target.account, call_id)
        raw = msgspec.json.encode(asked.session)
        call.body = Body(raw, json_body.decode_fields(raw))
        async with _metered(call, asked) as metered:
            if not await objects.run(call_records.claim, calls.record_of(call, asked.target, call_id)):
                raise ownership.unknown(call_id)  # another caller was quicker
            reply = await metered.accept(call_id)
            if reply.status < 300:
                await metered.begun(call_id, claim=False)
        return reply


class RejectCall(CallView):
    """Decline an incoming call."""

    operation: ClassVar[Operation] = operations.CALL_REJECT

    async def post(self, request: InferenceRequest, call_id: str, **kwargs: Any) -> Reply:
        """Decline a call that no one has accepted, on an account where the caller may call a realtime model."""
        call = begin_call(request, self.caller, self.operation)
        call.path = f"{operations.CALLS}/{ownership.check_id(call_id)}/reject"
        await read_json_body(request, call, may_be_empty=True)
        account = access_accounts.choose_account(self.caller, self.operation, call.account_name)
        self.check_account(account)
        check_ability(account)
        if not grants.offers(self.caller, account, "realtime"):
            message = f"You may call no realtime model of {account.name!r}, so its calls are not yours to decline."
            raise errors.Forbidden(message)
        await check_incoming(call, account, call_id)
        call.account_name = account.name
        return await pipeline_run.run(call)


class HangUpCall(CallView):
    """End a call of the caller's."""

    operation: ClassVar[Operation] = operations.CALL_HANGUP
    action: ClassVar[str] = "hangup"

    async def post(self, request: InferenceRequest, call_id: str, **kwargs: Any) -> Reply:
        """Pass it on, for a call that the caller may know of."""
        call = begin_call(request, self.caller, self.operation)
        account, call.parent = await ownership.locate(self.caller, call_id, call.account_name)
        self.check_account(account)
        call.account_name = account.name
        call.path = f"{operations.CALLS}/{call_id}/{self.action}"
        await read_json_body(request, call, may_be_empty=True)
        return await pipeline_run.run(call)


class ReferCall(HangUpCall):
    """Transfer a call of the caller's to another number or address."""

    operation = operations.CALL_REFER
    action = "refer"


class _Metered:
    """A call on its way: whatever fails from here on, nothing goes on at the upstream that no one meters."""

    def __init__(self, call: Call, asked: Asked, session: SessionCall, slots: Slots) -> None:
        self._call = call
        self._asked = asked
        self._session = session
        self._slots = slots

    async def accept(self, call_id: str) -> Reply:
        """Send the claimed call's acceptance; the claim ends when it fails."""
        account = self._asked.target.account.name
        try:
            reply = await _whole(await pipeline_run.deliver(self._call))
        except BaseException:  # the request's boundary: whatever ends it, the call may have been accepted all the same
            calls.hang_up_soon(self._asked.target, call_id)
            raise
        if reply.status >= 300:
            await objects.run(call_records.unclaim, account, call_id)
        return reply

    async def begun(self, call_id: str, *, claim: bool) -> None:
        """Record the owner of a call that goes on, unless it was claimed, and meter it from now on."""
        asked = self._asked
        try:
            if claim and not await objects.run(call_records.claim, calls.record_of(self._call, asked.target, call_id)):
                raise BrokenAnswer("The upstream gave the call an id that another call has.")
            await calls.meter(self._session, asked.target, call_id, asked.named, self._slots)
        except BaseException:  # the request's boundary: also for a client that leaves, and a token that is revoked
            calls.hang_up_soon(asked.target, call_id)
            raise


@contextlib.asynccontextmanager
async def _metered(call: Call, asked: Asked) -> AsyncIterator[_Metered]:
    """Run the policies for a call's session and take its place among the sessions; give it back unless it is begun."""
    session = SessionCall(call.caller, operations.REALTIME_CALL, call.options, call.request_id)
    session.account_name, session.model_asked = call.account_name, call.model_asked
    session.plan = call.plan = plan_of(session, asked.target)
    session.references = call.references
    slots = Slots()
    begun = False
    state.running.add(session)
    try:
        await admit(session)
        await slots.take_session(call.caller, asked.target.account)
        yield _Metered(call, asked, session, slots)
        begun = session.attached
    finally:
        if not begun:
            state.running.discard(session)
            release(session)
            slots.release()


def check_ability(account: AccountSnapshot) -> None:
    """Raise :class:`~gateway.call.errors.InvalidRequest` unless a socket of ours can join calls on the account."""
    if ABILITY not in account.vendor.abilities:
        raise errors.InvalidRequest(
            f"Calls over WebRTC and SIP are not supported on the provider account {account.name!r}: "
            f"{account.vendor.label} has no socket beside a call, so it could be neither metered nor ended. Use a "
            "realtime socket (/realtime).",
            param="x-tfy-provider-name",
            code="calls_not_supported",
        )


async def check_incoming(call: Call, account: AccountSnapshot, call_id: str) -> None:
    """Raise when the call is accepted: :class:`~gateway.call.errors.NotFound` for another caller's."""
    found = await objects.find(call_id, account.name)
    if not found:
        return
    if visible(call.caller, found[0], account.isolation):
        raise errors.InvalidRequest("The call was accepted before.", param="call_id", code="call_already_accepted")
    raise ownership.unknown(call_id)


async def _whole(reply: Reply) -> Reply:
    """Return a reply with its whole body, where it came in pieces. Raises ``BrokenAnswer`` for more than 1 MB."""
    if reply.stream is None:
        return reply
    body = bytearray()
    with contextlib.closing(reply):
        async for piece in reply.stream:
            body += piece
            if len(body) > ANSWER_BYTES:
                raise BrokenAnswer("The upstream's answer to the call is larger than 1 MB.")
    headers = [(name, value) for name, value in reply.headers if name != b"content-length"]
    return Reply(reply.status, headers, bytes(body))


def _id_of(call: Call) -> str:
    """Return the id that the upstream gave a call. Raises ``BrokenAnswer`` when it gave none."""
    answer = call.attempt.answer if call.attempt is not None else None
    location = answer.headers.get("location", "") if answer is not None else ""
    call_id = urlsplit(location).path.rstrip("/").rpartition("/")[2]
    if not ownership.is_id(call_id):
        raise BrokenAnswer("The upstream's answer does not say the call's id (Location).")
    return call_id
