"""What a model sees of a conversation: items become a prompt, and earlier turns are remembered."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from typing import Any

from sandbox.misbehaviour import faults
from sandbox.model import tokens
from sandbox.model.prompt import Attachment, Prompt, ToolResult, attach, file, image
from sandbox.model.replies import MAX_ECHO
from sandbox.responses.items import Item

# What `reply` says when it knows nothing better, see replies.py.
_ECHO_END = "This answer comes from the sandbox."
_ASKED_MY = re.compile(r"\b(?:what(?:'s| is| was)|tell me|recall) my ([\w ]{1,40}?)\s*[?.!]*$", re.IGNORECASE)
_ASKED_FIRST = re.compile(r"\bmy first (?:question|message)\b|\bdid I (?:say|ask) first\b", re.IGNORECASE)
_ASKED_LAST = re.compile(
    r"\bmy (?:last|previous) (?:question|message)\b|\bwhat did I (?:just )?(?:say|ask|tell)\b", re.IGNORECASE
)


@dataclass(slots=True)
class Context:
    """A prompt and the user's messages of earlier turns, oldest first."""

    prompt: Prompt
    earlier: list[str] = field(default_factory=list)


def read(items: list[Item], instructions: str = "") -> Context:
    """What the items say; they are as `read_items` wrote them."""
    prompt = Prompt(tokens=tokens.PER_ANSWER)
    context = Context(prompt)
    texts = [instructions] if instructions else []
    prompt.tokens += tokens.count(instructions) + (tokens.PER_MESSAGE if instructions else 0)
    names: dict[str, str] = {}
    for item in items:
        kind = item["type"]
        if kind == "message":
            text = _message(item, context)
        elif kind == "compaction":
            context.earlier = opened(item["encrypted_content"])
            text = "\n".join(context.earlier)
        else:
            text = _other(item, names, prompt)
        texts.append(text)
        prompt.tokens += tokens.PER_MESSAGE + tokens.count(text)
    prompt.all_text = "\n".join(texts)
    return context


def _message(item: Item, context: Context) -> str:
    prompt, role = context.prompt, item["role"]
    if role == "user":
        if prompt.user_text:
            context.earlier.append(prompt.user_text)
        prompt.attachments = []
        prompt.tool_results.clear()
    text = "\n".join(_part(part, prompt) for part in item["content"])
    if role == "user":
        prompt.user_text = faults.strip(text)
    return text


def _part(part: Item, prompt: Prompt) -> str:
    kind = part["type"]
    if kind == "input_image":
        attach(prompt, _image(part))
        return ""
    if kind == "input_file":
        attach(prompt, file(part, "input"))
        return ""
    return str(part.get("text") or part.get("refusal") or "")


def _image(part: Item) -> Attachment:
    url = part.get("image_url")
    return image(url, "input", part["detail"]) if url else Attachment("image", name=part["file_id"])


def _other(item: Item, names: dict[str, str], prompt: Prompt) -> str:
    """The text of a call, of its output, or of anything else that a model reads."""
    kind = item["type"]
    if kind in ("function_call", "custom_tool_call", "mcp_call"):
        names[item.get("call_id", "")] = item["name"]
        return f"{item['name']} {item.get('arguments') or item.get('input') or ''}"
    if kind.endswith("_output") and "output" in item:
        text = _output_text(item["output"])
        prompt.tool_results.append(ToolResult(names.get(item.get("call_id", ""), ""), text))
        return text
    if kind == "reasoning":
        return "\n".join(str(part.get("text", "")) for part in item["summary"])
    return ""


def _output_text(output: Any) -> str:
    if isinstance(output, str):
        return output
    if isinstance(output, list):
        return "\n".join(str(part.get("text", "")) for part in output if isinstance(part, dict))
    return ""


def remember(text: str, context: Context) -> str:
    """`text`, or a better answer when earlier turns offer one, so that a conversation's state is visible."""
    asked, earlier = context.prompt.user_text, context.earlier
    if not earlier or context.prompt.tool_results:
        return text
    match = _ASKED_MY.search(asked)
    if match:
        said = _said_of(match[1].strip(), earlier)
        if said:
            return f"Your {match[1].strip()} is {said}."
    if _ASKED_FIRST.search(asked):
        return f'You said: "{earlier[0]}"'
    if _ASKED_LAST.search(asked):
        return f'You said: "{earlier[-1]}"'
    if text.endswith(_ECHO_END):
        return f'{text} Before that you said: "{earlier[-1][:MAX_ECHO]}"'
    return text


def _said_of(thing: str, earlier: list[str]) -> str:
    pattern = re.compile(rf"\bmy {re.escape(thing)} (?:is|was|=) (.+?)(?:[.!,;\n]|$)", re.IGNORECASE)
    found = (pattern.search(text) for text in reversed(earlier))
    return next((match[1].strip() for match in found if match), "")


def sealed(texts: list[str]) -> str:
    """Strings as `encrypted_content`, which only the sandbox can read."""
    return "gAAAA" + base64.urlsafe_b64encode("\0".join(texts).encode()).decode()


def opened(content: str) -> list[str]:
    """What `sealed` wrote; nothing for anything else."""
    try:
        text = base64.urlsafe_b64decode(content.removeprefix("gAAAA")).decode()
    except (binascii.Error, ValueError):
        return []
    return [part for part in text.split("\0") if part]
