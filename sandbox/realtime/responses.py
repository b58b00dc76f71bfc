"""Responses over a socket: each `response.create` is the request that it stands for, its stream sent as messages."""

from typing import Any

import msgspec

from sandbox.errors import ApiError
from sandbox.misbehaviour import faults as directives
from sandbox.realtime.emitter import Emitter, Event, SocketCut, read_event, unknown_event
from sandbox.wire.messages import Request, Response, encode
from sandbox.wire.websocket import WebSocket

EVENTS = ("response.create",)
_decode = msgspec.json.Decoder().decode


class ResponsesSocket:
    """One open socket; it answers one response after the other."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.emitter = Emitter(socket)

    async def run(self) -> None:
        """Serves the socket until either side ends it."""
        while True:
            lane: dict[str, Any] = {}
            try:
                event = read_event(await self.socket.receive())
                if event["type"] not in EVENTS:
                    raise unknown_event(event["type"], EVENTS)
                lane = {"stream_id": event["stream_id"]} if "stream_id" in event else {}
                await self._respond(event, lane)
            except ApiError as error:
                await self._error(error.status, error.body()["error"], lane)
            except SocketCut:
                return

    async def _respond(self, event: Event, lane: dict[str, Any]) -> None:
        if event.get("background"):
            raise ApiError("Background mode is not supported over WebSocket.", param="background")
        body = {name: value for name, value in event.items() if name not in ("type", "event_id", "stream_id")}
        given = encode({**body, "stream": True})
        request = Request(self.socket.app, "POST", "/v1/responses", given)
        request.faults = self.emitter.begin(directives.from_body(given))
        answer = await self.socket.app.answer(request)
        if isinstance(answer, Response):
            await self._error(answer.status, _decode(answer.body)["error"], lane)
            return
        chunks = answer.chunks
        if hasattr(chunks, "__aiter__"):
            async for chunk in chunks:
                await self._send(chunk, lane)
        else:
            for chunk in chunks:
                await self._send(chunk, lane)

    async def _send(self, chunk: bytes, lane: dict[str, Any]) -> None:
        """Sends one server-sent event as a message."""
        event = _decode(chunk.partition(b"\ndata: ")[2])
        await self.emitter.send(event.pop("type"), **event, **lane)

    async def _error(self, status: int, detail: dict[str, Any], lane: dict[str, Any]) -> None:
        await self.emitter.send("error", status=status, error=detail, **lane)
