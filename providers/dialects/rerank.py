"""Reranking: Cohere's request and answer are the front door's; servers that call things otherwise are a row each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from providers.dialects.conversion import Ask, Converted, Upstream
from providers.dialects.failures import unreadable
from providers.dialects.media_conversion import Whole
from providers.dialects.neutral import Settings, Usage
from providers.dialects.wire import Fields, count, encode, invalid, lenient, new_id, plain

KNOWN = frozenset({"model", "query", "documents", "top_n", "return_documents", "max_tokens_per_doc", "rank_fields"})


@dataclass(frozen=True, slots=True)
class Style:
    """How a server reranks. ``path`` replaces the end ``cut`` of the account's address; ``documents``, ``top`` and
    ``limit`` are its names for documents, ``top_n`` and ``max_tokens_per_doc`` (empty: it has none); ``named`` says
    whether it takes a model; ``score`` is what its answer calls a document's relevance.
    """

    path: str = "rerank"
    cut: str = ""
    documents: str = "documents"
    top: str = "top_n"
    limit: str = ""
    named: bool = True
    score: str = "relevance_score"


STYLES: dict[str, Style] = {
    # docs.cohere.com/reference/rerank; its OpenAI-compatible address has no rerank.
    "cohere": Style(path="/v2/rerank", cut="/compatibility/v1", limit="max_tokens_per_doc"),
    # docs.voyageai.com/reference/reranker-api
    "voyage-ai": Style(top="top_k"),
    # huggingface.github.io/text-embeddings-inference
    "tei": Style(path="/rerank", cut="/v1", documents="texts", top="", named=False, score="score"),
}
"""The servers that don't rerank as Jina, vLLM and others do, whose calls pass as they come."""


class Rerank(Whole):
    """A call for a server with a style of its own."""

    def __init__(self, ask: Ask) -> None:
        super().__init__()
        fields = plain(ask.fields)
        self._query = fields.get("query")
        if not isinstance(self._query, str) or not self._query:
            raise invalid("query", self._query, "It must be a non-empty string.")
        self._documents = _texts(fields.get("documents"))
        self._top = fields.get("top_n")
        if self._top is not None and (not isinstance(self._top, int) or isinstance(self._top, bool) or self._top < 1):
            raise invalid("top_n", self._top, "It must be a whole number from 1 on.")
        self._shown = fields.get("return_documents") is True
        self._limit = fields.get("max_tokens_per_doc")
        self._extra = [name for name in fields if name not in KNOWN]
        self._style = Style()

    def write(self, settings: Settings) -> Upstream:
        """Return the request in the server's own words."""
        style = self._style = STYLES[settings.vendor]
        self._model = settings.model
        body: Fields = {"query": self._query, style.documents: self._documents}
        if style.named:
            body["model"] = settings.model
        if self._top is not None and style.top:
            body[style.top] = self._top
        self.dropped = list(self._extra)
        if self._limit is not None:
            if style.limit:
                body[style.limit] = self._limit
            else:
                self.dropped.append("max_tokens_per_doc")
        return Upstream(style.path, encode(body), cut=style.cut)

    def answer(self, body: bytes) -> Converted:
        """Return the answer as Cohere has it, the most relevant first."""
        fields = lenient(body)
        found = fields.get("results", fields.get("data")) if isinstance(fields, dict) else fields
        if not isinstance(found, list):
            raise unreadable("it has no results")
        results = [self._result(row) for row in found if isinstance(row, dict)]
        results.sort(key=lambda row: -row["relevance_score"])
        outer: Mapping[str, Any] = fields if isinstance(fields, dict) else {}
        units, tokens = _used(outer)
        meta = {"api_version": {"version": "2"}, "billed_units": {"search_units": units or 1}}
        answer = {
            "id": outer.get("id") or new_id("rerank-"),
            "model": self._model,
            "results": results[: self._top],
            "meta": meta,
            **({"usage": {"total_tokens": tokens}} if tokens else {}),
        }
        return Converted(status=200, body=encode(answer), usage=Usage(input=tokens, requests=units), model=self._model)

    def _result(self, row: Fields) -> Fields:
        index, score = row.get("index"), row.get(self._style.score)
        if not isinstance(index, int) or not 0 <= index < len(self._documents) or not isinstance(score, (int, float)):
            raise unreadable("a result has no index or no score")
        found: Fields = {"index": index, "relevance_score": score}
        return {**found, "document": {"text": self._documents[index]}} if self._shown else found


def _texts(documents: Any) -> list[str]:
    if not isinstance(documents, list) or not documents:
        raise invalid("documents", documents, "It must be a non-empty array of strings.")
    found = []
    for index, document in enumerate(documents):
        text = document.get("text") if isinstance(document, dict) else document
        if not isinstance(text, str):
            raise invalid(f"documents[{index}]", text, "It must be a string, or an object with a 'text'.")
        found.append(text)
    return found


def _used(fields: Mapping[str, Any]) -> tuple[int, int]:
    """Return the searches that are billed, and the tokens."""
    meta = fields.get("meta")
    billed = meta.get("billed_units") if isinstance(meta, dict) else None
    return count(billed, "search_units"), count(fields.get("usage"), "total_tokens")
