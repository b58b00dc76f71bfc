"""Chat completions on the wire: the whole object, and the chunks of a stream."""

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.model.catalog import Model
from sandbox.model.chat_audio import deltas as audio_deltas
from sandbox.model.chat_audio import message_part
from sandbox.model.generation import Output
from sandbox.model.tokens import split
from sandbox.model.tools import Call
from sandbox.wire.messages import DONE, encode, event

OBFUSCATION = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(slots=True)
class Chat:
    """One answer, ready to be written. `top_logprobs` is None when no log probabilities were asked for."""

    id: str
    created: int
    model: Model
    outputs: list[Output]
    prompt_tokens: int
    usage: dict[str, Any] | None
    service_tier: str
    top_logprobs: int | None
    as_functions: bool
    metadata: dict[str, str] | None
    new_id: Callable[[str], str]
    audio_format: str = ""

    def head(self, object_type: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": object_type,
            "created": self.created,
            "model": self.model.shown,
        }

    def tail(self) -> dict[str, Any]:
        return {"service_tier": self.service_tier, "system_fingerprint": fingerprint(self.model)}


def fingerprint(model: Model) -> str:
    return f"fp_{zlib.crc32(model.shown.encode()):08x}{len(model.shown):02x}"


def completion(chat: Chat) -> dict[str, Any]:
    """The whole `chat.completion` object."""
    answer = chat.head("chat.completion")
    answer["choices"] = [
        {
            "index": index,
            "message": _message(chat, output),
            "logprobs": _logprobs(output, output.pieces, chat.top_logprobs),
            "finish_reason": _finish(chat, output),
        }
        for index, output in enumerate(chat.outputs)
    ]
    if chat.usage is not None:
        answer["usage"] = chat.usage
    answer.update(chat.tail())
    if chat.metadata is not None:
        answer["metadata"] = chat.metadata
    return answer


def stream(chat: Chat, options: dict[str, Any]) -> Iterator[bytes]:
    """The events of a stream, `[DONE]` included; with several choices they take turns."""
    include_usage = bool(options.get("include_usage"))
    head = encode(chat.head("chat.completion.chunk") | chat.tail())[:-1] + b',"choices":['
    end = b"]}\n\n"
    if include_usage:
        end = b'],"usage":null}\n\n'
    if options.get("include_obfuscation"):
        end = end.replace(b"}\n\n", b',"obfuscation":"%s"}\n\n' % OBFUSCATION[:12].encode())
    start = b"data: " + head
    for choice in _interleaved([_choices(chat, index) for index in range(len(chat.outputs))]):
        yield start + choice + end
    if include_usage and chat.usage is not None:
        yield event(chat.head("chat.completion.chunk") | chat.tail() | {"choices": [], "usage": chat.usage})
    yield DONE


def _message(chat: Chat, output: Output) -> dict[str, Any]:
    text = output.text
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if output.is_refusal or output.calls else text,
        "refusal": text if output.is_refusal else None,
        "annotations": [],
    }
    if chat.audio_format and output.pieces:
        message["content"] = None
        message["audio"] = message_part(output, chat.new_id("audio_"), chat.created, chat.audio_format)
    if output.calls and chat.as_functions:
        message["function_call"] = {"name": output.calls[0].name, "arguments": output.calls[0].arguments}
    elif output.calls:
        message["tool_calls"] = [_call(call, chat.new_id("call_")) for call in output.calls]
    return message


def _call(call: Call, call_id: str) -> dict[str, Any]:
    if call.kind == "custom":
        return {"id": call_id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _finish(chat: Chat, output: Output) -> str:
    if chat.as_functions and output.finish_reason == "tool_calls":
        return "function_call"
    return output.finish_reason


def _choices(chat: Chat, index: int) -> Iterator[bytes]:
    """The encoded `choices` items of one choice's chunks."""
    output = chat.outputs[index]
    if output.calls:
        deltas = _function_deltas(output) if chat.as_functions else _call_deltas(chat, output)
    elif chat.audio_format:
        deltas = _audio_deltas(chat, output)
    else:
        deltas = _text_deltas(output)
    for delta, piece in deltas:
        logprobs = _logprobs(output, [piece], chat.top_logprobs) if piece else None
        yield encode({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": None})
    yield encode({"index": index, "delta": {}, "logprobs": None, "finish_reason": _finish(chat, output)})


def _text_deltas(output: Output) -> Iterator[tuple[dict[str, Any], str]]:
    name = "refusal" if output.is_refusal else "content"
    yield {"role": "assistant", "content": None if output.is_refusal else "", "refusal": None}, ""
    for piece in output.stream():
        yield {name: piece}, piece


def _audio_deltas(chat: Chat, output: Output) -> Iterator[tuple[dict[str, Any], str]]:
    yield {"role": "assistant", "content": None, "refusal": None}, ""
    for part in audio_deltas(output, chat.new_id("audio_"), chat.created):
        yield {"audio": part}, ""


def _call_deltas(chat: Chat, output: Output) -> Iterator[tuple[dict[str, Any], str]]:
    yield {"role": "assistant", "content": None, "refusal": None}, ""
    for index, call in enumerate(output.calls):
        first = _call(Call(call.name, "", call.kind), chat.new_id("call_"))
        yield {"tool_calls": [{"index": index, **first}]}, ""
        field = "input" if call.kind == "custom" else "arguments"
        for piece in split(call.arguments):
            yield {"tool_calls": [{"index": index, call.kind: {field: piece}}]}, ""


def _function_deltas(output: Output) -> Iterator[tuple[dict[str, Any], str]]:
    call = output.calls[0]
    yield {"role": "assistant", "content": None, "function_call": {"name": call.name, "arguments": ""}}, ""
    for piece in split(call.arguments):
        yield {"function_call": {"arguments": piece}}, ""


def _interleaved(streams: list[Iterator[bytes]]) -> Iterable[bytes]:
    if len(streams) == 1:
        return streams[0]
    return _taking_turns(streams)


def _taking_turns(streams: list[Iterator[bytes]]) -> Iterator[bytes]:
    while streams:
        for one in list(streams):
            item = next(one, None)
            if item is None:
                streams.remove(one)
            else:
                yield item


def _logprobs(output: Output, pieces: list[str], top: int | None) -> dict[str, Any] | None:
    if top is None or output.calls:
        return None
    listed = [token_logprob(piece, top) for piece in pieces]
    return {"content": None, "refusal": listed} if output.is_refusal else {"content": listed, "refusal": None}


def token_logprob(token: str, top: int) -> dict[str, Any]:
    """A token with a log probability that depends on its text only, and `top` less likely ones (itself first)."""
    logprob = -(zlib.crc32(token.encode()) % 1000) / 2000
    made = [(token, logprob)] + [(f"{token}{mark}", logprob - 1 - mark) for mark in range(1, max(top, 1))]
    return {**_one(token, logprob), "top_logprobs": [_one(*item) for item in made[:top]]}


def _one(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
