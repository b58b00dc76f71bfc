"""`/v1/containers` and their files."""

from typing import Any

from sandbox.errors import ApiError
from sandbox.resources.files import download
from sandbox.store import params, stored_files
from sandbox.store.collection import Collection
from sandbox.store.objects import Item, Shape, body_or_form
from sandbox.store.params import Body
from sandbox.store.stored_files import StoredFile
from sandbox.wire.messages import Answer, Request

LIFETIME = 20  # minutes
MEMORY = ("1g", "4g", "16g", "64g")


def _complete(request: Request, shape: Shape, body: Body) -> None:
    minutes = params.integer(params.mapping(body, "expires_after"), "minutes", 1, LIFETIME, LIFETIME)
    policy: Body = params.mapping(body, "network_policy") or {"type": "disabled"}
    shape.update(
        expires_after={"anchor": "last_active_at", "minutes": minutes},
        memory_limit=params.choice(body, "memory_limit", MEMORY, "1g"),
        network_policy={key: policy[key] for key in ("type", "allowed_domains") if key in policy},
    )


def _shown(request: Request, container: Item) -> Shape:
    shape = container.shape
    if request.app.state.now() - shape["last_active_at"] > shape["expires_after"]["minutes"] * 60:
        shape["status"] = "expired"
    return shape


def _check_running(request: Request, container: Item) -> None:
    if _shown(request, container)["status"] == "expired":
        raise ApiError("Container is expired.", status=404)


CONTAINERS = Collection(
    "/v1/containers",
    "cntr_",
    "container",
    digits=48,
    required=("name",),
    fields={"name": ""},
    fixed={"status": "running"},
    times=("created_at", "last_active_at"),
    complete=_complete,
    show=_shown,
    usable=_check_running,
    filters=("name",),
)
FILES = Collection("files", "cfile_", "container.file", parent=CONTAINERS, digits=48)


async def create(request: Request) -> Answer:
    return CONTAINERS.answer(request, _new(request, request.json()))


def open_used(request: Request, tools: list[Shape], items: list[Shape]) -> None:
    """Creates the containers that calls of the code interpreter name and that were not given by their ids."""
    wanted: list[Body] = [tool["container"] for tool in tools if isinstance(tool.get("container"), dict)]
    for item in items:
        container_id = item.get("container_id")
        if wanted and container_id and container_id not in CONTAINERS.store(request):
            _new(request, {**wanted[0], "name": "Auto container"}, id=container_id)


def _new(request: Request, body: Body, **more: Any) -> Item:
    files = [stored_files.find(request.app.state, file_id, "file_ids") for file_id in body.get("file_ids") or []]
    container = CONTAINERS.new(request, body, **more)
    for stored in files:
        _add(request, container, stored)
    return container


async def add_file(request: Request) -> Answer:
    """A file of its own in a form's `file`, or a copy of an uploaded one by `file_id`."""
    container = CONTAINERS.find(request)
    _check_running(request, container)
    body, form = await body_or_form(request)
    if body.get("file_id"):
        stored = stored_files.find(request.app.state, params.string(body, "file_id"), "file_id")
    else:
        upload = form.require_file("file")
        # Not one of the caller's files: it lives and dies with its container.
        stored = StoredFile({"id": "", "bytes": upload.size, "filename": upload.filename}, content=upload.file)
    return FILES.answer(request, _add(request, container, stored))


def _add(request: Request, container: Item, stored: StoredFile) -> Item:
    path = f"/mnt/data/{stored.shape['filename'].rsplit('/', 1)[-1]}"
    container.shape["last_active_at"] = request.app.state.created()
    return FILES.add(request.app.state, container, stored, bytes=stored.size, path=path, source="user")


async def content(request: Request) -> Answer:
    return download(FILES.find(request).inner, request.header("range"))


ROUTES = (
    *CONTAINERS.routes("list retrieve delete", create=create),
    *FILES.routes("list retrieve delete", streamed=("create",), create=add_file, get_content=content),
)
