"""Gemini's models on Vertex AI, below `/v1/projects/{project}/locations/{location}/publishers/google/models`; those of
the publisher `anthropic` answer as `sandbox.anthropic.vertex` says.

What differs from Gemini's API: tokens instead of keys, no model in a body, a role in each turn, counts without a
request of their own, embeddings by `predict`, calls without ids, and no list of models.
"""

from collections.abc import Mapping
from typing import Any

from sandbox.anthropic import vertex as claude
from sandbox.gemini import answer, embeddings, routes
from sandbox.gemini.fields import Fields, closed, items, one_of, typed
from sandbox.gemini.models import MODELS, Model
from sandbox.gemini.reading import KNOWN, read
from sandbox.gemini.routes import Method
from sandbox.gemini.service import KEY, SERVICE, GoogleError, invalid
from sandbox.model import tokens
from sandbox.model.vectors import embed
from sandbox.store.auth import admit
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

VERSIONS = ("v1", "v1beta1")
PREDICTED = {
    name: Model(name, name, ("predict",), 2048, 1, size=768)
    for name in ("text-embedding-005", "text-multilingual-embedding-002")
}
MOST_INSTANCES = 250
_GENERATE = (*(name for name in KNOWN if name not in ("model", "store")), "modelArmorConfig")
_COUNT = ("model", "contents", "instances", "systemInstruction", "tools", "generationConfig")
_EMBED = ("content", "taskType", "title", "outputDimensionality", "autoTruncate", "embedContentConfig")
_NO_SIGN_IN = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. See "
    "https://developers.google.com/identity/sign-in/web/devconsole-project."
)


def check_token(keys: frozenset[bytes], headers: Mapping[bytes, bytes], query: bytes) -> None:
    """A token in `authorization`, or a key in `x-goog-api-key`; raises ApiError 401."""
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    given = headers.get(KEY) or (token.strip() if scheme.lower() == b"bearer" else b"")
    if not given:
        raise GoogleError(f"Request is missing required authentication credential. {_NO_SIGN_IN}", status=401)
    if not admit(keys, given):
        raise GoogleError(f"Request had invalid authentication credentials. {_NO_SIGN_IN}", status=401)


async def call(request: Request) -> Answer:
    """Finds the model, and the method behind the colon."""
    name, _, method = request.params["call"].partition(":")
    if request.params["publisher"] == claude.PUBLISHER and method in claude.METHODS:
        if not claude.knows(name):
            raise _unknown(request.params, name)
        return await claude.predict(request, name, method, request.json(routes.NOT_JSON))
    handler = METHODS.get(method)
    if handler is None:
        raise GoogleError("Requested entity was not found.", status=404)
    return await handler(request, _find(request.params, name, method), request.json(routes.NOT_JSON))


def _find(place: Mapping[str, str], name: str, method: str) -> Model:
    model = MODELS.get(name) or PREDICTED.get(name)
    if model is None or place["publisher"] != "google":
        raise _unknown(place, name)
    plain = {"streamGenerateContent": "generateContent", "batchEmbedContents": "embedContent"}.get(method, method)
    if plain not in model.methods:
        raise invalid(f"{name} is not supported in the {method} API.")
    return model._replace(ids=False)


def _unknown(place: Mapping[str, str], name: str) -> GoogleError:
    full = "projects/{project}/locations/{location}/publishers/{publisher}/models/".format_map(place) + name
    return GoogleError(
        f"Publisher Model `{full}` was not found or your project does not have access to it. Please ensure you are "
        "using a valid model version. For more information, see: "
        "https://cloud.google.com/vertex-ai/generative-ai/docs/learn/model-versions",
        status=404,
    )


def _roles(fields: Fields) -> None:
    for content in items(fields, "contents"):
        if not isinstance(content, dict) or content.get("role") not in ("user", "model", "function"):
            raise invalid("Please use a valid role: user, model.")


async def generate_content(request: Request, model: Model, body: Any) -> Answer:
    _roles(closed(body, _GENERATE))
    return await routes.generate_content(request, model, _without(body, "modelArmorConfig"))


async def stream_generate_content(request: Request, model: Model, body: Any) -> Answer:
    _roles(closed(body, _GENERATE))
    return await routes.stream_generate_content(request, model, _without(body, "modelArmorConfig"))


async def count_tokens(request: Request, model: Model, body: Any) -> Answer:
    fields = closed(body, _COUNT)
    _roles(fields)
    asked = read(_without(fields, "model", "instances"), model._replace(makes="TEXT"))
    details = answer.details(asked.reader.counts)
    return json_response({"totalTokens": asked.prompt.tokens, "promptTokensDetails": details})


async def embed_content(request: Request, model: Model, body: Any) -> Answer:
    return await embeddings.one(request, model, _without(closed(body, _EMBED), "autoTruncate"))


async def batch_embed_contents(request: Request, model: Model, body: Any) -> Answer:
    given = items(closed(body, ("requests",)), "requests")
    named = [
        {**_without(closed(each, _EMBED, f"requests[{index}]"), "autoTruncate"), "model": f"models/{model.id}"}
        for index, each in enumerate(given)
    ]
    return await embeddings.several(request, model, {"requests": named})


async def predict(request: Request, model: Model, body: Any) -> Answer:
    """Vectors by text embedding models, images by Imagen."""
    if not model.size:
        return await routes.predict(request, model, body)
    fields = closed(body, ("instances", "parameters", "labels"))
    instances = items(fields, "instances")
    if not 1 <= len(instances) <= MOST_INSTANCES:
        raise invalid(f"{len(instances)} instance(s) is not allowed. Min: 1, max: {MOST_INSTANCES}.")
    size = typed(fields.get("parameters", {}), "outputDimensionality", int, "parameters")
    if size is not None and not 1 <= size <= model.size:
        raise invalid(f"Unable to submit request because outputDimensionality must be from 1 to {model.size}.")
    found, characters = [], 0
    for instance in instances:
        text = instance.get("content") if isinstance(instance, dict) else None
        if not isinstance(text, str) or not text:
            raise invalid("The text content is empty.")
        one_of({"taskType": instance.get("task_type")}, "taskType", embeddings.TASKS)
        statistics = {"token_count": tokens.count(text), "truncated": False}
        values = embed(text, model.id, model.size, size or model.size).tolist()
        found.append({"embeddings": {"values": values, "statistics": statistics}})
        characters += len(text.replace(" ", ""))
    return json_response({"predictions": found, "metadata": {"billableCharacterCount": characters}})


def _without(fields: Fields, *names: str) -> Fields:
    return {name: value for name, value in fields.items() if name not in names}


METHODS: dict[str, Method] = {
    "generateContent": generate_content,
    "streamGenerateContent": stream_generate_content,
    "countTokens": count_tokens,
    "embedContent": embed_content,
    "batchEmbedContents": batch_embed_contents,
    "predict": predict,
}
_PLACE = "projects/{project}/locations/{location}/publishers/{publisher}/models/{call}"
ROUTES = tuple(Route("POST", f"/{version}/{_PLACE}", call) for version in VERSIONS)
VERTEX = SERVICE._replace(check_key=check_token)
