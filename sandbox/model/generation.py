"""From a prompt and settings to an answer's pieces; knows no API's shape."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.misbehaviour.faults import Faults
from sandbox.model import tokens, tools
from sandbox.model.prompt import Prompt
from sandbox.model.replies import REFUSAL, reply
from sandbox.model.schema_values import Filler, asked_keys
from sandbox.model.tools import Call, Tool
from sandbox.wire.messages import encode

# What a reasoning model thinks before it answers, by effort.
REASONING_TOKENS = {"none": 0, "minimal": 0, "low": 64, "medium": 128, "high": 256, "xhigh": 512, "max": 1024}

BIG_PIECE = 4096
_FILLER = tokens.split(
    "The quick brown fox jumps over the lazy dog and then it runs through the quiet forest until the sun goes down. "
)


@dataclass(slots=True)
class Settings:
    """What a request asks of its answer.

    `tool_choice` is auto, none or required, `named_tool` a tool that must be called; `schema` is the JSON schema
    that the text must satisfy, `json_object` asks for any object; `effort` is a key of REASONING_TOKENS, or empty
    for a model that does not reason; `max_tokens` counts reasoning too.
    """

    tools: list[Tool] = field(default_factory=list)
    tool_choice: str = "auto"
    named_tool: str = ""
    parallel: bool = True
    schema: dict[str, Any] | None = None
    json_object: bool = False
    stop: list[str] = field(default_factory=list)
    max_tokens: int | None = None
    effort: str = ""


@dataclass(slots=True)
class Output:
    """One answer: text in pieces, a refusal in pieces, or calls. A piece is a token, unless `text_tokens` says else.

    `finish_reason` is stop, length or tool_calls; `stop_sequence` is the one that ended the text. With `endless` a
    stream repeats the pieces for ever.
    """

    pieces: list[str] = field(default_factory=list)
    is_refusal: bool = False
    calls: list[Call] = field(default_factory=list)
    finish_reason: str = "stop"
    stop_sequence: str = ""
    reasoning_tokens: int = 0
    text_tokens: int = 0
    audio_tokens: int = 0
    endless: bool = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def tokens(self) -> int:
        """All output tokens, reasoning included."""
        called = sum(tokens.count(call.name) + len(tokens.split(call.arguments)) for call in self.calls)
        return self.reasoning_tokens + self.audio_tokens + (self.text_tokens or len(self.pieces)) + called

    def stream(self) -> Iterable[str]:
        return itertools.cycle(self.pieces or [" "]) if self.endless else self.pieces


def generate(prompt: Prompt, settings: Settings, faults: Faults, variant: int = 0) -> Output:
    """The answer to `prompt`; the same for the same arguments. `variant` is the choice's index."""
    output = Output(endless=faults.endless, reasoning_tokens=REASONING_TOKENS.get(settings.effort, 0))
    if faults.refusal:
        output.is_refusal = True
        output.pieces = tokens.split(REFUSAL)
    elif faults.big:
        output.pieces = list(_big(faults.big))
        output.text_tokens = faults.big // 4
        return output
    elif faults.tokens >= 0:
        output.pieces = list(itertools.islice(itertools.cycle(_FILLER), faults.tokens))
    else:
        output.calls = tools.choose(
            prompt,
            settings.tools,
            settings.tool_choice,
            named=settings.named_tool,
            wished=faults.call,
            parallel=settings.parallel,
        )
        if output.calls:
            output.finish_reason = "stop" if settings.named_tool else "tool_calls"
        else:
            text, output.stop_sequence = stopped(_text(prompt, settings, variant), settings.stop)
            output.pieces = tokens.split(text)
    limit(output, settings.max_tokens)
    return output


def stopped(text: str, sequences: list[str]) -> tuple[str, str]:
    """`text` up to the first of the stop sequences, and that sequence; empty when there is none."""
    found = [(text.find(sequence), sequence) for sequence in sequences if sequence and sequence in text]
    end, sequence = min(found, default=(len(text), ""))
    return text[:end], sequence


def _text(prompt: Prompt, settings: Settings, variant: int) -> str:
    if settings.schema is not None:
        return encode(Filler(settings.schema, prompt.user_text).value(settings.schema)).decode()
    if settings.json_object:
        names = asked_keys(prompt.user_text) or asked_keys(prompt.all_text)
        wanted = {"type": "object", "properties": {name: {} for name in names}, "required": names}
        made = Filler(wanted, prompt.user_text).value(wanted) or {"answer": reply(prompt, variant)}
        return encode(made).decode()
    return reply(prompt, variant)


def _big(size: int) -> Iterator[str]:
    line = ("abcdefghijklmnopqrstuvwxyz0123456789 " * (BIG_PIECE // 37 + 1))[:BIG_PIECE]
    for start in range(0, size, BIG_PIECE):
        yield line[: min(BIG_PIECE, size - start)]


def limit(output: Output, most: int | None) -> None:
    """Cuts the answer to `most` tokens, reasoning first."""
    if most is None or output.endless or output.tokens <= most:
        return
    output.finish_reason = "length"
    output.reasoning_tokens = min(output.reasoning_tokens, most)
    left = most - output.reasoning_tokens
    output.pieces = output.pieces[:left]
    for call in output.calls:
        left -= tokens.count(call.name)
        arguments = tokens.split(call.arguments)[: max(left, 0)]
        left -= len(arguments)
        call.arguments = "".join(arguments)
