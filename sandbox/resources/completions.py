"""`/v1/completions`, the legacy endpoint."""

from collections.abc import Iterator
from itertools import accumulate, cycle
from typing import Any, NamedTuple

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
from sandbox.wire.messages import DONE, Answer, Request, Stream, encode, endless_body, event, json_response
from sandbox.wire.routing import Route

DEFAULT_MAX_TOKENS = 16
# Token ids in a prompt are answered with these words; what they mean is not known here.
_TOKEN_WORD = "<|{}|>"


Choice = dict[str, Any]


class Completion(NamedTuple):
    """An answer: what it begins with, and for each choice its pieces and why they end."""

    head: dict[str, Any]
    choices: list[tuple[list[str], str]]
    logprobs: int | None
    usage: dict[str, Any] | None


async def create(request: Request) -> Answer:
    body = request.json()
    model = catalog.require(request.app.state, params.model_name(body), ("completion",))
    completion = _complete(request, body, model)
    if params.boolean(body, "stream"):
        return Stream(_stream(completion, params.mapping(body, "stream_options"), request.faults.endless))
    if request.faults.endless:
        return endless_body()
    choices = [
        _choice(index, "".join(pieces), _logprobs(pieces, 0, completion.logprobs), finish)
        for index, (pieces, finish) in enumerate(completion.choices)
    ]
    usage = {} if completion.usage is None else {"usage": completion.usage}
    return json_response({**completion.head, "choices": choices, **usage})


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
            choices.append((_pieces(text if echo else "", output, suffix), output.finish_reason))
    usage = None if request.faults.no_usage else chat_usage(total, outputs, 0, request.faults)
    state = request.app.state
    head = {"id": state.new_id("cmpl-", 29), "object": "text_completion", "created": state.created()}
    return Completion({**head, "model": model.shown}, choices, params.integer(body, "logprobs", 0, 5), usage)


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


def _pieces(echoed: str, output: Output, suffix: str) -> list[str]:
    """The string to show: the prompt, if it is to be echoed, and the answer, which leads up to a suffix."""
    after = [" "] if suffix and output.pieces and not output.text.endswith(" ") else []
    return [*tokens.split(echoed), *output.pieces, *after]


def _choice(index: int, text: str, logprobs: Any, finish: str | None) -> Choice:
    return {"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish}


def _stream(completion: Completion, options: dict[str, Any], endless: bool) -> Iterator[bytes]:
    include_usage = bool(options.get("include_usage"))
    start = b"data: " + encode(completion.head)[:-1] + b',"choices":['
    end = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
    for index, (pieces, finish) in enumerate(completion.choices):
        offset = 0
        for piece in cycle(pieces or [" "]) if endless else pieces:
            yield start + encode(_choice(index, piece, _logprobs([piece], offset, completion.logprobs), None)) + end
            offset += len(piece)
        yield start + encode(_choice(index, "", None, finish)) + end
    if include_usage and completion.usage is not None:
        yield event({**completion.head, "choices": [], "usage": completion.usage})
    yield DONE


def _logprobs(pieces: list[str], offset: int, top: int | None) -> dict[str, Any] | None:
    """The legacy shape: four parallel lists."""
    if top is None:
        return None
    listed = [token_logprob(piece, top) for piece in pieces]
    ends = list(accumulate(map(len, pieces), initial=offset))
    return {
        "tokens": pieces,
        "token_logprobs": [item["logprob"] for item in listed],
        "top_logprobs": [{one["token"]: one["logprob"] for one in item["top_logprobs"]} for item in listed],
        "text_offset": ends[:-1],
    }


ROUTES = (Route("POST", "/v1/completions", create),)
