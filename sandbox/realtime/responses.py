"""Responses over a socket: each `response.create` is a request to `/v1/responses`, its stream sent as messages."""

from collections.abc import AsyncIterable
from typing import Any

import msgspec

from sandbox.errors import ApiError
from sandbox.misbehaviour import faults as directives
from sandbox.realtime.emitter import Event, SocketSession
from sandbox.wire.messages import Request, Response, encode

_decode = msgspec.json.Decoder().decode
_ENVELOPE = ("type", "event_id", "stream_id")


class ResponsesSocket(SocketSession):
    """One open socket; it answers one response after the other."""

    def handlers(self) -> dict[str, Any]:
        return {"response.create": self._respond}

    async def _respond(self, event: Event) -> None:
        if event.get("background"):
            raise ApiError("Background mode is not supported over WebSocket.", param="background")
        body = {name: value for name, value in event.items() if name not in _ENVELOPE}
        given = encode({**body, "stream": True})
        request = Request(self.socket.app, "POST", "/v1/responses", given)
        request.faults = self.emitter.begin(directives.from_body(given))
        answer = await self.socket.app.answer(request)
        if isinstance(answer, Response):
            await self._send_error(answer.status, _decode(answer.body)["error"], event)
        elif isinstance(answer.chunks, AsyncIterable):
            async for chunk in answer.chunks:
                await self._send(chunk, event)
        else:
            for chunk in answer.chunks:
                await self._send(chunk, event)

    async def _send(self, chunk: bytes, asked: Event) -> None:
        """Sends one server-sent event as a message."""
        event = _decode(chunk.partition(b"\ndata: ")[2])
        await self.emitter.send(event.pop("type"), **event, **_lane(asked))

    async def error(self, error: ApiError, event: Event) -> None:
        await self._send_error(error.status, error.body()["error"], event)

    async def _send_error(self, status: int, detail: dict[str, Any], event: Event) -> None:
        await self.emitter.send("error", status=status, error=detail, **_lane(event))


def _lane(event: Event) -> Event:
    """What an answer repeats of the event that it answers."""
    return {"stream_id": event["stream_id"]} if "stream_id" in event else {}
