"""Claude on Vertex AI: the model is in the path, the API's version in the body; the rest is Anthropic's."""

from typing import Any

from sandbox.anthropic import routes
from sandbox.anthropic.models import MODELS
from sandbox.anthropic.service import error_response, invalid
from sandbox.errors import ApiError
from sandbox.wire.messages import Answer, Request, encode

PUBLISHER = "anthropic"
COUNT = "count-tokens"
METHODS = {"rawPredict": False, "streamRawPredict": True}
VERSIONS = ("vertex-2023-10-16", "2026-10-21")


def knows(name: str) -> bool:
    """Whether it has a model, or what counts tokens, of this name; a date is behind an @ here."""
    return name == COUNT or name.replace("@", "-") in MODELS


async def predict(request: Request, name: str, method: str, body: Any) -> Answer:
    """A message or a count; errors of what is asked for are in Anthropic's words."""
    try:
        if not isinstance(body, dict) or body.get("anthropic_version") not in VERSIONS:
            raise invalid("anthropic_version", "Field required")
        fields = {key: value for key, value in body.items() if key != "anthropic_version"}
        if name == COUNT:
            request.body = encode({**fields, "model": str(fields.get("model")).replace("@", "-")})
            return await routes.count_tokens(request)
        if "model" in fields:
            raise invalid("model", "Extra inputs are not permitted")
        if fields.get("stream", False) is not METHODS[method]:
            raise invalid("stream", f"Input should be {str(METHODS[method]).lower()} for {method}")
        request.body = encode({**fields, "model": name.replace("@", "-")})
        return await routes.create(request)
    except ApiError as error:
        return error_response(error)
