"""`/v1/embeddings`: unit vectors that depend on the text only; texts that share words point alike."""

import base64
import hashlib
import math
import re
from array import array
from collections.abc import Iterator
from typing import Any

from sandbox.errors import ApiError, invalid_type
from sandbox.model import catalog, tokens
from sandbox.model.catalog import Model
from sandbox.store import params
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

MAX_INPUTS = 2048
MAX_TOKENS = 8192
SPREAD = 24  # how many of a vector's places one word touches
NOISE = 0.02 / 32768
_WORD = re.compile(r"\w+|[^\w\s]")


async def create(request: Request) -> Answer:
    body = request.json()
    model = catalog.require(request.app.state, params.model_name(body), ("embedding",))
    inputs = read_inputs(body)
    dimensions = _dimensions(body, model)
    base64_wanted = params.choice(body, "encoding_format", ("float", "base64"), "float") == "base64"
    data = []
    for index, item in enumerate(inputs):
        vector = embed(item, model, dimensions)
        value: Any = base64.b64encode(vector.tobytes()).decode() if base64_wanted else vector.tolist()
        data.append({"object": "embedding", "index": index, "embedding": value})
    used = request.faults.usage.get("prompt_tokens", sum(_count(item) for item in inputs))
    answer: dict[str, Any] = {"object": "list", "data": data, "model": model.shown}
    if not request.faults.no_usage:
        answer["usage"] = {"prompt_tokens": used, "total_tokens": request.faults.usage.get("total_tokens", used)}
    return json_response(answer)


def read_inputs(body: Body) -> list[str | list[int]]:
    """The inputs as texts or token arrays; raises ApiError 400 for anything else."""
    value = params.required(body, "input")
    if isinstance(value, str):
        items: list[str | list[int]] = [value]
    elif isinstance(value, list) and value and all(_is_token(item) for item in value):
        items = [value]
    elif isinstance(value, list):
        items = value
    else:
        raise invalid_type("input", "one of a string or an array", value)
    if not items or len(items) > MAX_INPUTS:
        raise ApiError(f"Invalid 'input': expected 1 to {MAX_INPUTS} inputs, but got {len(items)}.", param="input")
    for item in items:
        if not item or not (isinstance(item, str) or (isinstance(item, list) and all(map(_is_token, item)))):
            raise ApiError(
                "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference."
            )
        if _count(item) > MAX_TOKENS:
            raise ApiError(
                f"This model's maximum context length is {MAX_TOKENS} tokens, however you requested {_count(item)} "
                "tokens. Please reduce your prompt; or completion length.",
            )
    return items


def embed(item: str | list[int], model: Model, dimensions: int) -> "array[float]":
    """A unit vector of 32-bit floats. Shorter ones are the beginning of longer ones, made unit again."""
    full = _noise(item, model)
    for word in _words(item):
        seed = hashlib.shake_128(f"{model.id}\0{word}".encode()).digest(SPREAD * 4)
        for at in range(0, SPREAD * 4, 4):
            place = int.from_bytes(seed[at : at + 2], "big") % len(full)
            full[place] += (int.from_bytes(seed[at + 2 : at + 4], "big") - 32767.5) / 32768
    kept = full[:dimensions]
    norm = math.sqrt(math.fsum(value * value for value in kept))
    return array("f", [value / norm for value in kept])


def _noise(item: str | list[int], model: Model) -> list[float]:
    """A little of the whole text at every place, so that no vector is zero and no two texts are the same."""
    digest = hashlib.shake_128(repr(item).encode("utf-8", "surrogatepass")).digest(model.dimensions * 2)
    return [(value + 0.5) * NOISE for value in array("h", digest)]


def _words(item: str | list[int]) -> Iterator[str]:
    if isinstance(item, str):
        yield from (word.lower() for word in _WORD.findall(item))
    else:
        yield from (str(token) for token in item)


def _dimensions(body: Body, model: Model) -> int:
    wanted = params.integer(body, "dimensions", 1, model.dimensions, model.dimensions)
    if "dimensions" in body and model.id == "text-embedding-ada-002":
        raise ApiError("This model does not support specifying dimensions.")
    return wanted or model.dimensions


def _is_token(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _count(item: str | list[int]) -> int:
    return tokens.count(item) if isinstance(item, str) else len(item)


ROUTES = (Route("POST", "/v1/embeddings", create),)
