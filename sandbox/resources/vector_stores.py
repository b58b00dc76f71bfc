"""`/v1/vector_stores`, their search, their files and batches of files."""

from typing import Any

from sandbox.errors import ApiError, invalid_type, invalid_value
from sandbox.store import params, vector_index
from sandbox.store.collection import Collection
from sandbox.store.objects import POLL_SOON, Item, Shape, check_active, page
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

MAX_BATCH = 2000


def _expiry(request: Request, shape: Shape, body: Body) -> None:
    shape["name"] = params.string(shape, "name")
    expiry = vector_index.expires_after(body)
    if expiry:
        shape["expires_after"] = expiry


def _attributes(request: Request, shape: Shape, body: Body) -> None:
    params.required(body, "attributes")
    shape["attributes"] = vector_index.attributes(body)


def _batch_shown(request: Request, batch: Item) -> Shape:
    files = [vector_index.show_file(request, item) for item in batch.inner]
    batch.shape["file_counts"] = vector_index.counts(files)
    if batch.status == "in_progress" and not batch.shape["file_counts"]["in_progress"]:
        batch.shape["status"] = "completed"
    return batch.shape


STORES = Collection(
    "/v1/vector_stores",
    "vs_",
    "vector_store",
    digits=32,
    fields={"name": "", "metadata": {}},
    fixed={"usage_bytes": 0, "file_counts": {}, "status": "completed", "expires_at": None},
    times=("created_at", "last_active_at"),
    complete=_expiry,
    show=vector_index.show_store,
)
FILES = Collection(
    vector_index.FILES,
    "file-",
    "vector_store.file",
    parent=STORES,
    complete=_attributes,
    show=vector_index.show_file,
    headers=POLL_SOON,
)
BATCHES = Collection(
    "file_batches",
    "vsfb_",
    "vector_store.files_batch",
    parent=STORES,
    param="batch_id",
    digits=32,
    fixed={"status": "in_progress"},
    show=_batch_shown,
    headers=POLL_SOON,
)


def _add(request: Request, store: Item, body: Body) -> Item:
    return vector_index.add_file(request.app.state, store, body, request.app.job_seconds)


async def create(request: Request) -> Answer:
    body = request.json()
    store = STORES.new(request, body)
    for file_id in body.get("file_ids") or []:
        _add(request, store, {**body, "file_id": file_id})
    return STORES.answer(request, store)


async def search(request: Request) -> Answer:
    store, body, state = STORES.find(request), request.json(), request.app.state
    query = params.required(body, "query")
    queries = [query] if isinstance(query, str) else query
    if not isinstance(queries, list) or not all(isinstance(item, str) and item for item in queries):
        raise invalid_type("query", "one of a string or an array of strings", query)
    limit = params.integer(body, "max_num_results", 1, 50, 10)
    threshold = params.number(params.mapping(body, "ranking_options"), "score_threshold", 0, 1, 0)
    if STORES.shown(request, store)["status"] == "expired":
        raise ApiError(f"Vector store {store.id} is expired.", param="vector_store_id")
    store.shape["last_active_at"] = state.created()
    found = vector_index.search(request, store, queries, body.get("filters"), threshold)
    head = {"object": "vector_store.search_results.page", "search_query": queries}
    return json_response({**head, "data": found[:limit], "has_more": False, "next_page": None})


async def create_file(request: Request) -> Answer:
    store, body = STORES.find(request), request.json()
    params.required(body, "file_id")
    return FILES.answer(request, _add(request, store, body))


async def list_files(request: Request) -> Answer:
    return _listed(request, list(FILES.store(request)))


def _listed(request: Request, files: list[Item]) -> Answer:
    """With `filter` only the files in one status."""
    wanted = request.query().get("filter")
    if wanted is not None and wanted not in vector_index.STATUSES:
        raise invalid_value("filter", wanted, params.quoted(vector_index.STATUSES))
    shapes = [vector_index.show_file(request, item) for item in files]
    return page(request, [shape for shape in shapes if wanted in (None, shape["status"])])


async def content(request: Request) -> Answer:
    data = [{"type": "text", "text": FILES.find(request).inner.text}]
    head = {"object": "vector_store.file_content.page", "data": data}
    return json_response({**head, "has_more": False, "next_page": None})


async def create_batch(request: Request) -> Answer:
    """Adds several files at once: `file_ids` with settings for all, or `files` with settings for each."""
    store, body = STORES.find(request), request.json()
    given: Any = body.get("files")
    if given is None:
        given = [{**body, "file_id": file_id} for file_id in params.required(body, "file_ids")]
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_BATCH:
        raise invalid_type("files", f"an array of 1 to {MAX_BATCH} objects", given)
    batch = BATCHES.new(request, {}, [_add(request, store, one) for one in given])
    return BATCHES.answer(request, batch)


async def cancel_batch(request: Request) -> Answer:
    """Files that are not ready yet never will be."""
    batch = BATCHES.find(request)
    _batch_shown(request, batch)
    check_active(batch, "a file batch", "in_progress")
    for item in (batch, *batch.inner):
        if item.status == "in_progress":
            item.shape["status"] = "cancelled"
    return BATCHES.answer(request, batch)


async def list_batch_files(request: Request) -> Answer:
    return _listed(request, BATCHES.find(request).inner)


ROUTES: tuple[Route, ...] = (
    *STORES.routes("list retrieve update delete", create=create, search=search),
    *FILES.routes("retrieve update delete", create=create_file, list=list_files, get_content=content),
    *BATCHES.routes("retrieve", create=create_batch, cancel=cancel_batch, get_files=list_batch_files),
)
