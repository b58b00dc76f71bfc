"""The Channels consumer of every socket: who opens it, what for, and the session that follows."""

import asyncio
import urllib.parse
from collections.abc import Mapping
from time import perf_counter_ns

import msgspec
from channels.consumer import AsyncConsumer
from django.conf import settings

from accounts.caller import Caller
from gateway.access import accounts as access_accounts
from gateway.access import models as access
from gateway.access.authentication import refuse_duplicate_headers
from gateway.body.references import FORM_FIELDS
from gateway.call import errors
from gateway.call.headers import FORWARDED, read_options
from gateway.call.request import Receive, Scope, Send
from gateway.models import Owned
from gateway.objects import ownership
from gateway.pipeline.records import record_refusal
from gateway.pipeline.traces import call_ended
from gateway.policies import admit, release
from gateway.policies.access import plan_of
from gateway.realtime import client_secrets
from gateway.realtime import targets as admission
from gateway.realtime.client import ClientGone, ClientSocket
from gateway.realtime.client_secrets import ClientSecret
from gateway.realtime.frames import fields_of, text
from gateway.realtime.kinds import REALTIME, RESPONSES, Kind
from gateway.realtime.realtime_dialogue import Dialogue as RealtimeDialogue
from gateway.realtime.responses_dialogue import ResponsesDialogue
from gateway.realtime.session import SETTLE_SECONDS, Dialogue, Session, SessionCall
from gateway.realtime.slots import Slots
from gateway.routing import keys
from gateway.server.access_log import log_call
from gateway.server.websocket import watch_shutdown
from gateway.state import state
from gateway.telemetry import meter
from gateway.telemetry import tracer as tracing
from providers.dialects import dialect_of
from providers.redaction import redactor
from providers.routing.naming import is_naming
from providers.snapshot import AccountSnapshot, Target
from providers.upstream.failures import UpstreamFailure
from providers.upstream.socket import HandshakeRefused, UpstreamSocket, open_socket

# Of the address' query these are ours to answer; the rest goes on to the upstream. Keys never do.
OWN_PARAMETERS = frozenset({"model", "call_id", "api-key", "api_key", "key", "token", "access_token"})
# At Azure's addresses these are, too: a deployment is a model by any of its names.
AZURE_PARAMETERS = frozenset({"deployment", "api-version"})
FIRST_EVENT_SECONDS = 30.0


class Opening:
    """A socket that is being opened: what its handshake says."""

    def __init__(self, client: ClientSocket, kind: Kind, place: Mapping[str, str]) -> None:
        self.client = client
        self.kind = kind
        self.in_path = place.get("account", "")
        own = OWN_PARAMETERS | AZURE_PARAMETERS if "azure" in place else OWN_PARAMETERS
        query = urllib.parse.parse_qsl(client.scope.get("query_string", b"").decode("latin1"), keep_blank_values=True)
        self.query = [
            (name, value) for name, value in query if name.lower() not in own and not is_naming(name, top=True)
        ]
        names = ("model", "deployment") if "azure" in place else ("model",)
        self.model = next((value for name, value in query if name in names), "")
        self.call_ids = [value for name, value in query if name.lower() == "call_id"]
        self.call_id = self.call_ids[0] if self.call_ids else ""
        self.joined: Owned | None = None
        self.intent = next((value for name, value in query if name == "intent"), "")
        self.options = read_options(client.raw_headers)
        self.first: str | bytes | None = None
        self.caller: Caller
        self.secret: ClientSecret | None = None

    def identify(self) -> None:
        """Find out who opens the socket, and what a client secret lets it be opened for."""
        refuse_duplicate_headers(self.client.scope)
        self.caller, self.secret = client_secrets.identify(self.client.raw_headers, self.client.subprotocols)
        if self.call_ids and (self.kind is not REALTIME or self.model or len(self.call_ids) > 1):
            raise errors.InvalidRequest(
                "'call_id' joins one call's realtime session, whose model is known: give it once, at /realtime, and no "
                "model.",
                param="call_id",
                code="invalid_value",
            )
        if self.secret is not None:
            if self.call_id and self.secret.kind != "realtime":
                raise admission.out_of_scope(self.secret)
            admission.check_secret(self.secret, self.kind, self.in_path, self.options.provider_name, self.intent)
            self.in_path = self.secret.account
            self.model = self.model or ("" if self.call_id else self.secret.model)
            if self.secret.kind == "transcription" and not self.intent:
                self.query.append(("intent", "transcription"))
                self.intent = "transcription"

    async def account(self) -> AccountSnapshot:
        """Return the account; where only the first event says it, open the socket and read that."""
        in_header = self.options.provider_name
        if self.call_id:
            return await self._account_of_call(self.in_path or in_header)
        found = admission.account_for(self.caller, self.kind, self.in_path, in_header, self.model)
        if found is None:
            await self.client.accept([])
            async with asyncio.timeout(FIRST_EVENT_SECONDS):
                self.first = await self.client.receive()
            name = _model_of_event(self.first)
            prefix, slash, _ = name.partition("/")
            found = state.directory.accounts.get(prefix) if slash else None
            found = (
                access_accounts.account_of(self.caller, prefix)
                if found
                else access.resolve(self.caller, name, "").account
            )
        return found

    async def _account_of_call(self, asked: str) -> AccountSnapshot:
        account, self.joined = await ownership.locate(self.caller, self.call_id, asked, "call_id")
        if asked not in (account.name, ""):
            raise ownership.unknown(self.call_id, "call_id")
        return account

    def target(self, account: AccountSnapshot) -> Target:
        """Return the model that the session begins with, which may be none yet.

        Refuses what the caller may not call.
        """
        if self.kind.models_in_events or (self.call_id and self.joined is None):
            return Target(account, access_accounts.no_model(account))
        if self.joined is not None:
            self.model = self.joined.model_name
        if self.model:
            target = admission.resolve(self.caller, account, self.model, self.kind.model_type)
            if self.secret is not None and self.secret.model:
                meant = admission.resolve(self.caller, account, self.secret.model, self.kind.model_type)
                admission.check_secret_model(self.secret, target, meant)
            return target
        if self.intent == "transcription":
            return Target(account, access_accounts.no_model(account))
        raise errors.InvalidRequest(
            "Name the model in the address, like ?model=gpt-realtime.", param="model", code="missing_required_parameter"
        )

    def address(self, target: Target) -> str:
        """Return the upstream's address."""
        query = list(self.query)
        if self.call_id:
            query.insert(0, ("call_id", self.call_id))
        elif target.model.name:
            query.insert(0, ("model", target.model.upstream_id))
        return dialect_of(target.account).url(target, self.kind.path, urllib.parse.urlencode(query))

    def forwarded(self) -> list[tuple[str, str]]:
        """Return the client's headers that go on to the upstream."""
        headers = self.client.raw_headers
        found = {name.decode("latin1"): value.decode("latin1") for name, value in headers.items() if name in FORWARDED}
        beta = client_secrets.beta_header(self.client.subprotocols)
        if beta:
            found.setdefault("openai-beta", beta)
        return list(found.items())


class SocketConsumer(AsyncConsumer):
    """One socket of a kind. Messages pass it directly, without a task for each as Channels' dispatch would make."""

    kind: Kind

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        client = ClientSocket(scope, receive, send)
        try:
            opening = Opening(client, self.kind, scope["url_route"]["kwargs"])
            opening.identify()
            await self._serve(opening)
        except (errors.CallError, UpstreamFailure) as error:
            if client.call is not None:
                client.call.error = errors.code_of(error)
                record_refusal(client.call, error)
            elif isinstance(error, errors.BadToken):
                meter.unauthenticated(errors.code_of(error))
            await client.refuse(error)
        except TimeoutError:
            await client.refuse(errors.BodyTimedOut(f"No first event came within {FIRST_EVENT_SECONDS:g} seconds."))
        except (ClientGone, ConnectionError):
            client.status = 499
        except asyncio.CancelledError:
            # While the upstream is connected to, the session's end cancels the task; so does the server when it stops.
            ended_by = client.call.ended_by if client.call is not None else None
            _uncancel()
            await client.refuse(ended_by or errors.shutting_down())
        finally:
            state.running.discard(client.call)
            if client.call is not None:
                release(client.call)
            log_call(client, client.status)
            if client.call is not None:
                call_ended(client.call, client.status)

    async def _serve(self, opening: Opening) -> None:
        client, kind = opening.client, opening.kind
        call = client.call = SessionCall(opening.caller, kind.operation, opening.options, client.request_id)
        call.model_asked = opening.model
        call.method, call.trace.live = "WEBSOCKET", True
        call.trace.join(client.raw_headers.get(b"traceparent", b""))
        call.task = asyncio.current_task()
        account = await opening.account()
        call.account_name = account.name
        target = opening.target(account)
        call.plan = plan_of(call, target)
        state.running.add(call)
        call.references = [
            *admission.references_of(target),
            *((name, value) for name, value in opening.query if name in FORM_FIELDS),
        ]
        call.trace.described_ns = perf_counter_ns()
        await admit(call)
        call.trace.admitted_ns = perf_counter_ns()
        with Slots() as slots:
            await slots.take_session(opening.caller, account)
            signed, _ = keys.choose(target, opening.caller.key)
            headers = dialect_of(account).headers(signed.account, opening.forwarded())
            if tracing.tracer is not None:
                headers["traceparent"] = call.trace.header(call.trace.span_id, tracing.tracer.ratio)
            try:
                upstream = await open_socket(state.sockets, account, opening.address(target), headers)
            except HandshakeRefused as refusal:
                keys.refused(signed, refusal.status, None)
                raise
            try:
                await self._converse(opening, call, target, upstream)
            finally:
                await upstream.close()

    async def _converse(self, opening: Opening, call: SessionCall, target: Target, upstream: UpstreamSocket) -> None:
        client, account = opening.client, target.account
        dialogue: Dialogue
        if opening.kind is RESPONSES:
            dialogue = ResponsesDialogue(call, account, target)
        else:
            # A call that was begun here is metered by a socket of ours (gateway.realtime.calls).
            metered = opening.joined is None
            dialogue = RealtimeDialogue(call, account, opening.kind, target, metered=metered)
        session = Session(client, upstream, dialogue, redactor(account.secrets))
        try:
            if opening.secret is not None and not opening.call_id:
                await _apply(opening.secret, dialogue, upstream)
            if not client.accepted:
                await client.accept(_answer_headers(target, upstream))
        except BaseException as error:  # the session's boundary: whatever ends it, it leaves its record
            dialogue.finish(error, error, client_gone=isinstance(error, OSError))
            raise
        watch_shutdown(client.scope, session.drain, max(0.0, settings.DRAIN_SECONDS - SETTLE_SECONDS - 1))
        call.attach(session)
        ending = await session.run(opening.first)
        if ending.error is not None:
            call.error = errors.code_of(ending.error)


class UnknownSocket(AsyncConsumer):
    """Refuses every other path."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        client = ClientSocket(scope, receive, send)
        await client.refuse(
            errors.NotFound(
                f"No socket at {client.path[:200]!r}. Sockets are at /live/ACCOUNT/realtime, "
                f"/live/ACCOUNT/realtime/translations, "
                "/live/ACCOUNT/live/sessions and /live/ACCOUNT/responses, and at the same paths under /v1.",
                code="unknown_url",
            )
        )
        log_call(client, client.status)


async def _apply(secret: ClientSecret, dialogue: Dialogue, upstream: UpstreamSocket) -> None:
    """Send the settings that a client secret holds, as the session's first event."""
    session = client_secrets.settings_of(secret)
    if session:
        event = msgspec.json.encode({"type": "session.update", "session": session}).decode()
        passed = await dialogue.from_client(event)
        if passed is not None:
            await upstream.send(passed)


def _answer_headers(target: Target, upstream: UpstreamSocket) -> list[tuple[bytes, bytes]]:
    headers = [(b"x-tfy-resolved-model", target.model.public_name.encode("latin1", "replace"))]
    upstream_id = upstream.headers.get("x-request-id")
    if upstream_id:
        clean = redactor(target.account.secrets).text(upstream_id)
        headers.append((b"x-upstream-request-id", clean.encode("latin1", "replace")))
    return headers


def _model_of_event(message: str | bytes) -> str:
    """Return the model that a socket's first event names: a response's, or a live session's.

    Empty when it names none.
    """
    fields = fields_of(message)
    if text(fields, "type") == "session.start":
        try:
            fields = msgspec.json.decode(fields.get("session", b"{}"), type=dict[str, msgspec.Raw])
        except (ValueError, RecursionError):
            fields = {}
    name = text(fields, "model")
    if not name:
        raise errors.InvalidRequest(
            "The first event must name a model, as 'account/model'.", param="model", code="missing_required_parameter"
        )
    return name


def _uncancel() -> None:
    task = asyncio.current_task()
    if task is not None:
        task.uncancel()
