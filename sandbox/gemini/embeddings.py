"""`:embedContent` and `:batchEmbedContents`."""

from typing import Any

from sandbox.gemini.fields import Fields, closed, items, one_of, typed
from sandbox.gemini.models import Model
from sandbox.gemini.service import invalid
from sandbox.model import tokens
from sandbox.model.vectors import embed
from sandbox.wire.messages import Answer, Request, json_response

MOST = 100
_CONFIG = ("title", "taskType", "autoTruncate", "outputDimensionality", "documentOcr", "audioTrackExtraction")
_KNOWN = ("model", "content", "taskType", "title", "outputDimensionality", "embedContentConfig")
TASKS = (
    *("TASK_TYPE_UNSPECIFIED", "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION"),
    *("CLUSTERING", "QUESTION_ANSWERING", "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY"),
)


async def one(request: Request, model: Model, body: Any) -> Answer:
    values, sent = _vector(body, model, "")
    return json_response({"embedding": {"values": values}, **_usage(request, sent)})


async def several(request: Request, model: Model, body: Any) -> Answer:
    given = items(closed(body, ("requests",)), "requests")
    if not 1 <= len(given) <= MOST:
        raise invalid(
            f"* BatchEmbedContentsRequest.requests: at most {MOST} requests can be in one batch"
            if given
            else "* BatchEmbedContentsRequest.requests: requests must not be empty"
        )
    for index, each in enumerate(given):
        if not isinstance(each, dict) or each.get("model") != f"models/{model.id}":
            raise invalid(
                f"* BatchEmbedContentsRequest.requests[{index}].model: the model must be the same as the request's"
            )
    found = [_vector(each, model, f"requests[{index}].") for index, each in enumerate(given)]
    embeddings = [{"values": values} for values, _ in found]
    return json_response({"embeddings": embeddings, **_usage(request, sum(sent for _, sent in found))})


def _vector(body: Any, model: Model, where: str) -> tuple[list[float], int]:
    fields = closed(body, _KNOWN, where)
    fields = {**closed(fields.get("embedContentConfig", {}), _CONFIG, f"{where}embed_content_config"), **fields}
    one_of(fields, "taskType", TASKS, where)
    content = closed(fields.get("content", {}), ("role", "parts"), f"{where}content")
    texts = []
    for index, part in enumerate(items(content, "parts")):
        text = typed(closed(part, ("text", "inlineData", "fileData"), f"{where}content.parts[{index}]"), "text", str)
        texts.append(text or "")
    if not any(texts):
        raise invalid(f"* EmbedContentRequest.{where}content: content must contain text")
    size = typed(fields, "outputDimensionality", int, where)
    if size is not None and not 1 <= size <= model.size:
        raise invalid(f"* EmbedContentRequest.{where}output_dimensionality: must be between 1 and {model.size}")
    text = "\n".join(texts)
    return embed(text, model.id, model.size, size or model.size).tolist(), tokens.count(text)


def _usage(request: Request, sent: int) -> Fields:
    sent = request.faults.usage.get("prompt_tokens", sent)
    return {} if request.faults.no_usage else {"usageMetadata": {"promptTokenCount": sent}}
