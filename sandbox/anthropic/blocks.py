"""The blocks of a conversation: what each says, costs and has to look like."""

import base64
import binascii
import hashlib
from typing import Any, NamedTuple

from sandbox.anthropic.fields import Fields, closed, get, tag
from sandbox.anthropic.service import invalid
from sandbox.media import png
from sandbox.model import tokens
from sandbox.model.prompt import Attachment, Prompt, ToolResult, attach
from sandbox.wire.messages import encode

IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
USER = ("text", "image", "document", "tool_result", "search_result")
ASSISTANT = ("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "web_search_tool_result")
RESULT = ("text", "image", "document", "search_result", "tool_reference")
SIGNED = b"sandbox-thinking::"  # a multiple of three bytes, so that base64 begins with it


class Block(NamedTuple):
    """What the prompt cache counts: a block's bytes and tokens, and the `ttl` of a mark behind it (empty for none)."""

    data: bytes
    tokens: int
    ttl: str


def block_of(fields: Fields, cost: int, where: str) -> Block:
    """The cached unit of a block with its mark; raises ApiError 400 for a bad mark."""
    mark = get(fields, "cache_control", dict, where)
    if mark is None:
        return Block(encode(fields), cost, "")
    return Block(encode({**fields, "cache_control": None}), cost, ttl_of(mark, f"{where}.cache_control"))


def ttl_of(mark: Fields, where: str) -> str:
    """How long a mark keeps its prefix, `5m` or `1h`."""
    tag(mark, ("ephemeral",), where)
    closed(mark, ("type", "ttl"), where)
    ttl = mark.get("ttl") or "5m"
    if ttl not in ("5m", "1h"):
        raise invalid(f"{where}.ttl", "Input should be '5m' or '1h'")
    return str(ttl)


def content(value: Any, allowed: tuple[str, ...], where: str) -> list[Fields]:
    """A message's content as blocks; a string is one of text."""
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list):
        raise invalid(where, "Input should be a valid list" if value is not None else "Field required")
    for index, item in enumerate(value):
        tag(item, allowed, f"{where}.{index}")
    return value


class Reader:
    """Reads blocks into a prompt; `names` are those of the calls so far, by id."""

    def __init__(self, prompt: Prompt) -> None:
        self.prompt = prompt
        self.names: dict[str, str] = {}

    def read(self, block: Fields, where: str) -> tuple[str, int]:
        """A block's text and its tokens; raises ApiError 400 for a bad one."""
        kind = block["type"]
        if kind == "text":
            return self._text(block, where)
        if kind == "image":
            return "", attach(self.prompt, image(get(block, "source", dict, where, needed=True), f"{where}.source"))
        if kind == "document":
            return self._document(block, where)
        if kind == "thinking":
            text = thinking(block, where)
            return "", tokens.count(text)
        if kind == "tool_use":
            return "", self._call(block, where)
        if kind == "tool_result":
            return "", self._result(block, where)
        return "", tokens.count(encode(block).decode())

    def _text(self, block: Fields, where: str) -> tuple[str, int]:
        text: str = get(block, "text", str, where, needed=True)
        if not text:
            raise invalid("messages", "text content blocks must be non-empty")
        if not text.strip():
            raise invalid("messages", "text content blocks must contain non-whitespace text")
        return text, tokens.count(text)

    def _document(self, block: Fields, where: str) -> tuple[str, int]:
        source = get(block, "source", dict, where, needed=True)
        kind = tag(source, ("base64", "text", "content", "url", "file"), f"{where}.source")
        name = get(block, "title", str, where) or ""
        if kind == "base64":
            data = decoded(source, f"{where}.source.base64", ("application/pdf",))
            if not data.startswith(b"%PDF-"):
                raise invalid(f"{where}.source.base64", "The PDF specified was not valid.")
            attachment = Attachment("file", name, "application/pdf", len(data))
        elif kind == "text":
            text = get(source, "data", str, f"{where}.source", needed=True)
            attachment = Attachment("file", name, "text/plain", len(text.encode("utf-8", "surrogatepass")))
        elif kind == "content":
            parts = content(source.get("content"), ("text", "image"), f"{where}.source.content")
            read = [self.read(part, f"{where}.source.content.{index}") for index, part in enumerate(parts)]
            return "\n".join(text for text, _ in read), sum(cost for _, cost in read)
        else:
            attachment = Attachment("file", name or str(source.get("url") or source.get("file_id") or ""))
        return "", attach(self.prompt, attachment)

    def _call(self, block: Fields, where: str) -> int:
        name = get(block, "name", str, where, needed=True)
        self.names[get(block, "id", str, where, needed=True)] = name
        arguments = get(block, "input", dict, where, needed=True)
        return tokens.count(name) + tokens.count(encode(arguments).decode())

    def _result(self, block: Fields, where: str) -> int:
        call = get(block, "tool_use_id", str, where, needed=True)
        if call not in self.names:
            raise invalid(
                where, f"unexpected `tool_use_id` found in `tool_result` blocks: {call}. Each `tool_result` block must "
                "have a corresponding `tool_use` block in the previous message."
            )  # fmt: skip
        parts = content(block.get("content") or [], RESULT, f"{where}.content")
        read = [self.read(part, f"{where}.content.{index}") for index, part in enumerate(parts)]
        said = "\n".join(text for text, _ in read if text)
        if get(block, "is_error", bool, where):
            said = f"an error: {said}"
        self.prompt.tool_results.append(ToolResult(self.names[call], said))
        return sum(cost for _, cost in read) + 1


def image(source: Fields, where: str) -> Attachment:
    """The image of a source; raises ApiError 400 when it is not what it says it is."""
    kind = tag(source, ("base64", "url", "file"), where)
    if kind != "base64":
        name = get(source, "url" if kind == "url" else "file_id", str, where, needed=True)
        if kind == "url" and not name.startswith("https://"):
            raise invalid(where, "Only HTTPS URLs are supported.")
        return Attachment("image", name)
    data = decoded(source, f"{where}.base64", IMAGE_TYPES)
    found = _sniffed(data)
    said = source["media_type"]
    if found is None:
        raise invalid(f"{where}.base64", "Could not process image")
    if found != said:
        raise invalid(
            f"{where}.base64.data", f"The image was specified using the {said} media type, but the image appears to be "
            f"a {found} image"
        )  # fmt: skip
    return Attachment("image", media_type=said, size=len(data))


def decoded(source: Fields, where: str, allowed: tuple[str, ...]) -> bytes:
    """The bytes of a source in base64, whose media type must be one of `allowed`."""
    said = get(source, "media_type", str, where, needed=True)
    if said not in allowed:
        listed = " or ".join((", ".join(f"'{each}'" for each in allowed[:-1]), f"'{allowed[-1]}'")).removeprefix(" or ")
        raise invalid(f"{where}.media_type", f"Input should be {listed}")
    try:
        return base64.b64decode(get(source, "data", str, where, needed=True), validate=True)
    except binascii.Error as error:
        raise invalid(f"{where}.data", "Invalid base64 data") from error


def _sniffed(data: bytes) -> str | None:
    if data.startswith(png.SIGNATURE):
        return "image/png"
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    return "image/webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def signature(text: str) -> str:
    """The proof that a thinking block is the sandbox's own."""
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=24).digest()
    return base64.b64encode(SIGNED + digest).decode()


def thinking(block: Fields, where: str) -> str:
    """The text of a thinking block; raises ApiError 400 when its signature is not the one that was given for it."""
    text = get(block, "thinking", str, where, needed=True)
    proof = get(block, "signature", str, where, needed=True)
    hidden = not text and proof.startswith(base64.b64encode(SIGNED).decode())
    if not hidden and proof != signature(text):
        raise invalid(where, "Invalid `signature` in `thinking` block")
    return str(text)
