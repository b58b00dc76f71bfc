"""Embeddings in Gemini's dialect: ``embedContent`` for one text, ``batchEmbedContents`` for several."""

from collections.abc import Mapping
from typing import Any

from providers.dialects.embeddings import EmbeddingAnswer, EmbeddingRequest
from providers.dialects.failures import unreadable, unsupported
from providers.dialects.gemini.parts import either
from providers.dialects.wire import Fields, answer_fields, count, encode, invalid, items, listed, plain, take, typed


def write_request(request: EmbeddingRequest, model: str, *, strict: bool = False) -> tuple[str, bytes, list[str]]:
    """Return the action and the JSON that embed all inputs together, and what had to be dropped."""
    dropped = [*(["user"] if request.user is not None else []), *request.extra]
    if dropped and strict:
        raise unsupported(dropped[0], f"is not supported by the model '{model}'.")
    shared: Fields = {"model": f"models/{model.removeprefix('models/')}"}
    if request.dimensions is not None:
        shared["outputDimensionality"] = request.dimensions
    if request.task:
        shared["taskType"] = request.task
    requests = [{**shared, "content": {"parts": [{"text": text}]}} for text in request.inputs]
    return "batchEmbedContents", encode({"requests": requests}), dropped


def read_answer(body: bytes) -> EmbeddingAnswer:
    """Return the answer of ``batchEmbedContents``, ``embedContent`` or Vertex AI's ``predict`` in the neutral form."""
    fields = answer_fields(body)
    if "predictions" in fields:
        fields = _predicted(listed(fields, "predictions"))
    single = fields.get("embedding")
    found = [single] if isinstance(single, dict) else listed(fields, "embeddings")
    vectors = [each.get("values") for each in found]
    if not vectors or not all(isinstance(vector, list) for vector in vectors):
        raise unreadable("it has no embeddings")
    for vector in vectors:
        if not all(isinstance(each, (int, float)) for each in vector or ()):
            raise unreadable("an embedding is not a list of numbers")
    tokens = count(fields.get("usageMetadata"), "promptTokenCount")
    return EmbeddingAnswer([[float(each) for each in vector or ()] for vector in vectors], "", tokens)


def _predicted(predictions: list[Fields]) -> Fields:
    """Return predictions as a batch's answer: each has the tokens of its own text."""
    found = [each["embeddings"] if isinstance(each.get("embeddings"), dict) else {} for each in predictions]
    tokens = sum(count(each.get("statistics"), "token_count") for each in found)
    return {"embeddings": found, "usageMetadata": {"promptTokenCount": tokens}}


def read_request(fields: Mapping[str, Any], model: str = "") -> EmbeddingRequest:
    """Return a request for ``embedContent`` or ``batchEmbedContents`` in the neutral form."""
    body = plain(fields)
    if "requests" not in body:
        text, dimensions, task = _one(body, "")
        return EmbeddingRequest([text], model, dimensions, task=task, single=True)
    found = [_one(each, f"requests[{index}].") for index, each in enumerate(items(body["requests"], "requests"))]
    if not found:
        raise invalid("requests", [], "It must be a non-empty array.")
    if len({each[1:] for each in found}) > 1:
        raise invalid("requests", "", "All requests must have the same dimensions and task.")
    return EmbeddingRequest([text for text, _, _ in found], model, found[0][1], task=found[0][2])


def _one(fields: Fields, where: str) -> tuple[str, int | None, str]:
    content = typed(fields.get("content"), dict, f"{where}content")
    config = either(fields, "embedContentConfig", "embed_content_config")
    given = {**fields, **(config if isinstance(config, dict) else {})}
    texts = []
    for index, part in enumerate(items(content.get("parts") or [], f"{where}content.parts")):
        texts.append(typed(part.get("text"), str, f"{where}content.parts[{index}].text"))
    if not texts:
        raise invalid(f"{where}content.parts", [], "It must be a non-empty array of text parts.")
    sizes = {"outputDimensionality": either(given, "outputDimensionality", "output_dimensionality")}
    task = either(given, "taskType", "task_type")
    return (
        "\n".join(texts),
        take(sizes, "outputDimensionality", int, where.rstrip(".")),
        task if isinstance(task, str) else "",
    )


def write_answer(answer: EmbeddingAnswer, request: EmbeddingRequest) -> bytes:
    """Return the answer in Gemini's form, one embedding or several as was asked."""
    usage = {"usageMetadata": {"promptTokenCount": answer.tokens}} if answer.tokens else {}
    if request.single and answer.vectors:
        return encode({"embedding": {"values": answer.vectors[0]}, **usage})
    return encode({"embeddings": [{"values": vector} for vector in answer.vectors], **usage})
