"""`/v1/models`."""

from sandbox.errors import ApiError, model_not_found
from sandbox.model.catalog import FINE_TUNED, MODELS, Model, find
from sandbox.store.auth import owned
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route


def _shape(model: Model) -> dict[str, object]:
    return {"id": model.id, "object": "model", "created": model.created, "owned_by": model.owned_by}


async def list_models(request: Request) -> Answer:
    tuned: list[Model] = list(owned(request.app.state, FINE_TUNED))
    return json_response({"object": "list", "data": [_shape(model) for model in (*MODELS.values(), *tuned)]})


async def retrieve(request: Request) -> Answer:
    name = request.params["model"]
    model = find(request.app.state, name)
    if model is None:
        raise model_not_found(name, param="model")
    return json_response(_shape(model))


async def delete(request: Request) -> Answer:
    """Only a fine-tuned model can be deleted."""
    name = request.params["model"]
    if name in MODELS:
        raise ApiError("You have insufficient permissions for this operation.", status=403)
    if owned(request.app.state, FINE_TUNED).pop(name) is None:
        raise model_not_found(name)
    return json_response({"id": name, "object": "model", "deleted": True})


ROUTES = (
    Route("GET", "/v1/models", list_models),
    Route("GET", "/v1/models/{model}", retrieve),
    Route("DELETE", "/v1/models/{model}", delete),
)
