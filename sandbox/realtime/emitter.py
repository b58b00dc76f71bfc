"""A session's events: reading the client's, sending its own, and what goes wrong when the client asked for it."""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec

from sandbox.errors import ApiError, invalid_type, invalid_value, missing_parameter
from sandbox.misbehaviour.faults import NO_FAULTS, Faults
from sandbox.store.params import quoted
from sandbox.wire.messages import encode
from sandbox.wire.websocket import WebSocket

Event = dict[str, Any]

# Without delays other sessions still run now and then.
YIELD_EVERY = 32
_decode = msgspec.json.Decoder().decode


class SocketCut(Exception):
    """The connection is over, by our own doing."""


class Emitter:
    """Sends events with ids. `faults` hold from `begin` on: cut-after, hang-after and error-after count deltas."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.state = socket.app.state
        self.faults: Faults = socket.faults
        self.deltas = 0
        self._sent = 0

    def begin(self, asked: Faults) -> Faults:
        """Starts an answer: the prompt's own directives, or those of the handshake."""
        self.faults = self.socket.app.counted(asked) if asked is not NO_FAULTS else self.socket.faults
        self.deltas = 0
        return self.faults

    async def send(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "event_id": self.state.new_id("event_", 21), **fields}
        if kind.endswith(".delta"):
            await self._misbehave()
        await self.socket.send(encode(event).decode())
        self._sent += 1
        if self._sent % YIELD_EVERY == 0:
            await asyncio.sleep(0)

    async def error(self, error: ApiError, event_id: str | None = None) -> None:
        detail = {"type": error.type, "code": error.code, "message": error.message, "param": error.param}
        await self.send("error", error={**detail, "event_id": event_id})

    async def _misbehave(self) -> None:
        faults, connection = self.faults, self.socket.connection
        if faults.token_delay:
            await connection.pause(faults.token_delay / 1000)
        if self.deltas == faults.cut_after:
            await connection.close(reset=faults.reset)
            raise SocketCut
        if self.deltas == faults.hang_after:
            await connection.pause(None)
            raise SocketCut
        if self.deltas == faults.error_after:
            await self.error(ApiError("The server had an error while processing your request.", type="server_error"))
            await self.socket.close(1011, "server error")
            raise SocketCut
        self.deltas += 1


class SocketSession:
    """One open socket: each event of the client's has a handler."""

    def __init__(self, socket: WebSocket) -> None:
        self.socket = socket
        self.state = socket.app.state
        self.emitter = Emitter(socket)

    def handlers(self) -> Mapping[str, Callable[[Event], Awaitable[None]]]:
        """The handlers by the types of their events; one that ends the session raises SocketCut."""
        raise AssertionError("every kind of session has its own")

    async def run(self) -> None:
        """Serves the session until either side ends it."""
        handlers = self.handlers()
        try:
            while True:
                event: Event = {}
                try:
                    event = read_event(await self.socket.receive())
                    handler = handlers.get(event["type"])
                    if handler is None:
                        raise invalid_value("type", event["type"], quoted(sorted(handlers)))
                    await handler(event)
                except ApiError as error:
                    await self.error(error, event)
        except SocketCut:
            return

    async def error(self, error: ApiError, event: Event) -> None:
        """Reports what was wrong with an event."""
        await self.emitter.error(error, event.get("event_id"))

    async def end(self) -> None:
        """Closes the session as the client asked; raises SocketCut."""
        await self.socket.close(1000, "session closed")
        raise SocketCut


def read_event(message: str | bytes) -> Event:
    """A client's event; raises ApiError for anything else."""
    try:
        event = _decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError("Unable to parse the event as JSON.", code="invalid_json") from error
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise missing_parameter("type")
    return event


def decoded(audio: Any) -> bytes:
    """The bytes of a base64 string; raises ApiError for anything else."""
    if not isinstance(audio, str):
        raise missing_parameter("audio") if audio is None else invalid_type("audio", "a base64 string", audio)
    try:
        return base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(
            "Invalid 'audio'. Expected base64-encoded audio bytes (mono PCM16 at 24kHz) but got an invalid value.",
            param="audio",
            code="invalid_value",
        ) from error
