"""Gemini's dialect as Vertex AI speaks it: models are a publisher's, turns name their role, counts are flat, and
embeddings come from ``embedContent`` or, of models that are not Gemini's, from ``predict``.

As Google's description of ``aiplatform`` v1 and Google's GenAI SDK 3.6 have it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from providers.dialects.embeddings import EmbeddingRequest
from providers.dialects.failures import unsupported
from providers.dialects.wire import Fields, encode, items

GOOGLES = "publishers/google/models/"
_TURNS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_USER = msgspec.Raw(b'"user"')
_WRAPPERS = ("generateContentRequest", "generate_content_request")
# What of a whole request a count takes.
_COUNTED = frozenset(
    {"contents", "systemInstruction", "system_instruction", "tools", "generationConfig", "generation_config"}
)


def resource(name: str) -> str:
    """Return a model's resource below the account's address: Google's own, ``publisher/model``, or a tuned model's
    endpoint (``endpoints/123``).
    """
    publisher, slash, rest = name.partition("/")
    if not slash or publisher == "models":
        return GOOGLES + (rest or name)
    if publisher in ("publishers", "endpoints"):
        return name
    return f"publishers/{publisher}/models/{rest}"


def predicts(model: str) -> bool:
    """Whether an embedding model is asked with ``predict``; Gemini's and Model Garden's have ``embedContent``."""
    name = model.rsplit("/", 1)[-1]
    return "gemini" not in name and "maas" not in name


def generate_body(fields: Mapping[str, msgspec.Raw], raw: bytes) -> bytes:
    """Return the body for ``generateContent`` of one for Gemini's API; ``raw`` itself where nothing has to change."""
    changed = with_roles(fields)
    if "model" in changed:
        changed = {name: value for name, value in changed.items() if name != "model"}
    return raw if changed is fields else encode(changed)


def count_body(fields: Mapping[str, msgspec.Raw], raw: bytes) -> bytes:
    """Return the body for ``countTokens``: what Gemini's API wraps in a request of its own is not wrapped here."""
    wrapped = next((fields[name] for name in _WRAPPERS if name in fields), None)
    if wrapped is None:
        return generate_body(fields, raw)
    try:
        return encode(with_roles(counted(_FIELDS.decode(wrapped))))
    except msgspec.MsgspecError:
        return raw  # the vendor says what is wrong with it


def counted(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a whole request a count takes."""
    return {name: value for name, value in fields.items() if name in _COUNTED}


def with_roles(fields: Mapping[str, msgspec.Raw]) -> Mapping[str, msgspec.Raw]:
    """Return the fields with a role in each turn, which Gemini's API does without; the same where all have one."""
    try:
        turns = _TURNS.decode(fields.get("contents", b"[]"))
    except msgspec.MsgspecError:
        return fields  # the vendor says what is wrong with it
    if all("role" in turn for turn in turns):
        return fields
    return {**fields, "contents": msgspec.Raw(encode([{"role": _USER, **turn} for turn in turns]))}


def embed_call(fields: Mapping[str, Any]) -> tuple[str, Fields]:
    """Return the action and the body for one or several ``requests``: they are without the model's name, and one alone
    goes without a batch.
    """
    if "requests" not in fields:
        return "embedContent", _unnamed(fields)
    requests = [_unnamed(each) for each in items(fields["requests"], "requests")]
    return ("embedContent", requests[0]) if len(requests) == 1 else ("batchEmbedContents", {"requests": requests})


def _unnamed(request: Mapping[str, Any]) -> Fields:
    return {name: value for name, value in request.items() if name != "model"}


def embed_requests(request: EmbeddingRequest) -> Fields:
    """Return the body of a batch of strings."""
    config: Fields = {}
    if request.dimensions is not None:
        config["outputDimensionality"] = request.dimensions
    if request.task:
        config["taskType"] = request.task
    shared = {"embedContentConfig": config} if config else {}
    return {"requests": [{"content": {"role": "user", "parts": [{"text": text}]}, **shared} for text in request.inputs]}


def predict_body(request: EmbeddingRequest) -> bytes:
    """Return the body for ``predict`` of a text embedding model."""
    task = {"task_type": request.task} if request.task else {}
    body: Fields = {"instances": [{"content": text, **task} for text in request.inputs]}
    if request.dimensions is not None:
        body["parameters"] = {"outputDimensionality": request.dimensions}
    return encode(body)


def write_embeddings(request: EmbeddingRequest, model: str, *, strict: bool = False) -> tuple[str, bytes, list[str]]:
    """Return the action and the JSON that embed the inputs, and what had to be dropped."""
    dropped = [*(["user"] if request.user is not None else []), *request.extra]
    if dropped and strict:
        raise unsupported(dropped[0], f"is not supported by the model '{model}'.")
    if predicts(model):
        return "predict", predict_body(request), dropped
    action, body = embed_call(embed_requests(request))
    return action, encode(body), dropped
