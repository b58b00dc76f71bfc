"""What a vector store holds: files in pieces, which are ready a moment after they were added."""

from dataclasses import dataclass
from typing import Any

from sandbox.errors import ApiError, invalid_type, invalid_value
from sandbox.state import State
from sandbox.store import params, stored_files
from sandbox.store.objects import Item, add
from sandbox.store.params import Body
from sandbox.store.text_search import MAX_TEXT, Chunk, chunks, fits, readable, score, words
from sandbox.wire.messages import Request

DAY = 86_400
CHUNK_TOKENS, OVERLAP_TOKENS = 800, 400
MAX_ATTRIBUTES = 16
FILES = "files"
STATUSES = ("in_progress", "completed", "failed", "cancelled")


@dataclass(slots=True)
class Indexed:
    """A file in a vector store; `ready_at` is by the sandbox's clock."""

    filename: str
    text: str
    chunks: list[Chunk]
    ready_at: float


def add_file(state: State, store: Item, body: Body, seconds: float) -> Item:
    """Adds the file that `body` names to a store, ready in `seconds`; raises ApiError 404 for an unknown one."""
    stored = stored_files.find(state, params.string(body, "file_id"), "file_id")
    strategy = chunking(body)
    text = readable(stored.read(0, MAX_TEXT))
    parts = chunks(text, strategy["max_chunk_size_tokens"], strategy["chunk_overlap_tokens"])
    shape = {
        "id": stored.id,
        "object": "vector_store.file",
        "usage_bytes": 0,
        "created_at": state.created(),
        "vector_store_id": store.id,
        "status": "in_progress",
        "last_error": None,
        "chunking_strategy": {"type": "static", "static": strategy},
        "attributes": attributes(body),
    }
    inner = Indexed(stored.shape["filename"], text, parts, state.now() + seconds)
    return add(store.within(FILES), shape, inner)


def chunking(body: Body) -> dict[str, int]:
    """The numbers of a static `chunking_strategy`, OpenAI's own for `auto`; raises ApiError 400 for others."""
    strategy = params.mapping(body, "chunking_strategy")
    if params.choice(strategy, "type", ("auto", "static"), "auto") == "auto":
        return {"max_chunk_size_tokens": CHUNK_TOKENS, "chunk_overlap_tokens": OVERLAP_TOKENS}
    static = params.mapping(strategy, "static")
    size = params.integer(static, "max_chunk_size_tokens", 100, 4096, CHUNK_TOKENS) or CHUNK_TOKENS
    overlap = params.integer(static, "chunk_overlap_tokens", 0, size // 2, OVERLAP_TOKENS) or 0
    return {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}


def attributes(body: Body) -> dict[str, Any]:
    given = params.mapping(body, "attributes")
    if len(given) > MAX_ATTRIBUTES:
        raise ApiError(f"Invalid 'attributes': at most {MAX_ATTRIBUTES} are allowed.", param="attributes")
    for key, value in given.items():
        if not isinstance(value, str | int | float | bool):
            raise invalid_type(f"attributes.{key}", "one of a string, a number or a boolean", value)
    return given


def expires_after(body: Body) -> dict[str, Any] | None:
    """`{"anchor": "last_active_at", "days": N}`, or None; raises ApiError 400 for anything else."""
    given = params.mapping(body, "expires_after")
    if not given:
        return None
    if given.get("anchor") != "last_active_at":
        raise invalid_value("expires_after.anchor", given.get("anchor"), "'last_active_at'")
    params.required(given, "expires_after.days")
    params.integer(given, "expires_after.days", 1, 365)
    return given


def show_file(request: Request, item: Item) -> dict[str, Any]:
    """The file's object as of now."""
    shape, inner = item.shape, item.inner
    if shape["status"] == "in_progress" and request.app.state.now() >= inner.ready_at:
        shape["status"] = "completed" if inner.chunks else "failed"
        shape["usage_bytes"] = sum(len(chunk.text.encode()) for chunk in inner.chunks)
        if not inner.chunks:
            shape["last_error"] = {"code": "unsupported_file", "message": "The file has no text that can be read."}
    return shape


def counts(shapes: list[dict[str, Any]]) -> dict[str, int]:
    """How many files are in each status, and in all."""
    found = dict.fromkeys(STATUSES, 0)
    for shape in shapes:
        found[shape["status"]] += 1
    return {**found, "total": len(shapes)}


def show_store(request: Request, store: Item) -> dict[str, Any]:
    """The vector store's object as of now."""
    shape = store.shape
    files = [show_file(request, item) for item in store.within(FILES)]
    shape["file_counts"] = counts(files)
    shape["usage_bytes"] = sum(item["usage_bytes"] for item in files)
    shape["status"] = "in_progress" if shape["file_counts"]["in_progress"] else "completed"
    if shape.get("expires_after"):
        shape["expires_at"] = shape["last_active_at"] + shape["expires_after"]["days"] * DAY
        if request.app.state.now() >= shape["expires_at"]:
            shape["status"] = "expired"
    return shape


def search(request: Request, store: Item, queries: list[str], wanted: Any, threshold: float) -> list[dict[str, Any]]:
    """The files that share words with a query and fit the filter, best first, each with its best pieces."""
    found = []
    for item in store.within(FILES):
        shape = show_file(request, item)
        if shape["status"] != "completed" or (wanted is not None and not fits(wanted, shape["attributes"])):
            continue
        scored = [(max(score(words(query), chunk) for query in queries), chunk) for chunk in item.inner.chunks]
        best = sorted((one for one in scored if one[0] > 0), key=lambda one: -one[0])[:3]
        if best and best[0][0] >= threshold:
            found.append(
                {
                    "file_id": item.id,
                    "filename": item.inner.filename,
                    "score": round(best[0][0], 4),
                    "attributes": shape["attributes"],
                    "content": [{"type": "text", "text": chunk.text} for _, chunk in best],
                }
            )
    return sorted(found, key=lambda result: -result["score"])
