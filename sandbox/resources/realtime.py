"""The sockets: `/v1/realtime`, `/v1/realtime/translations`, `/v1/live/sessions`, `/v1/responses`; and client
secrets.
"""

from typing import Any

from sandbox.model import catalog
from sandbox.realtime import calls, settings
from sandbox.realtime.live import Live
from sandbox.realtime.responses import ResponsesSocket
from sandbox.realtime.session import Session, model_of
from sandbox.realtime.translation import Translation
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route
from sandbox.wire.websocket import WebSocket

SUBPROTOCOL = "realtime"
SECRET_SECONDS = 600


async def realtime(socket: WebSocket) -> None:
    state = socket.app.state
    if "call_id" in socket.query:
        call = calls.find(state, socket.query["call_id"])
        await call.join(await _accepted(socket))
        return
    if socket.query.get("intent") == "transcription":
        asked = socket.query.get("model", "")
        model = catalog.require(state, asked, ("transcription", "realtime")).id if asked else ""
        await Session(await _accepted(socket), settings.transcription(state, model)).run()
        return
    model = model_of(socket, ("realtime",))
    await Session(await _accepted(socket), settings.realtime(state, model)).run()


async def translations(socket: WebSocket) -> None:
    model = model_of(socket, ("translation",))
    await Translation(await _accepted(socket), model).run()


async def live(socket: WebSocket) -> None:
    await Live(await _accepted(socket)).run()


async def responses(socket: WebSocket) -> None:
    await ResponsesSocket(await _accepted(socket)).run()


async def _accepted(socket: WebSocket) -> WebSocket:
    request_id = socket.app.state.new_id("req_", 32)
    subprotocol = SUBPROTOCOL if SUBPROTOCOL in socket.subprotocols else None
    await socket.accept(subprotocol, [(b"x-request-id", request_id.encode())])
    return socket


async def client_secrets(request: Request) -> Answer:
    """A secret of the vendor's own, which a gateway must never ask for."""
    state = request.app.state
    asked: dict[str, Any] = request.json().get("session") or {}
    made = settings.realtime(state, str(asked.get("model") or "gpt-realtime"))
    secret = {"value": state.new_id("ek_", 32), "expires_at": int(state.now()) + SECRET_SECONDS}
    return json_response({**secret, "session": made})


ROUTES = (
    Route("WEBSOCKET", "/v1/realtime", realtime),
    Route("WEBSOCKET", "/v1/realtime/translations", translations),
    Route("WEBSOCKET", "/v1/live/sessions", live),
    Route("WEBSOCKET", "/v1/responses", responses),
    Route("POST", "/v1/realtime/client_secrets", client_secrets),
)
