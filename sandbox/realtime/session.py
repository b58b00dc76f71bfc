"""A realtime or transcription session: its client's events, the conversation, the audio that it hears."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.errors import ApiError, invalid_type, missing_parameter
from sandbox.misbehaviour.faults import strip
from sandbox.model import catalog, tokens
from sandbox.realtime import settings as session_settings
from sandbox.realtime.emitter import Event, SocketCut, SocketSession, decoded
from sandbox.realtime.input_audio import MIN_COMMIT_MS, Heard, InputAudio
from sandbox.realtime.response import Answer, Item
from sandbox.wire.websocket import WebSocket

ITEM_TYPES = ("message", "function_call", "function_call_output", "item_reference")
_HIDDEN = ("sandbox_text", "sandbox_audio_tokens")


class Session(SocketSession):
    """One open session. `items` are the conversation, with what was heard in fields that clients never see."""

    def __init__(self, socket: WebSocket, settings: dict[str, Any]) -> None:
        super().__init__(socket)
        self.settings = settings
        self.transcribes = settings["type"] == "transcription"
        self.conversation = self.state.new_id("conv_", 21)
        self.items: list[Item] = []
        self.answered = 0
        self._input = InputAudio()
        self._speech_item = ""
        self._running: asyncio.Task[None] | None = None
        self._answer: Answer | None = None

    def handlers(self) -> dict[str, Callable[[Event], Awaitable[None]]]:
        return {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    async def run(self) -> None:
        await self.emitter.send("session.created", session=self.settings)
        try:
            await super().run()
        finally:
            await self._stop()

    async def show(self, item: Item, what: str) -> None:
        """Sends that an item was added to the conversation, or is done."""
        shown = _visible(item)
        if shown.get("type") == "message":
            shown["content"] = [_visible(part) for part in item["content"]]
        before = self.items[-1]["id"] if self.items and self.items[-1] is not item else None
        await self.emitter.send(f"conversation.item.{what}", previous_item_id=before, item=shown)

    # --- settings ---------------------------------------------------------------------------------------------------
    async def _update(self, event: Event) -> None:
        session_settings.update(self.state, self.settings, event.get("session"))
        await self.emitter.send("session.updated", session=self.settings)

    # --- audio ------------------------------------------------------------------------------------------------------
    async def _append(self, event: Event) -> None:
        sound = decoded(event.get("audio"))
        self._input.append(sound)
        detection = self.settings["audio"]["input"]["turn_detection"]
        if detection is None:
            return
        started = self._input.starts(sound)
        if started is not None:
            self._speech_item = self.state.new_id("item_", 21)
            await self.emitter.send(
                "input_audio_buffer.speech_started", audio_start_ms=started, item_id=self._speech_item
            )
            if detection.get("interrupt_response", True) and self._answer is not None:
                await self._interrupt("turn_detected")
        stopped = self._input.stops(sound, detection.get("silence_duration_ms", 500))
        if stopped is not None:
            await self.emitter.send(
                "input_audio_buffer.speech_stopped", audio_end_ms=stopped, item_id=self._speech_item
            )
            await self._take(self._speech_item)
            if detection.get("create_response", True) and not self.transcribes and self._answer is None:
                self._respond({})

    async def _commit(self, event: Event) -> None:
        milliseconds = len(self._input.sound) / 48
        if milliseconds < MIN_COMMIT_MS:
            raise ApiError(
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer "
                f"only has {milliseconds:.2f}ms of audio.",
                code="input_audio_buffer_commit_empty",
            )
        await self._take(self.state.new_id("item_", 21))

    async def _clear(self, event: Event) -> None:
        self._input.clear()
        await self.emitter.send("input_audio_buffer.cleared")

    async def _take(self, item_id: str) -> None:
        heard = self._input.take()
        before = self.items[-1]["id"] if self.items else None
        await self.emitter.send("input_audio_buffer.committed", previous_item_id=before, item_id=item_id)
        part = {"type": "input_audio", "transcript": None, "sandbox_text": heard.text}
        item: Item = {
            "id": item_id,
            "object": "realtime.item",
            "type": "message",
            "status": "completed",
            "role": "user",
            "content": [part],
            "sandbox_audio_tokens": heard.tokens,
        }
        self.items.append(item)
        await self.show(item, "added")
        await self.show(item, "done")
        await self._transcribe(item_id, heard)

    async def _transcribe(self, item_id: str, heard: Heard) -> None:
        asked = self.settings["audio"]["input"]["transcription"]
        if not asked:
            return
        where = {"item_id": item_id, "content_index": 0}
        text = strip(heard.text)
        name = "conversation.item.input_audio_transcription"
        for piece in tokens.split(text):
            await self.emitter.send(f"{name}.delta", delta=piece, **where)
        made = len(tokens.split(text))
        usage: dict[str, Any] = {
            "type": "tokens",
            "total_tokens": heard.tokens + made,
            "input_tokens": heard.tokens,
            "output_tokens": made,
            "input_token_details": {"text_tokens": 0, "audio_tokens": heard.tokens},
        }
        if asked.get("model") == "whisper-1":
            usage = {"type": "duration", "seconds": heard.seconds}
        await self.emitter.send(f"{name}.completed", transcript=text, usage=usage, **where)

    # --- the conversation -------------------------------------------------------------------------------------------
    async def _create_item(self, event: Event) -> None:
        item = event.get("item")
        if not isinstance(item, dict):
            raise missing_parameter("item") if item is None else invalid_type("item", "an object", item)
        if item.get("type") not in ITEM_TYPES:
            raise ApiError(f"Invalid value: '{item.get('type')}'.", param="item.type", code="invalid_value")
        made: Item = {"id": self.state.new_id("item_", 21), **item, "object": "realtime.item", "status": "completed"}
        if made["type"] == "message" and not isinstance(made.get("content"), list):
            raise missing_parameter("item.content")
        self.items.append(made)
        await self.show(made, "added")
        await self.show(made, "done")

    def _find(self, event: Event) -> Item:
        wanted = event.get("item_id")
        found = next((item for item in self.items if item["id"] == wanted), None)
        if found is None:
            raise ApiError(
                f"Item with item_id not found: {wanted}", param="item_id", code="item_retrieve_invalid_item_id"
            )
        return found

    async def _retrieve_item(self, event: Event) -> None:
        await self.emitter.send("conversation.item.retrieved", item=_visible(self._find(event)))

    async def _delete_item(self, event: Event) -> None:
        self.items.remove(self._find(event))
        await self.emitter.send("conversation.item.deleted", item_id=event["item_id"])

    async def _truncate_item(self, event: Event) -> None:
        self._find(event)
        await self.emitter.send(
            "conversation.item.truncated",
            item_id=event["item_id"],
            content_index=event.get("content_index", 0),
            audio_end_ms=event.get("audio_end_ms", 0),
        )

    # --- responses --------------------------------------------------------------------------------------------------
    async def _create_response(self, event: Event) -> None:
        if self.transcribes:
            raise ApiError("Responses are not supported in a transcription session.", code="invalid_value")
        if self._answer is not None:
            raise ApiError(
                f"Conversation already has an active response in progress: {self._answer.id}.",
                code="conversation_already_has_active_response",
            )
        self._respond(event.get("response") or {})

    async def _cancel_response(self, event: Event) -> None:
        if self._answer is None:
            raise ApiError("Cancellation failed: no active response found", code="response_cancel_not_active")
        await self._interrupt("client_cancelled")

    def _respond(self, given: dict[str, Any]) -> None:
        self._answer = answer = Answer(self, given)
        self._running = asyncio.create_task(self._serve(answer))

    async def _serve(self, answer: Answer) -> None:
        try:
            await answer.run()
        except SocketCut:
            self.socket.connection.lost = True
        except OSError:
            return  # the client is gone, which the reader learns as well
        finally:
            if self._answer is answer:
                self._answer = None

    async def _interrupt(self, reason: str) -> None:
        answer = self._answer
        await self._stop()
        if answer is not None:
            await answer.cancel(reason)

    async def _stop(self) -> None:
        task, self._running, self._answer = self._running, None, None
        if task is not None and not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _visible(item: Item) -> Item:
    return {name: value for name, value in item.items() if name not in _HIDDEN}


def model_of(socket: WebSocket, kinds: tuple[str, ...]) -> str:
    """The model in the address; raises ApiError unless it is one of `kinds`."""
    name = socket.query.get("model", "")
    if not name:
        raise ApiError("You must provide a model parameter.", param="model", code="missing_model")
    return catalog.require(socket.app.state, name, kinds).id
