"""`/v1/vector_stores/{id}/files` and `/file_batches`."""

from typing import Any

from sandbox.errors import ApiError, invalid_type, invalid_value
from sandbox.resources.vector_stores import find_store
from sandbox.store import params, vector_index
from sandbox.store.objects import POLL_SOON, Item, add, find, page
from sandbox.store.params import quoted
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

MAX_BATCH = 2000


async def create(request: Request) -> Answer:
    store, body = find_store(request), request.json()
    params.required(body, "file_id")
    item = vector_index.add_file(request.app.state, store, body, request.app.job_seconds)
    return json_response(item.shape)


async def list_files(request: Request) -> Answer:
    return _listed(request, list(find_store(request).within("files")))


def _listed(request: Request, files: list[Item]) -> Answer:
    """With `filter` only the files in one status."""
    state, wanted = request.app.state, request.query().get("filter")
    if wanted is not None and wanted not in vector_index.STATUSES:
        raise invalid_value("filter", wanted, quoted(vector_index.STATUSES))
    kept = [item for item in files if wanted in (None, vector_index.show_file(state, item)["status"])]
    return page(request, kept, lambda item: vector_index.show_file(state, item))


async def retrieve(request: Request) -> Answer:
    return json_response(vector_index.show_file(request.app.state, _file(request)), headers=POLL_SOON)


async def update(request: Request) -> Answer:
    item, body = _file(request), request.json()
    params.required(body, "attributes")
    item.shape["attributes"] = vector_index.attributes(body)
    return json_response(vector_index.show_file(request.app.state, item))


async def delete(request: Request) -> Answer:
    item = _file(request)
    find_store(request).within("files").pop(item.id)
    return json_response({"id": item.id, "object": "vector_store.file.deleted", "deleted": True})


async def content(request: Request) -> Answer:
    return json_response(
        {
            "object": "vector_store.file_content.page",
            "data": [{"type": "text", "text": _file(request).inner.text}],
            "has_more": False,
            "next_page": None,
        }
    )


def _file(request: Request) -> Item:
    return find(find_store(request).within("files"), request.params["file_id"], "file")


async def create_batch(request: Request) -> Answer:
    """Adds several files at once: `file_ids` with settings for all, or `files` with settings for each."""
    store, body, state = find_store(request), request.json(), request.app.state
    given: Any = body.get("files")
    if given is None:
        given = [{**body, "file_id": file_id} for file_id in params.required(body, "file_ids")]
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_BATCH:
        raise invalid_type("files", f"an array of 1 to {MAX_BATCH} objects", given)
    files = [vector_index.add_file(state, store, one, request.app.job_seconds) for one in given]
    shape = {
        "id": state.new_id("vsfb_", 32),
        "object": "vector_store.files_batch",
        "created_at": state.created(),
        "vector_store_id": store.id,
        "status": "in_progress",
    }
    batch = add(store.within("batches"), shape, files)
    return json_response(_show_batch(request, batch))


def _show_batch(request: Request, batch: Item) -> dict[str, Any]:
    files = [vector_index.show_file(request.app.state, item) for item in batch.inner]
    batch.shape["file_counts"] = vector_index.counts(files)
    if batch.shape["status"] == "in_progress" and not batch.shape["file_counts"]["in_progress"]:
        batch.shape["status"] = "completed"
    return batch.shape


async def retrieve_batch(request: Request) -> Answer:
    return json_response(_show_batch(request, _batch(request)), headers=POLL_SOON)


async def cancel_batch(request: Request) -> Answer:
    """Files that are not ready yet never will be."""
    batch = _batch(request)
    if _show_batch(request, batch)["status"] != "in_progress":
        raise ApiError(f"Cannot cancel a file batch with status '{batch.shape['status']}'.")
    for item in batch.inner:
        if item.shape["status"] == "in_progress":
            item.shape["status"] = "cancelled"
    batch.shape["status"] = "cancelled"
    return json_response(_show_batch(request, batch))


async def list_batch_files(request: Request) -> Answer:
    return _listed(request, _batch(request).inner)


def _batch(request: Request) -> Item:
    return find(find_store(request).within("batches"), request.params["batch_id"], "file batch")


_FILES = "/v1/vector_stores/{vector_store_id}/files"
_BATCHES = "/v1/vector_stores/{vector_store_id}/file_batches"
ROUTES = (
    Route("POST", _FILES, create),
    Route("GET", _FILES, list_files),
    Route("GET", _FILES + "/{file_id}", retrieve),
    Route("POST", _FILES + "/{file_id}", update),
    Route("DELETE", _FILES + "/{file_id}", delete),
    Route("GET", _FILES + "/{file_id}/content", content),
    Route("POST", _BATCHES, create_batch),
    Route("GET", _BATCHES + "/{batch_id}", retrieve_batch),
    Route("POST", _BATCHES + "/{batch_id}/cancel", cancel_batch),
    Route("GET", _BATCHES + "/{batch_id}/files", list_batch_files),
)
