"""The ASGI application: a table of routes for each vendor, and the life of one request."""

import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from sandbox import anthropic, azure, gemini
from sandbox.errors import ApiError
from sandbox.misbehaviour import faults as directives
from sandbox.misbehaviour.faults import NO_FAULTS, Faults
from sandbox.resources import (
    agent_sessions,
    agents,
    assistants,
    batches,
    chat,
    chatkit,
    checkpoint_permissions,
    completions,
    containers,
    control,
    conversations,
    decisions,
    embeddings,
    evals,
    files,
    fine_tuning,
    graders,
    images,
    models,
    moderations,
    organization,
    realtime,
    realtime_calls,
    rerank,
    responses,
    safety,
    skills,
    speech,
    thread_runs,
    threads,
    transcriptions,
    uploads,
    vector_stores,
    videos,
    voices,
    webhooks,
)
from sandbox.state import State
from sandbox.store.auth import check_key
from sandbox.wire import openai
from sandbox.wire.connection import SCOPE_KEY, Connection
from sandbox.wire.delivery import ConnectionCut, Delivery
from sandbox.wire.messages import Answer, ClientGone, Message, Receive, Request, Response, Scope, Send, error_response
from sandbox.wire.recorder import Record, Recorder, Stats
from sandbox.wire.routing import Route, Router
from sandbox.wire.service import Service
from sandbox.wire.websocket import SocketClosed, WebSocket

logger = logging.getLogger("sandbox")

# OpenAI's whole surface: each resource module names its own rows. A new resource is a file and a name here.
_MODULES = (
    *(chat, completions, embeddings, models, moderations, responses, conversations, images, speech),
    *(transcriptions, voices, files, uploads, batches, fine_tuning, checkpoint_permissions, graders),
    *(vector_stores, containers, evals, videos, skills, assistants, threads, thread_runs, agents),
    *(agent_sessions, chatkit, decisions, safety, webhooks, realtime, realtime_calls),
    *(rerank, organization, control),
)
ROUTES: tuple[Route, ...] = tuple(route for module in _MODULES for route in module.ROUTES)

DEFAULT_KEY = "sk-sandbox"
MAX_BODY = 100 * 1024 * 1024
JOB_SECONDS = 1.0


def _check_openai(keys: frozenset[bytes], headers: Mapping[bytes, bytes], query: bytes) -> None:
    check_key(keys, headers.get(b"authorization", b""))


OPENAI = Service(_check_openai, error_response, openai.status_error, openai.headers)


class Vendor(NamedTuple):
    service: Service
    router: Router


class Sandbox:
    """An ASGI 3 application. Its parts are public so that resources and tests can reach them."""

    def __init__(
        self, *, keys: Iterable[str], record: bool, clock: Callable[[], float], max_body: int, job_seconds: float
    ) -> None:
        self.keys = frozenset(key.encode() for key in keys)
        self.state = State(clock)
        self.recorder: Recorder | None = Recorder() if record else None
        self.stats = Stats()
        self.router = Router(ROUTES)
        self.openai = Vendor(OPENAI, self.router)
        self.anthropic = Vendor(anthropic.SERVICE, Router(anthropic.ROUTES))
        self.gemini = Vendor(gemini.SERVICE, Router(gemini.ROUTES))
        self.azure = Vendor(azure.SERVICE, Router(azure.routes(ROUTES)))
        self.claude_elsewhere = Vendor(anthropic.SERVICE, Router(anthropic.ELSEWHERE))
        self.vertex = Vendor(gemini.VERTEX, Router(gemini.VERTEX_ROUTES))
        self.places: tuple[tuple[tuple[str, ...], Vendor], ...] = (
            (("/v1beta/",), self.gemini),
            (("/v1/projects/", "/v1beta1/projects/", "/token"), self.vertex),
            (("/openai/",), self.azure),
            (("/anthropic/",), self.claude_elsewhere),
            (("/v1/messages", "/v1/organizations/"), self.anthropic),
        )
        self.max_body = max_body
        self.job_seconds = job_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await _lifespan(receive, send)

    def vendor(self, scope: Scope) -> Vendor:
        """Whose API a request is for: three have `/v1/models`, and a header or the method distinguishes them."""
        path: str = scope["path"]
        if path.startswith("/v1/models"):
            names = {name for name, _ in scope["headers"]}
            if anthropic.VERSION in names:
                return self.anthropic
            return self.gemini if gemini.KEY in names or scope.get("method") == "POST" else self.openai
        if path.endswith("/oauth2/v2.0/token"):
            return self.azure
        return next((vendor for places, vendor in self.places if path.startswith(places)), self.openai)

    async def answer(self, request: Request) -> Answer:
        """The answer to a request whose `body` is complete, also one made by hand; never raises ApiError."""
        route, request.params = self.router.find(request.method, request.path)
        try:
            if route is None:
                raise _no_route(request, self.router)
            answer: Answer = await route.handler(request)
        except ApiError as error:
            return error_response(error)
        return answer

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        connection = scope.get(SCOPE_KEY) or Connection()
        service, router = self.vendor(scope)
        route, params = router.find(scope["method"], scope["path"])
        record = self._record(scope) if route is None or route.authenticated else None
        connection.record = record
        request = Request(
            self,
            scope["method"],
            scope["path"],
            headers=dict(scope["headers"]),
            query_string=scope["query_string"],
            receive=receive if record is None else self._tapped(receive, record),
        )
        request.params = params
        delivery = Delivery(send, connection, self.stats, record, service)
        self.stats.active_requests += 1
        self.stats.total_requests += 1
        try:
            answer = await self._respond(request, route, router, delivery)
            self.stats.count(answer.status)
            await delivery.deliver(answer, service.headers(self.state.new_id("req_", 32), started))
            if record is not None:
                record.completed_at = self.state.now()
        except (ClientGone, ConnectionCut):
            pass
        finally:
            connection.record = None
            self.stats.active_requests -= 1

    async def _respond(self, request: Request, route: Route | None, router: Router, delivery: Delivery) -> Answer:
        """The answer to a request; raises ClientGone or ConnectionCut when no one waits for it."""
        service = delivery.service
        try:
            if route is None:
                raise _no_route(request, router)
            if route.authenticated:
                service.check_key(self.keys, request.headers, request.query_string)
            if not route.streamed:
                request.body = await _whole_body(request)
            delivery.faults = request.faults = self._faults(request)
            answer = await delivery.instead()
            if answer is None:
                answer = await route.handler(request)
            if request.faults is not delivery.faults:
                # The directives of a form are known once it is read.
                delivery.faults = request.faults
                answer = await delivery.instead() or answer
            return answer
        except ApiError as error:
            return service.error_response(error)
        except Exception as error:  # the request's boundary: a defect must look like an upstream's, and be seen
            if isinstance(error, ClientGone | ConnectionCut):
                raise
            logger.exception("%s %s failed", request.method, request.path)
            return service.error_response(ApiError(f"Sandbox defect: {error!r}", status=500, type="server_error"))

    def _faults(self, request: Request) -> Faults:
        header = request.headers.get(b"x-sandbox")
        return self.counted(
            directives.parse(header.decode("latin-1")) if header else directives.from_body(request.body)
        )

    def counted(self, faults: Faults) -> Faults:
        """The directives that hold for this request, by `times`."""
        if faults.times:
            counts = self.state.store("fault-counts")
            count = (counts.get(faults.key) or 0) + 1
            counts.put(faults.key, count)
            if count > faults.times:
                return NO_FAULTS
        return faults

    def _record(self, scope: Scope) -> Record | None:
        if self.recorder is None:
            return None
        record = Record(
            method=scope.get("method", "WEBSOCKET"),
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            headers=list(scope["headers"]),
            received_at=self.state.now(),
        )
        self.recorder.add(record)
        return record

    def _tapped(self, receive: Receive, record: Record) -> Receive:
        """`receive` that also records the body."""

        async def tapped() -> Message:
            message = await receive()
            if message["type"] == "http.request" and self.recorder is not None:
                self.recorder.add_body(record, message.get("body", b""))
            return message

        return tapped

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        service, router = self.vendor(scope)
        router = self.router if service is OPENAI else router
        route, params = router.find("WEBSOCKET", scope["path"])
        socket = WebSocket(self, scope, receive, send, params)
        socket.record = socket.connection.record = self._record(scope)
        delivery = Delivery(send, socket.connection, self.stats, socket.record, service)
        self.stats.open_websockets += 1
        self.stats.total_requests += 1
        try:
            if route is None:
                raise ApiError(f"Invalid URL (GET {scope['path']})", status=404)
            if service is OPENAI:
                check_key(self.keys, socket.authorization())  # which may be in a subprotocol
            else:
                service.check_key(self.keys, socket.headers, scope["query_string"])
            delivery.faults = socket.read_faults()
            instead = await delivery.instead()
            if isinstance(instead, Response):
                await socket.refuse(instead)
                return
            await route.handler(socket)
            if socket.record is not None:
                socket.record.completed_at = self.state.now()
        except ApiError as error:
            await socket.refuse(service.error_response(error))
        except (SocketClosed, ConnectionCut, OSError):
            # The client closed the socket or is gone (uvicorn says so with an OSError), or we cut it.
            if socket.record is not None and socket.connection.record is socket.record:
                socket.record.disconnected_at = self.state.now()
        finally:
            socket.connection.record = None
            self.stats.open_websockets -= 1


def _no_route(request: Request, router: Router) -> ApiError:
    methods = router.allowed(request.path)
    if methods:
        return ApiError(
            f"Not allowed to {request.method} on {request.path}. (HINT: Perhaps you meant to use a different "
            "HTTP method?)",
            status=405,
            code="method_not_supported",
            headers={"allow": ", ".join(methods)},
        )
    return ApiError(f"Invalid URL ({request.method} {request.path})", status=404)


async def _whole_body(request: Request) -> bytes:
    pieces = [piece async for piece in request.stream()]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


def create_app(
    keys: Iterable[str] = (DEFAULT_KEY,),
    *,
    record: bool = True,
    clock: Callable[[], float] = time.time,
    max_body: int = MAX_BODY,
    job_seconds: float = JOB_SECONDS,
) -> Sandbox:
    """The sandbox as an ASGI application.

    `keys` are the accepted API keys, `record` keeps requests for `GET /sandbox/requests`, `clock` gives
    seconds since the epoch, `max_body` limits request bodies in bytes, `job_seconds` is how long a batch or a
    fine-tuning job takes that does not say otherwise (see misbehaviour/job_switches.py).
    """
    return Sandbox(keys=keys, record=record, clock=clock, max_body=max_body, job_seconds=job_seconds)
