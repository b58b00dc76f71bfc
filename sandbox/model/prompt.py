"""What the sandbox understands of a conversation, whichever API it came by."""

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sandbox.errors import ApiError, invalid_type, invalid_value, missing_parameter
from sandbox.misbehaviour import faults
from sandbox.model import tokens
from sandbox.store import params
from sandbox.store.params import one_of, quoted

ROLES = ("system", "assistant", "user", "function", "tool", "developer")
PART_TYPES = ("text", "image_url", "input_audio", "refusal", "file")


@dataclass(slots=True)
class Attachment:
    """Something other than text in the last user message. `size` is in bytes, 0 when only a URL or id came."""

    kind: str  # image, audio, video or file
    name: str = ""
    media_type: str = ""
    size: int = 0
    detail: str = "auto"  # of an image
    heard: str = ""  # what audio says, when the sandbox made it


@dataclass(slots=True)
class ToolResult:
    """What a tool answered; `name` is empty when the call is not in the conversation."""

    name: str
    content: str


@dataclass(slots=True)
class Prompt:
    """`user_text` is the last user message without directives; `tool_results` are those that follow it."""

    user_text: str = ""
    all_text: str = ""
    attachments: list[Attachment] = field(default_factory=list)
    tool_results: list[ToolResult] = field(default_factory=list)
    tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0


def begin_turn(prompt: Prompt, *, user: bool, answers: bool) -> None:
    """Forgets what a new turn ends, before its parts are read: results, and with a user's words the attachments.

    `answers` says that the turn has results of tools.
    """
    if not (user and answers):
        prompt.tool_results.clear()
    if user and not answers:
        prompt.attachments = []


def end_turn(prompt: Prompt, said: str, *, user: bool, answers: bool) -> None:
    """Takes what a user's turn said for the question; one of results alone asks nothing new."""
    if user and (said or not answers):
        prompt.user_text = faults.strip(said)


def from_messages(messages: Any) -> Prompt:
    """Reads chat messages; raises ApiError 400 for what OpenAI would refuse."""
    if not isinstance(messages, list):
        raise invalid_type("messages", "an array of objects", messages)
    if not messages:
        raise ApiError(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    prompt = Prompt(tokens=tokens.PER_ANSWER)
    names: dict[str, str] = {}
    texts: list[str] = []
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        role = _role(message, where)
        text = _content(message, role, where, prompt)
        texts.append(text)
        prompt.tokens += tokens.PER_MESSAGE + tokens.count(text)
        if role == "user":
            prompt.user_text = faults.strip(text)
            prompt.tool_results.clear()
        elif role == "assistant":
            prompt.tokens += _tool_calls(message, where, names)
            prompt.tool_results.clear()
        elif role in ("tool", "function"):
            name = names.get(message.get("tool_call_id", ""), message.get("name", ""))
            prompt.tool_results.append(ToolResult(name, text))
    _check_tool_answers(messages)
    prompt.all_text = "\n".join(texts)
    return prompt


def _role(message: Any, where: str) -> str:
    if not isinstance(message, dict):
        raise invalid_type(where, "an object", message)
    role = message.get("role")
    if role is None:
        raise missing_parameter(f"{where}.role")
    if not isinstance(role, str):
        raise invalid_type(f"{where}.role", one_of(ROLES), role)
    if role not in ROLES:
        raise invalid_value(f"{where}.role", role, quoted(ROLES))
    if role == "tool" and not message.get("tool_call_id"):
        raise missing_parameter(f"{where}.tool_call_id")
    return role


def _content(message: dict[str, Any], role: str, where: str, prompt: Prompt) -> str:
    content = message.get("content")
    if isinstance(content, str):
        if role == "user":
            prompt.attachments = []
        return content
    if content is None:
        if role == "assistant" and (message.get("tool_calls") or message.get("function_call")):
            return ""
        if role == "assistant" and (message.get("audio") or message.get("refusal")):
            return message.get("refusal") or ""
        raise ApiError("Invalid value for 'content': expected a string, got null.", param=f"{where}.content")
    if not isinstance(content, list):
        raise invalid_type(f"{where}.content", "one of a string or array of objects", content)
    if role == "user":
        prompt.attachments = []
    return "\n".join(_parts(content, f"{where}.content", prompt))


def _parts(content: list[Any], where: str, prompt: Prompt) -> Iterator[str]:
    for index, part in enumerate(content):
        here = f"{where}[{index}]"
        kind = params.kind(part, here, PART_TYPES, here)
        value = part.get(kind)
        if kind in ("text", "refusal"):
            if not isinstance(value, str):
                raise invalid_type(f"{here}.{kind}", "a string", value)
            yield value
            continue
        if value is None:
            raise missing_parameter(f"{here}.{kind}")
        if not isinstance(value, dict):
            raise invalid_type(f"{here}.{kind}", "an object", value)
        attach(prompt, _READERS[kind](value, here))


def attach(prompt: Prompt, attachment: Attachment) -> int:
    """Adds an attachment and what it costs; returns its tokens."""
    before = prompt.tokens
    prompt.attachments.append(attachment)
    if attachment.kind == "image":
        cost = tokens.IMAGE_LOW if attachment.detail == "low" else tokens.IMAGE_HIGH
        prompt.image_tokens += cost
        prompt.tokens += cost
    elif attachment.kind == "audio":
        cost = attachment.size // tokens.AUDIO_BYTES_PER_TOKEN + 1
        prompt.audio_tokens += cost
        prompt.tokens += cost
    else:
        prompt.tokens += attachment.size // tokens.FILE_BYTES_PER_TOKEN + 1
    return prompt.tokens - before


def _image(value: dict[str, Any], where: str) -> Attachment:
    url, param = value.get("url"), f"{where}.image_url.url"
    if not isinstance(url, str) or not url:
        raise missing_parameter(param)
    return image(url, param, value.get("detail") or "auto")


def image(url: str, param: str, detail: str) -> Attachment:
    """The image at a web address or in a `data:` URL; raises ApiError 400 for anything else."""
    if url.startswith("data:"):
        media_type, size = data_url(url, param)
        return Attachment("image", media_type=media_type, size=size, detail=detail)
    if not url.startswith(("http://", "https://")):
        message = f"Invalid '{param}'. Expected a valid URL, but got a value with an invalid format."
        raise ApiError(message, param=param, code="invalid_value")
    return Attachment("image", name=url, detail=detail)


def _audio(value: dict[str, Any], where: str) -> Attachment:
    form = value.get("format")
    if form not in ("wav", "mp3"):
        raise invalid_value(f"{where}.input_audio.format", form, quoted(("wav", "mp3")))
    return Attachment("audio", media_type=f"audio/{form}", size=base64_size(value.get("data"), f"{where}.data"))


def _file(value: dict[str, Any], where: str) -> Attachment:
    if value.get("file_data") is None and not value.get("file_id"):
        raise missing_parameter(f"{where}.file.file_id")
    return file(value, f"{where}.file.file_data")


def file(value: dict[str, Any], param: str) -> Attachment:
    """The file in base64 or a `data:` URL, or one by its name; raises ApiError 400 for bad base64."""
    name = value.get("filename") or value.get("file_id") or value.get("file_url") or ""
    data = value.get("file_data")
    if data is None:
        return Attachment("file", name=name)
    if isinstance(data, str) and data.startswith("data:"):
        media_type, size = data_url(data, param)
    else:
        media_type, size = "application/pdf", base64_size(data, param)
    return Attachment("file", name=name, media_type=media_type, size=size)


_READERS = {"image_url": _image, "input_audio": _audio, "file": _file}


def data_url(url: str, where: str) -> tuple[str, int]:
    """The media type and the decoded size of a `data:` URL."""
    head, _, data = url.partition(",")
    media_type = head.removeprefix("data:").partition(";")[0]
    if not head.endswith(";base64"):
        raise ApiError(f"Invalid base64 data URL in '{where}'.", param=where, code="invalid_base64")
    return media_type, base64_size(data, where)


def base64_size(data: Any, where: str) -> int:
    """The size of decoded base64; its beginning is really decoded."""
    if not isinstance(data, str):
        raise invalid_type(where, "a string", data)
    try:
        base64.b64decode(data[:1024], validate=True)
    except (binascii.Error, ValueError) as error:
        raise ApiError(
            f"Invalid '{where}'. Expected a base64-encoded value.", param=where, code="invalid_base64"
        ) from error
    return len(data) * 3 // 4 - data.count("=", -2)


def _tool_calls(message: dict[str, Any], where: str, names: dict[str, str]) -> int:
    """Notes the names of an assistant's calls by id; returns their tokens."""
    calls = message.get("tool_calls") or []
    if not isinstance(calls, list):
        raise invalid_type(f"{where}.tool_calls", "an array of objects", calls)
    total = 0
    for call in calls:
        inner = call.get(call.get("type", "function")) or {} if isinstance(call, dict) else {}
        name = inner.get("name")
        if not isinstance(name, str):
            raise missing_parameter(f"{where}.tool_calls.function.name")
        names[call.get("id", "")] = name
        total += tokens.count(name) + tokens.count(str(inner.get("arguments") or inner.get("input") or ""))
    return total


def _check_tool_answers(messages: list[dict[str, Any]]) -> None:
    """Every call of an assistant must be answered by the tool messages right behind it, and only those."""
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                raise ApiError(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
                    "'tool_calls'.",
                    param=f"messages.[{index}].role",
                )
            open_calls.discard(message["tool_call_id"])
            continue
        if open_calls:
            break
        open_calls = {call.get("id", "") for call in message.get("tool_calls") or []}
    if open_calls:
        raise ApiError(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(sorted(open_calls)),
            param="messages",
        )
