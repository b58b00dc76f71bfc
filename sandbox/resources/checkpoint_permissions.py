"""`/v1/fine_tuning/checkpoints/{checkpoint}/permissions`: projects that may use a fine-tuned model."""

from sandbox.errors import ApiError
from sandbox.model.catalog import FINE_TUNED
from sandbox.store import paging, params
from sandbox.store.auth import owned
from sandbox.store.collection import Collection
from sandbox.store.objects import Item
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

_ORDERS = {"ascending": "asc", "descending": "desc"}

PERMISSIONS = Collection("/v1/fine_tuning/checkpoints/{checkpoint}/permissions", "cp_", "checkpoint.permission")


def _of_checkpoint(request: Request) -> list[Item]:
    """The permissions of the checkpoint that the path names, which is their `inner`."""
    name = request.params["checkpoint"]
    if name not in owned(request.app.state, FINE_TUNED):
        raise ApiError(f"No fine-tuned model checkpoint found with name '{name}'.", status=404)
    return [item for item in PERMISSIONS.store(request) if item.inner == name]


async def create(request: Request) -> Answer:
    """A permission for each of `project_ids`; what a project has already is not created twice."""
    before = {item.shape["project_id"]: item for item in _of_checkpoint(request)}
    project_ids = params.strings(request.json(), "project_ids")
    for name in project_ids:
        if name not in before:
            before[name] = PERMISSIONS.new(request, {}, request.params["checkpoint"], project_id=name)
    shapes = [before[name].shape for name in project_ids]
    return json_response(paging.page(shapes, {"order": "asc"}, limit=max(len(shapes), 1)))


async def list_permissions(request: Request) -> Answer:
    query = request.query()
    if "order" in query:
        query["order"] = _ORDERS.get(query["order"], query["order"])
    wanted = query.get("project_id")
    shapes = [item.shape for item in _of_checkpoint(request) if wanted in (None, item.shape["project_id"])]
    return json_response(paging.page(shapes, query, limit=10))


async def delete(request: Request) -> Answer:
    permission_id = request.params["permission_id"]
    if permission_id not in [item.id for item in _of_checkpoint(request)]:
        raise ApiError(f"No permission found with id '{permission_id}'.", status=404, param="permission_id")
    PERMISSIONS.store(request).pop(permission_id)
    return json_response({"object": PERMISSIONS.name, "id": permission_id, "deleted": True})


ROUTES: tuple[Route, ...] = PERMISSIONS.routes("", create=create, list=list_permissions, delete=delete)
