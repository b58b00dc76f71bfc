"""`/v1/models`."""

from sandbox.catalog import CREATED, MODELS
from sandbox.http import Answer, Request, json_response
from sandbox.routing import Route


def describe(model: str) -> dict[str, object]:
    return {"id": model, "object": "model", "created": CREATED, "owned_by": "openai"}


async def list_models(request: Request) -> Answer:
    tuned = [model["id"] for model in request.app.state.store("fine-tuned-models")]
    return json_response({"object": "list", "data": [describe(name) for name in (*MODELS, *tuned)]})


ROUTES = (Route("GET", "/v1/models", list_models),)
