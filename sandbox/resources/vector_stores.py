"""`/v1/vector_stores`: stores and their search; `vector_store_files.py` has what is inside them."""

from sandbox.errors import ApiError, invalid_type
from sandbox.store import params, vector_index
from sandbox.store.objects import Item, find, items, page, remove
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

STORE = "vector-stores"


async def create(request: Request) -> Answer:
    body, state = request.json(), request.app.state
    now = state.created()
    store = Item(
        {
            "id": state.new_id("vs_", 32),
            "object": "vector_store",
            "created_at": now,
            "name": params.string(body, "name"),
            "usage_bytes": 0,
            "file_counts": {},
            "status": "completed",
            "expires_at": None,
            "last_active_at": now,
            "metadata": params.metadata(body),
        }
    )
    expiry = vector_index.expires_after(body)
    if expiry:
        store.shape["expires_after"] = expiry
    for file_id in body.get("file_ids") or []:
        vector_index.add_file(state, store, {**body, "file_id": file_id}, request.app.job_seconds)
    items(request, STORE).put(store.id, store)
    return json_response(vector_index.show_store(state, store))


async def list_stores(request: Request) -> Answer:
    state = request.app.state
    return page(request, items(request, STORE), lambda store: vector_index.show_store(state, store))


async def retrieve(request: Request) -> Answer:
    return json_response(vector_index.show_store(request.app.state, find_store(request)))


async def update(request: Request) -> Answer:
    store, body = find_store(request), request.json()
    if body.get("name") is not None:
        store.shape["name"] = params.string(body, "name")
    if body.get("metadata") is not None:
        store.shape["metadata"] = params.metadata(body)
    expiry = vector_index.expires_after(body)
    if expiry:
        store.shape["expires_after"] = expiry
    return json_response(vector_index.show_store(request.app.state, store))


async def delete(request: Request) -> Answer:
    return remove(items(request, STORE), find_store(request), "vector_store.deleted")


async def search(request: Request) -> Answer:
    store, body, state = find_store(request), request.json(), request.app.state
    query = params.required(body, "query")
    queries = [query] if isinstance(query, str) else query
    if not isinstance(queries, list) or not all(isinstance(item, str) and item for item in queries):
        raise invalid_type("query", "one of a string or an array of strings", query)
    limit = params.integer(body, "max_num_results", 1, 50, 10)
    threshold = params.number(params.mapping(body, "ranking_options"), "score_threshold", 0, 1, 0)
    if vector_index.show_store(state, store)["status"] == "expired":
        raise ApiError(f"Vector store {store.id} is expired.", param="vector_store_id")
    store.shape["last_active_at"] = state.created()
    found = vector_index.search(state, store, queries, body.get("filters"), threshold)
    return json_response(
        {
            "object": "vector_store.search_results.page",
            "search_query": queries,
            "data": found[:limit],
            "has_more": False,
            "next_page": None,
        }
    )


def find_store(request: Request) -> Item:
    """The caller's store that the path names; raises ApiError 404 when there is none."""
    return find(items(request, STORE), request.params["vector_store_id"], "vector store")


ROUTES = (
    Route("POST", "/v1/vector_stores", create),
    Route("GET", "/v1/vector_stores", list_stores),
    Route("GET", "/v1/vector_stores/{vector_store_id}", retrieve),
    Route("POST", "/v1/vector_stores/{vector_store_id}", update),
    Route("DELETE", "/v1/vector_stores/{vector_store_id}", delete),
    Route("POST", "/v1/vector_stores/{vector_store_id}/search", search),
)
