"""The ids of other objects that requests in Anthropic's and Gemini's own dialects mention, at the places where their
descriptions have them. What tools were called with refers to nothing.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

Fields = Mapping[str, msgspec.Raw]
_decode = msgspec.json.Decoder().decode
FILE, CONTAINER, CACHE = "file_id", "container", "cachedContent"


def find_native_references(fields: Fields, door: str) -> list[tuple[str, str]]:
    """Return ``(field, id)`` for every reference in a body's top-level ``fields``, without doubles."""
    found = _anthropic(fields) if door == "anthropic" else _gemini(fields)
    return list(dict.fromkeys(found))


def _plain(fields: Fields, name: str) -> Any:
    try:
        return _decode(fields[name]) if name in fields else None
    except (ValueError, RecursionError):
        return None  # nothing in there can be read by the vendor either


def _anthropic(fields: Fields) -> Iterator[tuple[str, str]]:
    container = _plain(fields, "container")
    if isinstance(container, dict):
        skills = container.get("skills")
        for skill in skills if isinstance(skills, list) else []:
            if isinstance(skill, dict) and skill.get("type") == "custom" and isinstance(skill.get("skill_id"), str):
                yield "skill_id", skill["skill_id"]
        container = container.get("id")
    if isinstance(container, str) and container:
        yield CONTAINER, container
    for name in ("messages", "system"):
        if b"file_id" in bytes(fields.get(name, b"")):
            yield from _files(_plain(fields, name))


def _files(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the files of content blocks, those in results of tools among them."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            source = node.get("source")
            for holder in (node, source):
                if isinstance(holder, dict) and isinstance(holder.get(FILE), str):
                    yield FILE, holder[FILE]
            pending.append(node.get("content"))
            if isinstance(source, dict):
                pending.append(source.get("content"))


def _gemini(fields: Fields) -> Iterator[tuple[str, str]]:
    for name in ("cachedContent", "cached_content"):
        cached = _plain(fields, name)
        if isinstance(cached, str) and cached:
            yield CACHE, cached.rpartition("/")[2]
    for name in (
        "contents",
        "systemInstruction",
        "system_instruction",
        "requests",
        "generateContentRequest",
        "content",
    ):
        raw = bytes(fields.get(name, b""))
        if b"fileUri" in raw or b"file_uri" in raw or b"cached" in raw:
            yield from _uris(_plain(fields, name))


def _uris(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the files of Google's own that parts name by their address; other addresses are the public's."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            for name in ("cachedContent", "cached_content"):
                if isinstance(node.get(name), str):
                    yield CACHE, node[name].rpartition("/")[2]
            for name in ("fileUri", "file_uri"):
                uri = node.get(name)
                if isinstance(uri, str) and ("googleapis.com/" in uri or uri.startswith("files/")):
                    yield FILE, uri.rstrip("/").rpartition("/")[2]
            pending.extend(child for name, child in node.items() if name not in ("args", "response"))
