"""The OpenAPI description of our own surface, made from the URL map: ``/api/schema/``, readable at ``/api/docs/``.

Paths, methods, words and models come from the views themselves, so a new endpoint is described as soon as it is served.
What a view can't say (the kind of its body and answer, where it is not JSON) is in the tables here.
"""

import inspect
import re
from typing import Any

from django.conf import settings
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from gateway.call.operation import Operation
from gateway.endpoints import health
from gateway.endpoints.base import InferenceView, ModelCallView
from gateway.endpoints.uploading import ModelUploadView
from gateway.objects.resource_table import Resource
from gateway.openapi.components import (
    DESCRIPTION,
    HEADERS,
    PAGING,
    POST_HEADERS,
    Part,
    components,
    error_references,
    parameter,
)

VERSION = "3.1.0"
JSON, EVENTS, FILE, FORM = "application/json", "text/event-stream", "application/octet-stream", "multipart/form-data"
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")
# Endpoints, by name, whose body is a form, with the parts that must be there.
FORMS: dict[str, tuple[str, ...]] = {
    "images-edits": ("model", "image", "prompt"),
    "images-variations": ("model", "image"),
    "audio-transcriptions": ("model", "file"),
    "audio-translations": ("model", "file"),
    "files": ("file", "purpose"),
    "upload-parts": ("data",),
    "realtime-calls": ("sdp",),
}
FORM_FILES = frozenset({"image", "file", "data"})
# Endpoints that take JSON too, beside the form.
ALSO_JSON = frozenset({"images-edits"})
# What an endpoint answers when it is not JSON alone.
ANSWERS: dict[str, tuple[str, ...]] = {
    "audio-speech": ("audio/*", EVENTS),
    "audio-transcriptions": (JSON, "text/plain", EVENTS),
    "audio-translations": (JSON, "text/plain"),
    "realtime-calls": ("application/sdp",),
    "response": (JSON, EVENTS),
    "file-content": (FILE,),
}
# Lists that page.
LISTS = frozenset(
    {
        "batches",
        "chat-completions",
        "files",
        "fine-tuning-checkpoints",
        "fine-tuning-events",
        "fine-tuning-jobs",
        "items",
        "response-input-items",
        "stored-messages",
    }
)


class ApiGenerator(SchemaGenerator):  # type: ignore[misc]  # the package has no types
    """Describes the URL map's views, which have no serializers for drf-spectacular to read."""

    def get_schema(self, request: Any = None, public: bool = False) -> Part:
        """Return the description."""
        return describe()


class SchemaView(SpectacularAPIView):  # type: ignore[misc]  # the package has no types
    """The description, as YAML or JSON."""

    generator_class = ApiGenerator


class DocsView(SpectacularSwaggerSplitView):  # type: ignore[misc]  # the package has no types
    """The description as pages. Every asset is our own."""

    url_name = "schema"


def describe() -> Part:
    """Return the OpenAPI description of everything below the API's prefixes, and of the health pages."""
    paths: dict[str, Part] = {}
    for pattern in api_patterns():
        row = getattr(pattern.callback, "initkwargs", {}).get("resource")
        if row is not None:
            paths |= _resource(row, pattern)
        else:
            route = CONVERTER.sub(r"{\1}", str(pattern.pattern))
            paths[f"/v1/{route}"] = _path(_view(pattern), pattern.name or route, route)
    for name, view in (("healthz", health.Healthz), ("readyz", health.Readyz)):
        paths[f"/{name}"] = {"get": _health(view, name)}
    return {
        "openapi": VERSION,
        "info": {
            "title": settings.SPECTACULAR_SETTINGS["TITLE"],
            "version": settings.SPECTACULAR_SETTINGS["VERSION"],
            "description": DESCRIPTION,
        },
        "servers": [{"url": settings.BASE_PATH or "/"}],
        "security": [{"token": []}, {"apiKey": []}],
        "paths": dict(sorted(paths.items())),
        "components": components(),
    }


def api_patterns() -> list[URLPattern]:
    """Return the patterns below the API's prefixes: those whose views are ours.

    The URL map imports this module, not the reverse.
    """
    for resolver in get_resolver().url_patterns:
        if isinstance(resolver, URLResolver):
            found = [
                entry
                for entry in resolver.url_patterns
                if isinstance(entry, URLPattern) and issubclass(_view(entry) or object, InferenceView)
            ]
            if found:
                return found
    return []


def _view(pattern: URLPattern) -> Any:
    """Return the class of a pattern's view; ``None`` for what is not made by ``as_view()``."""
    return getattr(getattr(pattern, "callback", None), "cls", None)


def _path(view: Any, name: str, route: str) -> Part:
    """Return the methods of one endpoint."""
    return {method.lower(): _operation(view, method, name, route) for method in view.implemented_methods()}


def _operation(view: Any, method: str, name: str, route: str) -> Part:
    operation = _declared(view, method)
    made: Part = {
        "operationId": f"{name}-{method.lower()}".replace("-", "_"),
        "tags": [route.split("/")[0]],
        "summary": _summary(view, method),
        "description": _words(view, operation),
        "parameters": _parameters(method, name, route),
        "responses": {"200": _answer(view, method, name, operation), **error_references(method in BODY_METHODS)},
    }
    if method in BODY_METHODS:
        made["requestBody"] = _body(view, name)
    return made


def _declared(view: Any, method: str) -> Operation | None:
    operation: Operation | None = getattr(view, "operations", {}).get(method)
    return operation or (getattr(view, "operation", None) if method == "POST" else None)


def _summary(view: Any, method: str) -> str:
    words = inspect.getdoc(getattr(view, method.lower())) or inspect.getdoc(view) or ""
    if issubclass(view, ModelCallView) and method == "POST":
        words = inspect.getdoc(view) or words
    return words.splitlines()[0].rstrip(".") if words else ""


def _words(view: Any, operation: Operation | None) -> str:
    words = (inspect.getdoc(view) or "").replace("``", "`")
    if operation is not None and operation.model_type:
        words += f"\n\nThe model must be registered for `{operation.model_type}`."
    return words


def _parameters(method: str, name: str, route: str) -> list[Part]:
    made = [parameter(found, "path", {"type": "string"}) for found in re.findall(r"{(\w+)}", route)]
    if method == "GET" and name in LISTS:
        made += [parameter(found, "query", schema) for found, schema in PAGING.items()]
    headers = {**HEADERS, **POST_HEADERS} if method == "POST" else HEADERS
    return [*made, *({"$ref": f"#/components/parameters/{header}"} for header in headers)]


def _body(view: Any, name: str) -> Part:
    content: dict[str, Part] = {}
    if name in FORMS:
        parts = {part: {"type": "string", **_binary(part)} for part in FORMS[name]}
        content[FORM] = {"schema": {"type": "object", "required": list(FORMS[name]), "properties": parts}}
    if name not in FORMS or name in ALSO_JSON:
        content[JSON] = {"schema": _json_schema(view)}
    return {"required": issubclass(view, ModelCallView | ModelUploadView) or name in FORMS, "content": content}


def _binary(part: str) -> Part:
    return {"contentMediaType": FILE} if part in FORM_FILES else {}


def _json_schema(view: Any) -> Part:
    schema: Part = {"type": "object", "additionalProperties": True}
    if issubclass(view, ModelCallView | ModelUploadView):
        schema["properties"] = {"model": {"type": "string", "examples": ["openai-main/gpt-4o-mini"]}}
        if getattr(view, "model_required", True):
            schema["required"] = ["model"]
    return schema


def _answer(view: Any, method: str, name: str, operation: Operation | None) -> Part:
    kinds = ANSWERS.get(name) or ((JSON, EVENTS) if operation is not None and operation.ends is not None else (JSON,))
    if method != "POST" and name not in ("response", "file-content"):
        kinds = (JSON,)
    shown = {kind: {"schema": {"type": "object"} if kind == JSON else {"type": "string"}} for kind in kinds}
    return {"description": "What the vendor answers, with `provider` added to a JSON object.", "content": shown}


def _resource(row: Resource, pattern: URLPattern) -> dict[str, Part]:
    """Return the paths of a row of the passthrough: its collection, an object, and what is below one."""
    view, name = _view(pattern), pattern.name or row.path
    places = ((row.path, ""), (f"{row.path}/{{id}}", "-object"), (f"{row.path}/{{id}}/{{below}}", "-below"))
    made = {f"/v1/{route}": _path(view, name + suffix, route) for route, suffix in places}
    made[f"/v1/{row.path}"].pop("delete")
    if not row.lists:
        made[f"/v1/{row.path}"].pop("get")
    for route, operations in made.items():
        for operation in operations.values():
            operation["description"] = (
                f"OpenAI's own resource, passed on. An account opens it with `{row.switch}` in its `open_resources`."
                + (" `below` may hold further segments." if "{below}" in route else "")
            )
    return made


def _health(view: Any, name: str) -> Part:
    return {
        "operationId": name,
        "tags": ["health"],
        "summary": _summary(view, "GET"),
        "security": [],
        "responses": {
            "200": {"description": "It is.", "content": {JSON: {"schema": {"type": "object"}}}},
            "503": {"description": "It is not.", "content": {JSON: {"schema": {"type": "object"}}}},
        },
    }
