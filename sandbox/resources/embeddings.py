"""`/v1/embeddings`."""

import base64
from typing import Any

from sandbox.errors import ApiError, invalid_type
from sandbox.model import catalog, tokens
from sandbox.model.catalog import Model
from sandbox.model.vectors import embed
from sandbox.store import params
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

MAX_INPUTS = 2048
MAX_TOKENS = 8192


async def create(request: Request) -> Answer:
    body = request.json()
    model = catalog.require(request.app.state, params.model_name(body), ("embedding",))
    inputs = read_inputs(body)
    dimensions = _dimensions(body, model)
    base64_wanted = params.choice(body, "encoding_format", ("float", "base64"), "float") == "base64"
    data = []
    for index, item in enumerate(inputs):
        vector = embed(item, model.id, model.dimensions, dimensions)
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
