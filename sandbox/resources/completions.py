"""`/v1/completions`, the legacy endpoint."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from sandbox.errors import ApiError, invalid_type
from sandbox.misbehaviour import faults
from sandbox.model import catalog, tokens
from sandbox.model.catalog import Model
from sandbox.model.chat_format import token_logprob
from sandbox.model.generation import Output, Settings, generate
from sandbox.model.prompt import Prompt
from sandbox.model.usage import chat_usage
from sandbox.resources.chat import read_stop
from sandbox.store import params
from sandbox.store.params import Body
from sandbox.wire.messages import DONE, JSON, Answer, Request, Stream, encode, event, json_response
from sandbox.wire.routing import Route

DEFAULT_MAX_TOKENS = 16
# Token ids in a prompt are answered with these words; what they mean is not known here.
_TOKEN_WORD = "<|{}|>"


@dataclass(slots=True)
class Choice:
    """One choice: the text to show, in pieces, of which the first `echoed` repeat the prompt."""

    pieces: list[str]
    echoed: int
    finish_reason: str
    output: Output


@dataclass(slots=True)
class Completion:
    id: str
    created: int
    model: Model
    choices: list[Choice]
    logprobs: int | None
    usage: dict[str, Any] | None

    def head(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model.shown,
        }


async def create(request: Request) -> Answer:
    body = request.json()
    model = catalog.require(request.app.state, params.model_name(body), ("completion",))
    completion = _complete(request, body, model)
    if params.boolean(body, "stream"):
        return Stream(_stream(completion, params.mapping(body, "stream_options"), request.faults.endless))
    if request.faults.endless:
        return Stream(cycle((b" " * 1024,)), content_type=JSON)
    return json_response(_whole(completion))


def _complete(request: Request, body: Body, model: Model) -> Completion:
    prompts = read_prompts(body)
    count = params.integer(body, "n", 1, 128, 1) or 1
    best_of = params.integer(body, "best_of", 1, 20, count) or count
    if best_of < count:
        raise ApiError(
            "You requested that the server return more choices than it will generate (HINT: you must set 'n' "
            f"(currently {count}) to be at most 'best_of' (currently {best_of}), or omit either parameter if you "
            "don't specifically want to use them.)"
        )
    params.number(body, "temperature", 0, 2, 1)
    params.number(body, "top_p", 0, 1, 1)
    settings = Settings(
        stop=read_stop(body.get("stop")),
        max_tokens=params.integer(body, "max_tokens", 0, default=DEFAULT_MAX_TOKENS),
    )
    echo, suffix = params.boolean(body, "echo"), params.string(body, "suffix")
    choices, outputs, total = [], [], Prompt()
    for text in prompts:
        asked = Prompt(user_text=faults.strip(text), tokens=tokens.count(text))
        total.tokens += asked.tokens
        for variant in range(count):
            output = generate(asked, settings, request.faults, variant)
            outputs.append(output)
            choices.append(_choice(text if echo else "", output, suffix))
    usage = None if request.faults.no_usage else chat_usage(total, outputs, 0, request.faults)
    state = request.app.state
    return Completion(
        state.new_id("cmpl-", 29), state.created(), model, choices, params.integer(body, "logprobs", 0, 5), usage
    )


def read_prompts(body: Body) -> list[str]:
    """The prompts as strings; token ids become words that name them. Raises ApiError 400 for anything else."""
    value = body.get("prompt", "<|endoftext|>")
    if value is None or isinstance(value, str):
        return [value or ""]
    if not isinstance(value, list) or not value:
        raise invalid_type("prompt", "one of a string, array of strings, array of tokens, or array of arrays", value)
    if all(isinstance(item, int) for item in value):
        return [_words(value)]
    prompts = []
    for item in value:
        if isinstance(item, str):
            prompts.append(item)
        elif isinstance(item, list) and all(isinstance(token, int) for token in item):
            prompts.append(_words(item))
        else:
            raise invalid_type("prompt", "an array of strings or token arrays", item)
    return prompts


def _words(token_ids: list[int]) -> str:
    return " ".join(_TOKEN_WORD.format(token) for token in token_ids)


def _choice(echoed: str, output: Output, suffix: str) -> Choice:
    before = tokens.split(echoed)
    # With a suffix the text leads up to it, as an insertion does.
    after = [" "] if suffix and output.pieces and not output.text.endswith(" ") else []
    return Choice([*before, *output.pieces, *after], len(before), output.finish_reason, output)


def _whole(completion: Completion) -> dict[str, Any]:
    answer = completion.head()
    answer["choices"] = [
        {
            "text": "".join(choice.pieces),
            "index": index,
            "logprobs": _logprobs(choice.pieces, 0, completion.logprobs),
            "finish_reason": choice.finish_reason,
        }
        for index, choice in enumerate(completion.choices)
    ]
    if completion.usage is not None:
        answer["usage"] = completion.usage
    return answer


def _stream(completion: Completion, options: dict[str, Any], endless: bool) -> Iterator[bytes]:
    include_usage = bool(options.get("include_usage"))
    head = encode(completion.head())[:-1] + b',"choices":['
    end = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
    for index, choice in enumerate(completion.choices):
        offset = 0
        pieces = cycle(choice.pieces or [" "]) if endless else choice.pieces
        for piece in pieces:
            logprobs = _logprobs([piece], offset, completion.logprobs)
            yield _chunk(head, end, index, piece, logprobs, None)
            offset += len(piece)
        yield _chunk(head, end, index, "", None, choice.finish_reason)
    if include_usage and completion.usage is not None:
        yield event({**completion.head(), "choices": [], "usage": completion.usage})
    yield DONE


def _chunk(head: bytes, end: bytes, index: int, text: str, logprobs: Any, finish: str | None) -> bytes:
    choice = {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish}
    return b"data: " + head + encode(choice) + end


def _logprobs(pieces: list[str], offset: int, top: int | None) -> dict[str, Any] | None:
    """The legacy shape: four parallel lists."""
    if top is None:
        return None
    listed = [token_logprob(piece, top) for piece in pieces]
    offsets = []
    for piece in pieces:
        offsets.append(offset)
        offset += len(piece)
    return {
        "tokens": pieces,
        "token_logprobs": [item["logprob"] for item in listed],
        "top_logprobs": [{one["token"]: one["logprob"] for one in item["top_logprobs"]} for item in listed],
        "text_offset": offsets,
    }


ROUTES = (Route("POST", "/v1/completions", create),)
