"""`/v1/responses` over a WebSocket: one connection for many responses, one after the other."""

import asyncio
from typing import Any

import msgspec

from sandbox.errors import ApiError, invalid_value
from sandbox.misbehaviour import faults
from sandbox.resources.responses import begin
from sandbox.responses import settings
from sandbox.responses.life import events
from sandbox.wire.delivery import YIELD_EVERY
from sandbox.wire.messages import Request, encode
from sandbox.wire.routing import Route
from sandbox.wire.websocket import WebSocket

# Fields of `response.create` that the plain endpoint does not have.
_ENVELOPE = ("type", "stream_id", "stream", "generate")


async def converse(socket: WebSocket) -> None:
    """Answers each `response.create` with its events; errors are events too, and the socket stays open."""
    await socket.accept()
    while True:
        message = await socket.receive()
        lane: dict[str, Any] = {}
        try:
            sent = _decoded(message)
            if isinstance(sent.get("stream_id"), str):
                lane = {"stream_id": sent["stream_id"]}
            await _answer(socket, sent, lane)
        except ApiError as error:
            await socket.send(encode({"type": "error", "status": error.status, **error.body(), **lane}).decode())


def _decoded(message: str | bytes) -> dict[str, Any]:
    try:
        sent = msgspec.json.decode(message)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise ApiError("The message is not valid JSON.") from error
    if not isinstance(sent, dict):
        raise ApiError("The message is not a JSON object.")
    if sent.get("type") != "response.create":
        raise invalid_value("type", sent.get("type"), "'response.create'")
    return sent


async def _answer(socket: WebSocket, sent: dict[str, Any], lane: dict[str, Any]) -> None:
    body = {name: value for name, value in sent.items() if name not in _ENVELOPE}
    if body.get("background"):
        raise ApiError("background is not supported over WebSocket.", param="background")
    settings.check_names(body)
    request = Request(socket.app, "POST", socket.path, encode(body), headers=socket.headers)
    request.faults = socket.app.counted(faults.from_body(request.body))
    life = begin(request, body, settings.model(socket.app.state, body))
    try:
        for event in events(life):
            if request.faults.token_delay:
                await socket.connection.pause(request.faults.token_delay / 1000)
            elif not event["sequence_number"] % YIELD_EVERY:
                await asyncio.sleep(0)
            # Whoever reads the last event may go on from this response at once.
            life.finished = event["type"] == f"response.{life.ending}"
            await socket.send(encode({**event, **lane}).decode())
    finally:
        life.cancelled = not life.finished


ROUTES = (Route("WEBSOCKET", "/v1/responses", converse),)
