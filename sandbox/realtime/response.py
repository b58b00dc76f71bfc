"""One response of a realtime session: what it says, and its events in OpenAI's order."""

from __future__ import annotations

import base64
from typing import Any, Protocol

from sandbox.media import tones
from sandbox.misbehaviour import faults as directives
from sandbox.misbehaviour.faults import Faults
from sandbox.model import generation, tokens
from sandbox.model.generation import Output, Settings
from sandbox.model.prompt import Prompt, ToolResult
from sandbox.model.tools import Tool
from sandbox.realtime.emitter import Emitter
from sandbox.state import State

Item = dict[str, Any]
AUDIO_TOKENS_PER_SECOND = 20
CACHE_BLOCK = 64


class Conversation(Protocol):
    """A session as its responses see it: `answered` are the input tokens of the last response."""

    state: State
    emitter: Emitter
    settings: dict[str, Any]
    conversation: str
    items: list[Item]
    answered: int

    async def show(self, item: Item, what: str) -> None:
        """Sends that an item was added to the conversation, or is done."""


class Answer:
    """A response on its way. `settings` are the session's, with those of `response.create` over them."""

    def __init__(self, session: Conversation, given: dict[str, Any]) -> None:
        self.session = session
        self.state = session.state
        self.emitter = session.emitter
        self.id = self.state.new_id("resp_", 21)
        self.given = given
        self.apart = given.get("conversation") == "none"
        self.spoken = (given.get("output_modalities") or session.settings["output_modalities"]) == ["audio"]
        self.items: list[Item] = session.items if not given.get("input") else list(given["input"])
        self.output: list[Item] = []
        self.prompt = read(self.items)
        self.written = self.voiced = 0

    async def run(self) -> None:
        """Sends every event of the response; cancelled, it ends early without `response.done`."""
        faults = self.emitter.begin(directives.in_text(_last_text(self.items)))
        await self.emitter.send("response.created", response=self.body("in_progress"))
        await self._limits()
        output = generation.generate(self.prompt, self._settings(), faults)
        for number, call in enumerate(output.calls):
            await self._call(call.name, call.arguments, number)
        if not output.calls:
            await self._message(output)
        self.session.answered = self.input_tokens
        status = "failed" if faults.fail else "incomplete" if output.finish_reason == "length" else "completed"
        await self.emitter.send("response.done", response=self.body(status, faults))

    async def cancel(self, reason: str) -> None:
        """Sends that the response was cancelled: `client_cancelled` or `turn_detected`."""
        body = self.body("cancelled", self.emitter.faults)
        body["status_details"] = {"type": "cancelled", "reason": reason}
        await self.emitter.send("response.done", response=body)

    @property
    def input_tokens(self) -> int:
        return self.prompt.tokens + self.prompt.audio_tokens + tokens.count(self._instructions())

    def body(self, status: str, faults: Faults | None = None) -> dict[str, Any]:
        settings = self.session.settings
        over = status != "in_progress"
        details = None
        if status == "failed":
            details = {"type": "failed", "error": {"type": "server_error", "code": "server_error"}}
        elif status == "incomplete":
            details = {"type": "incomplete", "reason": "max_output_tokens"}
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": details,
            "output": self.output if over else [],
            "conversation_id": None if self.apart else self.session.conversation,
            "output_modalities": ["audio"] if self.spoken else ["text"],
            "max_output_tokens": self.given.get("max_output_tokens") or settings["max_output_tokens"],
            "audio": {"output": {"format": settings["audio"]["output"]["format"], "voice": self._voice()}},
            "usage": self._usage(faults) if over and faults is not None and not faults.no_usage else None,
            "metadata": self.given.get("metadata"),
        }

    async def _limits(self) -> None:
        limits = [
            {"name": "requests", "limit": 5000, "remaining": 4999, "reset_seconds": 0.012},
            {"name": "tokens", "limit": 400000, "remaining": 399000, "reset_seconds": 0.15},
        ]
        await self.emitter.send("rate_limits.updated", rate_limits=limits)

    # --- its items --------------------------------------------------------------------------------------------------
    async def _message(self, output: Output) -> None:
        item: Item = {
            "id": self.state.new_id("item_", 21),
            "object": "realtime.item",
            "type": "message",
            "status": "in_progress",
            "role": "assistant",
            "content": [],
        }
        await self._begin(item)
        where = {"response_id": self.id, "item_id": item["id"], "output_index": 0, "content_index": 0}
        part = {"type": "audio", "transcript": ""} if self.spoken else {"type": "text", "text": ""}
        await self.emitter.send("response.content_part.added", part=part, **where)
        part = await (self._speak if self.spoken else self._write)(output, where)
        await self.emitter.send("response.content_part.done", part=part, **where)
        item["content"] = [{**part, "type": f"output_{part['type']}"}]
        await self._end(item)

    async def _write(self, output: Output, where: dict[str, Any]) -> Item:
        sent = []
        for piece in output.stream():
            await self.emitter.send("response.output_text.delta", delta=piece, **where)
            self.written += 1
            if not output.endless:
                sent.append(piece)
        text = "".join(sent)
        await self.emitter.send("response.output_text.done", text=text, **where)
        return {"type": "text", "text": text}

    async def _speak(self, output: Output, where: dict[str, Any]) -> Item:
        text = output.text[: tones.MAX_TEXT]
        for piece in output.pieces:
            await self.emitter.send("response.output_audio_transcript.delta", delta=piece, **where)
            self.written += 1
        while True:
            for sound in tones.pcm(text, self._voice()):
                delta = base64.b64encode(sound).decode()
                await self.emitter.send("response.output_audio.delta", delta=delta, **where)
                self.voiced += len(sound)
            if not output.endless:
                break
        await self.emitter.send("response.output_audio.done", **where)
        await self.emitter.send("response.output_audio_transcript.done", transcript=output.text, **where)
        return {"type": "audio", "transcript": output.text}

    async def _call(self, name: str, arguments: str, number: int) -> None:
        call_id = self.state.new_id("call_", 16)
        item: Item = {
            "id": self.state.new_id("item_", 21),
            "object": "realtime.item",
            "type": "function_call",
            "status": "in_progress",
            "name": name,
            "call_id": call_id,
            "arguments": "",
        }
        await self._begin(item, number)
        where = {"response_id": self.id, "item_id": item["id"], "output_index": number, "call_id": call_id}
        for piece in tokens.split(arguments):
            await self.emitter.send("response.function_call_arguments.delta", delta=piece, **where)
            self.written += 1
        await self.emitter.send("response.function_call_arguments.done", name=name, arguments=arguments, **where)
        item["arguments"] = arguments
        await self._end(item, number)

    async def _begin(self, item: Item, number: int = 0) -> None:
        await self.emitter.send("response.output_item.added", response_id=self.id, output_index=number, item=dict(item))
        if not self.apart:
            await self.session.show(item, "added")

    async def _end(self, item: Item, number: int = 0) -> None:
        item["status"] = "completed"
        self.output.append(item)
        if not self.apart:
            await self.session.show(item, "done")
            self.session.items.append(item)
        await self.emitter.send("response.output_item.done", response_id=self.id, output_index=number, item=item)

    # --- what it is made of -----------------------------------------------------------------------------------------
    def _settings(self) -> Settings:
        settings = self.session.settings
        offered = self.given.get("tools", settings["tools"]) or []
        choice = self.given.get("tool_choice", settings["tool_choice"])
        most = self.given.get("max_output_tokens") or settings["max_output_tokens"]
        return Settings(
            tools=[
                Tool(tool.get("name", ""), tool.get("description") or "", tool.get("parameters"))
                for tool in offered
                if tool.get("type") == "function"
            ],
            tool_choice=choice if isinstance(choice, str) else "auto",
            named_tool=choice.get("name", "") if isinstance(choice, dict) else "",
            max_tokens=most if isinstance(most, int) else None,
        )

    def _instructions(self) -> str:
        return str(self.given.get("instructions") or self.session.settings.get("instructions") or "")

    def _voice(self) -> str:
        audio = (self.given.get("audio") or {}).get("output") or {}
        return str(audio.get("voice") or self.session.settings["audio"]["output"]["voice"])

    def _usage(self, faults: Faults) -> dict[str, Any]:
        text = self.prompt.tokens + tokens.count(self._instructions())
        sound, wanted = self.prompt.audio_tokens, faults.usage
        spoken = self.voiced * AUDIO_TOKENS_PER_SECOND // (tones.RATE * tones.WIDTH)
        sent = wanted.get("input_tokens", text + sound)
        made = wanted.get("output_tokens", self.written + spoken)
        cached = wanted.get("cached_tokens", min(self.session.answered, sent) // CACHE_BLOCK * CACHE_BLOCK)
        sound = wanted.get("audio_input_tokens", sound)
        spoken = wanted.get("audio_output_tokens", spoken)
        of_text = min(cached, text)
        return {
            "total_tokens": sent + made,
            "input_tokens": sent,
            "output_tokens": made,
            "input_token_details": {
                "text_tokens": sent - sound,
                "audio_tokens": sound,
                "image_tokens": 0,
                "cached_tokens": cached,
                "cached_tokens_details": {
                    "text_tokens": of_text,
                    "audio_tokens": cached - of_text,
                    "image_tokens": 0,
                },
            },
            "output_token_details": {"text_tokens": made - spoken, "audio_tokens": spoken},
        }


def read(items: list[Item]) -> Prompt:
    """The conversation as a prompt; audio counts as audio tokens and says what it says."""
    prompt = Prompt(tokens=tokens.PER_ANSWER)
    names: dict[str, str] = {}
    for item in items:
        if item.get("type") == "function_call":
            names[item.get("call_id", "")] = item.get("name", "")
            prompt.tokens += tokens.count(item.get("arguments", ""))
        elif item.get("type") == "function_call_output":
            text = str(item.get("output") or "")
            prompt.tool_results.append(ToolResult(names.get(item.get("call_id", ""), ""), text))
            prompt.tokens += tokens.count(text)
        elif item.get("type") == "message":
            text = _text(item)
            prompt.audio_tokens += item.get("sandbox_audio_tokens", 0)
            prompt.tokens += 0 if item.get("sandbox_audio_tokens") else tokens.count(text) + tokens.PER_MESSAGE
            if item.get("role") == "user":
                prompt.user_text = directives.strip(text)
                prompt.tool_results.clear()
    return prompt


def _text(item: Item) -> str:
    parts = item.get("content") or []
    return " ".join(str(part.get("text") or part.get("transcript") or part.get("sandbox_text") or "") for part in parts)


def _last_text(items: list[Item]) -> str:
    said = [_text(item) for item in items if item.get("type") == "message" and item.get("role") == "user"]
    return said[-1] if said else ""
