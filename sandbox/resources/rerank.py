"""`/v1/rerank` as Jina, vLLM and (with `top_k`) Voyage have it, `/v2/rerank` as Cohere and `/rerank` as TEI.

A document is as relevant as it shares words with the query.
"""

from typing import Any

from sandbox.errors import ApiError, invalid_type, missing_parameter
from sandbox.model import tokens
from sandbox.model.vectors import embed
from sandbox.store import params
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

SIZE = 256
SEARCH_UNIT = 100  # documents that Cohere bills as one search


async def common(request: Request) -> Answer:
    body = request.json()
    model, documents, scored, used = _asked(body, "documents")
    voyage = "top_k" in body
    top = params.integer(body, "top_k" if voyage else "top_n", 1)
    results = [_result(documents, row, shown=body.get("return_documents", not voyage)) for row in scored]
    used = request.faults.usage.get("total_tokens", used)
    usage = {} if request.faults.no_usage else {"usage": {"total_tokens": used}}
    if voyage:
        return json_response({"object": "list", "data": results[:top], "model": model, **usage})
    answer = {"id": request.app.state.new_id("rerank-"), "model": model, "results": results[:top]}
    return json_response({**answer, **usage})


async def cohere(request: Request) -> Answer:
    body = request.json()
    params.known(body, ("model", "query", "documents", "top_n", "max_tokens_per_doc", "priority"))
    _, documents, scored, _ = _asked(body, "documents")
    top = params.integer(body, "top_n", 1)
    results = [{"index": index, "relevance_score": score} for index, score in scored[:top]]
    units = request.faults.usage.get("total_tokens", -(-len(documents) // SEARCH_UNIT))
    meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": units}}
    return json_response({"id": request.app.state.new_id("", 32), "results": results, "meta": meta})


async def tei(request: Request) -> Answer:
    body = request.json()
    params.known(body, ("query", "texts", "raw_scores", "return_text", "truncate", "truncation_direction"))
    _, _, scored, _ = _asked({"model": "tei", **body}, "texts")
    return json_response([{"index": index, "score": score} for index, score in scored])


def _asked(body: Body, name: str) -> tuple[str, list[str], list[tuple[int, float]], int]:
    """The model, the documents, their places and scores (the best first), and the tokens."""
    model = str(params.required(body, "model"))
    query = params.string(body, "query")
    if not query:
        raise missing_parameter("query")
    given = params.required(body, name)
    if not isinstance(given, list) or not given:
        raise invalid_type(name, "a non-empty array of strings", given)
    documents: list[str] = []
    for item in given:
        text = item.get("text") if isinstance(item, dict) else item
        if not isinstance(text, str):
            raise ApiError(f"Invalid '{name}': expected strings.", param=name)
        documents.append(text)
    wanted = embed(query.lower(), model, SIZE, SIZE)
    vectors = [embed(document.lower() or " ", model, SIZE, SIZE) for document in documents]
    scores = [round(max(sum(a * b for a, b in zip(wanted, vector, strict=True)), 0.0), 6) for vector in vectors]
    scored = sorted(enumerate(scores), key=lambda row: -row[1])
    return model, documents, scored, tokens.count(query) * len(documents) + sum(map(tokens.count, documents))


def _result(documents: list[str], row: tuple[int, float], *, shown: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"index": row[0], "relevance_score": row[1]}
    return {**found, "document": {"text": documents[row[0]]}} if shown else found


ROUTES = (
    Route("POST", "/v1/rerank", common),
    Route("POST", "/v2/rerank", cohere),
    Route("POST", "/rerank", tei),
)
"""TEI's path has no version."""
