"""Anthropic's content blocks, from and to neutral parts."""

import base64
import re
from hashlib import blake2b
from typing import Any

from providers.dialects import media as medias
from providers.dialects.chat.parts import cache_of
from providers.dialects.failures import DialectError, unsupported
from providers.dialects.neutral import Media, Part, Reasoning, Refusal, Text, ToolCall, ToolResult
from providers.dialects.signatures import seal, unseal
from providers.dialects.wire import Fields, arguments_object, encode, invalid, items, typed

ORIGIN = "anthropic"
IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
EMPTY = "(empty)"
"""What replaces a turn or a result without text: Anthropic refuses empty text."""
_ID = re.compile(r"[^a-zA-Z0-9_-]")
# What vendors' own tools left in a conversation: it means nothing to another vendor.
_SERVER_BLOCKS = re.compile(r"server_tool_use|.*_tool_result$|container_upload")


def read_blocks(content: Any, where: str) -> list[Part]:
    """Return the parts of a message's content, a string or blocks."""
    if isinstance(content, str):
        return [Text(content)]
    found: list[Part] = []
    for index, block in enumerate(items(content, where)):
        found.extend(_read_block(block, f"{where}[{index}]"))
    return found


def _read_block(block: Fields, where: str) -> list[Part]:
    kind = block.get("type")
    if kind == "text":
        return [Text(typed(block.get("text"), str, f"{where}.text"), cache_of(block))]
    if kind == "image":
        return [_read_source(block, "image", where)]
    if kind == "document":
        return _read_document(block, where)
    if kind == "tool_use":
        name = typed(block.get("name"), str, f"{where}.name")
        inputs = encode(typed(block.get("input", {}), dict, f"{where}.input")).decode()
        return [ToolCall(typed(block.get("id"), str, f"{where}.id"), name, inputs, cache=cache_of(block))]
    if kind == "tool_result":
        return [_read_result(block, where)]
    if kind == "thinking":
        origin, signature = unseal(str(block.get("signature") or ""), ORIGIN)
        return [Reasoning(str(block.get("thinking") or ""), signature, origin=origin)]
    if kind == "redacted_thinking":
        origin, data = unseal(str(block.get("data") or ""), ORIGIN)
        return [Reasoning(redacted=data, origin=origin)]
    if kind == "mid_conv_system":
        return read_blocks(block.get("content"), f"{where}.content")
    if kind == "search_result":
        head = f"{block.get('title') or ''} ({block.get('source') or ''})"
        return [Text(head), *read_blocks(block.get("content") or [], f"{where}.content")]
    if isinstance(kind, str) and _SERVER_BLOCKS.match(kind):
        return []
    valid = "Supported values are: 'text', 'image', 'document', 'tool_use', 'tool_result' and 'thinking'."
    raise invalid(f"{where}.type", kind, valid)


def _read_source(block: Fields, kind: Any, where: str) -> Media:
    source = typed(block.get("source"), dict, f"{where}.source")
    how = source.get("type")
    if how == "base64":
        data = typed(source.get("data"), str, f"{where}.source.data")
        mime = medias.sniff_base64(data) or medias.normal(str(source.get("media_type") or ""))
        return Media(kind, data=data, mime=mime, cache=cache_of(block))
    if how == "url":
        found = medias.from_url(typed(source.get("url"), str, f"{where}.source.url"), "", kind, f"{where}.source.url")
        found.cache = cache_of(block)
        return found
    if how == "file":
        return Media(kind, file_id=str(source.get("file_id") or ""), cache=cache_of(block))
    raise invalid(f"{where}.source.type", how, "Supported values are: 'base64', 'url' and 'file'.")


def _read_document(block: Fields, where: str) -> list[Part]:
    source = typed(block.get("source"), dict, f"{where}.source")
    title = str(block.get("title") or "")
    if source.get("type") == "text":
        text = typed(source.get("data"), str, f"{where}.source.data")
        return [Text(f"{title}\n{text}" if title else text, cache_of(block))]
    if source.get("type") == "content":
        return read_blocks(source.get("content"), f"{where}.source.content")
    found = _read_source(block, "file", where)
    found.name, found.mime = title, found.mime or "application/pdf"
    return [found]


def _read_result(block: Fields, where: str) -> ToolResult:
    content = block.get("content")
    parts = [] if content is None else read_blocks(content, f"{where}.content")
    kept: list[Text | Media] = [part for part in parts if isinstance(part, (Text, Media))]
    call_id = typed(block.get("tool_use_id"), str, f"{where}.tool_use_id")
    return ToolResult(call_id, kept, is_error=block.get("is_error") is True, cache=cache_of(block))


def legal_id(call_id: str) -> str:
    """Return a call's id as Anthropic takes it; the same id always gives the same."""
    clean = _ID.sub("_", call_id)
    if clean == call_id and call_id:
        return call_id
    return f"{clean}_{blake2b(call_id.encode('utf-8', 'replace'), digest_size=4).hexdigest()}"


def write_part(part: Part, names: dict[str, str]) -> Fields | None:
    """Return the block of a part, ``None`` for one that Anthropic would refuse: empty text, thinking of other
    vendors.
    """
    if isinstance(part, (Text, Refusal)):
        return {"type": "text", "text": part.text} if part.text.strip() else None
    if isinstance(part, Media):
        return write_media(part)
    if isinstance(part, ToolCall):
        name = names.get(part.name, part.name)
        return {"type": "tool_use", "id": legal_id(part.id), "name": name, "input": arguments_object(part.arguments)}
    if isinstance(part, ToolResult):
        return _write_result(part, names)
    return write_thinking(part) if part.origin == ORIGIN else None


def write_thinking(part: Reasoning) -> Fields | None:
    """Return a thinking block; one without its proof cannot be sent back."""
    if part.redacted:
        return {"type": "redacted_thinking", "data": seal(part.origin, part.redacted, ORIGIN)}
    if not part.signature:
        return None
    return {"type": "thinking", "thinking": part.text, "signature": seal(part.origin, part.signature, ORIGIN)}


def write_media(part: Media) -> Fields:
    """Return an image or document block; what Anthropic cannot see is a ``DialectError``."""
    if part.kind in ("audio", "video"):
        raise unsupported("messages", f"has {part.kind} content, which Anthropic's models do not take.")
    if part.kind == "image":
        if part.data and part.mime not in IMAGES:
            shown = ", ".join(sorted(IMAGES))
            message = f"Unsupported image type '{part.mime or 'unknown'}'. Supported types are: {shown}."
            raise DialectError(message, param="messages", code="unsupported_image_media_type")
        return {"type": "image", "source": _source(part)}
    if part.data and part.mime.startswith("text/"):
        text = base64.b64decode(part.data + "===").decode("utf-8", "replace") or EMPTY
        source: Fields = {"type": "text", "media_type": "text/plain", "data": text}
        return {"type": "document", "source": source, **({"title": part.name[:200]} if part.name else {})}
    if part.data and part.mime not in ("application/pdf", ""):
        message = f"Unsupported file type '{part.mime}'. Supported types are: application/pdf and text."
        raise DialectError(message, param="messages", code="unsupported_file_type")
    return {"type": "document", "source": _source(part), **({"title": part.name[:200]} if part.name else {})}


def _source(part: Media) -> Fields:
    if part.data:
        return {"type": "base64", "media_type": part.mime or "application/pdf", "data": part.data}
    if part.file_id:
        raise unsupported("messages", "names a file by its id, which only its own provider knows.")
    return {"type": "url", "url": part.url}


def _write_result(part: ToolResult, names: dict[str, str]) -> Fields:
    content = [each for inner in part.parts if (each := write_part(inner, names)) is not None]
    block: Fields = {"type": "tool_result", "tool_use_id": legal_id(part.call_id)}
    if len(content) == 1 and content[0]["type"] == "text":
        block["content"] = content[0]["text"]
    else:
        block["content"] = content or EMPTY
    if part.is_error:
        block["is_error"] = True
    return block
