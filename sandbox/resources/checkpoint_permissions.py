"""`/v1/fine_tuning/checkpoints/{checkpoint}/permissions`: projects that may use a fine-tuned model."""

from typing import Any

from sandbox.errors import ApiError, invalid_type
from sandbox.model.catalog import FINE_TUNED
from sandbox.state import Store
from sandbox.store import paging, params
from sandbox.store.auth import owned
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

STORE = "checkpoint-permissions"
_ORDERS = {"ascending": "asc", "descending": "desc"}


async def create(request: Request) -> Answer:
    """A permission for each of `project_ids`; what a project has already is not made twice."""
    checkpoint = _checkpoint(request)
    project_ids = params.required(request.json(), "project_ids")
    if not isinstance(project_ids, list) or not all(isinstance(item, str) for item in project_ids):
        raise invalid_type("project_ids", "an array of strings", project_ids)
    state, store = request.app.state, _permissions(request)
    before = {item["project_id"]: item for item in store if item["checkpoint"] == checkpoint}
    made = []
    for project_id in project_ids:
        item = before.get(project_id)
        if item is None:
            item = {
                "object": "checkpoint.permission",
                "id": state.new_id("cp_"),
                "created_at": state.created(),
                "project_id": project_id,
                "checkpoint": checkpoint,
            }
            store.put(item["id"], item)
        made.append(_shown(item))
    return json_response(paging.page(made, {"order": "asc"}, limit=max(len(made), 1)))


async def list_permissions(request: Request) -> Answer:
    checkpoint, query = _checkpoint(request), request.query()
    if "order" in query:
        query["order"] = _ORDERS.get(query["order"], query["order"])
    wanted = query.get("project_id")
    items = [
        _shown(item)
        for item in _permissions(request)
        if item["checkpoint"] == checkpoint and wanted in (None, item["project_id"])
    ]
    return json_response(paging.page(items, query, limit=10))


async def delete(request: Request) -> Answer:
    checkpoint, permission_id = _checkpoint(request), request.params["permission_id"]
    item = _permissions(request).get(permission_id)
    if item is None or item["checkpoint"] != checkpoint:
        raise ApiError(f"No permission found with id '{permission_id}'.", status=404, param="permission_id")
    _permissions(request).pop(permission_id)
    return json_response({"object": "checkpoint.permission", "id": permission_id, "deleted": True})


def _shown(item: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in item.items() if key != "checkpoint"}


def _checkpoint(request: Request) -> str:
    name = request.params["checkpoint"]
    if name not in owned(request.app.state, FINE_TUNED):
        raise ApiError(f"No fine-tuned model checkpoint found with name '{name}'.", status=404)
    return name


def _permissions(request: Request) -> Store[str, dict[str, Any]]:
    return owned(request.app.state, STORE)


_PATH = "/v1/fine_tuning/checkpoints/{checkpoint}/permissions"
ROUTES = (
    Route("POST", _PATH, create),
    Route("GET", _PATH, list_permissions),
    Route("DELETE", _PATH + "/{permission_id}", delete),
)
