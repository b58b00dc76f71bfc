"""`/v1/containers` and their files."""

from sandbox.errors import ApiError
from sandbox.resources.files import download
from sandbox.state import State
from sandbox.store import params, stored_files
from sandbox.store.objects import Item, add, body_or_form, find, items, page, remove
from sandbox.store.params import Body
from sandbox.store.stored_files import StoredFile
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

STORE = "containers"
LIFETIME = 20  # minutes
MEMORY = ("1g", "4g", "16g", "64g")


async def create(request: Request) -> Answer:
    body, state = request.json(), request.app.state
    name = params.required(body, "name")
    now = state.created()
    minutes = params.integer(params.mapping(body, "expires_after"), "minutes", 1, LIFETIME, LIFETIME)
    policy: Body = params.mapping(body, "network_policy") or {"type": "disabled"}
    container = Item(
        {
            "id": state.new_id("cntr_", 48),
            "object": "container",
            "created_at": now,
            "status": "running",
            "expires_after": {"anchor": "last_active_at", "minutes": minutes},
            "last_active_at": now,
            "memory_limit": params.choice(body, "memory_limit", MEMORY, "1g"),
            "network_policy": {key: policy[key] for key in ("type", "allowed_domains") if key in policy},
            "name": name,
        }
    )
    for file_id in body.get("file_ids") or []:
        _add(state, container, stored_files.find(state, file_id, "file_ids"))
    items(request, STORE).put(container.id, container)
    return json_response(container.shape)


async def list_containers(request: Request) -> Answer:
    wanted = request.query().get("name")
    found = [item for item in items(request, STORE) if wanted in (None, item.shape["name"])]
    return page(request, found)


async def retrieve(request: Request) -> Answer:
    return json_response(_container(request).shape)


async def delete(request: Request) -> Answer:
    return remove(items(request, STORE), _container(request), "container.deleted")


async def add_file(request: Request) -> Answer:
    """A file of its own in a form's `file`, or a copy of an uploaded one by `file_id`."""
    container, state = _running(request), request.app.state
    body, form = await body_or_form(request)
    if body.get("file_id"):
        stored = stored_files.find(state, params.string(body, "file_id"), "file_id")
    else:
        upload = form.require_file("file")
        # Not one of the caller's files: it lives and dies with its container.
        stored = StoredFile({"id": "", "bytes": upload.size, "filename": upload.filename}, upload.file)
    return json_response(_add(state, container, stored).shape)


def _add(state: State, container: Item, stored: StoredFile) -> Item:
    shape = {
        "id": state.new_id("cfile_", 48),
        "object": "container.file",
        "created_at": state.created(),
        "bytes": stored.size,
        "container_id": container.id,
        "path": f"/mnt/data/{stored.shape['filename'].rsplit('/', 1)[-1]}",
        "source": "user",
    }
    container.shape["last_active_at"] = state.created()
    return add(container.within("files"), shape, stored)


async def list_files(request: Request) -> Answer:
    return page(request, _running(request).within("files"))


async def retrieve_file(request: Request) -> Answer:
    return json_response(_file(request).shape)


async def delete_file(request: Request) -> Answer:
    return remove(_running(request).within("files"), _file(request), "container.file.deleted")


async def content(request: Request) -> Answer:
    return download(_file(request).inner, request.header("range"))


def _container(request: Request) -> Item:
    container = find(items(request, STORE), request.params["container_id"], "container")
    idle = request.app.state.now() - container.shape["last_active_at"]
    if idle > container.shape["expires_after"]["minutes"] * 60:
        container.shape["status"] = "expired"
    return container


def _running(request: Request) -> Item:
    container = _container(request)
    if container.shape["status"] == "expired":
        raise ApiError("Container is expired.", status=404)
    return container


def _file(request: Request) -> Item:
    return find(_running(request).within("files"), request.params["file_id"], "container file")


_FILES = "/v1/containers/{container_id}/files"
ROUTES = (
    Route("POST", "/v1/containers", create),
    Route("GET", "/v1/containers", list_containers),
    Route("GET", "/v1/containers/{container_id}", retrieve),
    Route("DELETE", "/v1/containers/{container_id}", delete),
    Route("POST", _FILES, add_file, streamed=True),
    Route("GET", _FILES, list_files),
    Route("GET", _FILES + "/{file_id}", retrieve_file),
    Route("DELETE", _FILES + "/{file_id}", delete_file),
    Route("GET", _FILES + "/{file_id}/content", content),
)
