"""The calls of built-in tools: each row makes the items of one tool's use."""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.media import pictures
from sandbox.responses.items import Item
from sandbox.responses.toolbox import Offered, family
from sandbox.wire.messages import encode

_SUM = re.compile(r"(-?\d{1,9})\s*([-+*])\s*(-?\d{1,9})")
_MAX_QUERY = 200
_PARTIAL_IMAGES = 3


@dataclass(slots=True)
class Use:
    """The items of one tool's use, and what the answer cites: a string to append and its annotation."""

    items: list[Item]
    cited: str = ""
    annotation: Item | None = None


NewId = Callable[[str], str]


def use(tool: Offered, text: str, new_id: NewId) -> Use:
    """What using `tool` for the user's `text` gives."""
    return _USES[family(tool)](tool, text.strip()[:_MAX_QUERY] or "sandbox", new_id)


def _web_search(tool: Offered, text: str, new_id: NewId) -> Use:
    url = f"https://example.com/{_digest(text)}"
    item = {
        "id": new_id("ws_"),
        "type": "web_search_call",
        "status": "completed",
        "action": {"type": "search", "query": text, "queries": [text], "sources": [{"type": "url", "url": url}]},
    }
    annotation = {"type": "url_citation", "url": url, "title": f"About {text[:60]}"}
    return Use([item], f"([example.com]({url}))", annotation)


def _file_search(tool: Offered, text: str, new_id: NewId) -> Use:
    store = str(next(iter(tool["vector_store_ids"]), "vs_none"))
    file_id = f"file-{_digest(store)[:24]}"
    found = {
        "attributes": {},
        "file_id": file_id,
        "filename": "sandbox.txt",
        "score": 0.87,
        "text": f"The sandbox found this in {store}: {text}",
    }
    item = {
        "id": new_id("fs_"),
        "type": "file_search_call",
        "status": "completed",
        "queries": [text],
        "results": [found],
    }
    return Use([item], "", {"type": "file_citation", "file_id": file_id, "filename": "sandbox.txt"})


def _code_interpreter(tool: Offered, text: str, new_id: NewId) -> Use:
    container = tool["container"]
    match = _SUM.search(text)
    if match:
        left, sign, right = int(match[1]), match[2], int(match[3])
        code = f"print({left} {sign} {right})"
        logs = str({"+": left + right, "-": left - right, "*": left * right}[sign])
    else:
        code, logs = f"print({text!r})", text
    item = {
        "id": new_id("ci_"),
        "type": "code_interpreter_call",
        "status": "completed",
        "code": code,
        "container_id": container if isinstance(container, str) else new_id("cntr_"),
        "outputs": [{"type": "logs", "logs": f"{logs}\n"}],
    }
    return Use([item])


def _image_generation(tool: Offered, text: str, new_id: NewId) -> Use:
    size = str(tool.get("size") or "auto")
    made = pictures.drawn(text, *pictures.measures("1024x1024" if size == "auto" else size))
    item = {
        "id": new_id("ig_"),
        "type": "image_generation_call",
        "status": "completed",
        "background": "opaque",
        "output_format": "png",
        "quality": "high" if tool.get("quality") in (None, "auto") else tool["quality"],
        "result": pictures.as_base64(made),
        "revised_prompt": text,
        "size": f"{made.width}x{made.height}",
    }
    return Use([item])


def partial_images(tool: Offered, text: str) -> list[str]:
    """The partial images that a stream shows, base64."""
    count = tool.get("partial_images") or 0
    size = str(tool.get("size") or "auto")
    width, height = pictures.measures("1024x1024" if size == "auto" else size)
    return [
        pictures.as_base64(pictures.drawn(text, width, height, stage=stage))
        for stage in range(1, min(int(count), _PARTIAL_IMAGES) + 1)
    ]


def _mcp(tool: Offered, text: str, new_id: NewId) -> Use:
    label = str(tool["server_label"])
    allowed = tool.get("allowed_tools") or ["search"]
    names = allowed.get("tool_names") or ["search"] if isinstance(allowed, dict) else allowed
    schema = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
    listing = {
        "id": new_id("mcpl_"),
        "type": "mcp_list_tools",
        "server_label": label,
        "tools": [
            {"name": name, "description": f"{name} of {label}", "input_schema": schema, "annotations": None}
            for name in names
        ],
        "error": None,
    }
    asked = {"server_label": label, "name": names[0], "arguments": encode({"query": text}).decode()}
    if tool.get("require_approval") != "never":
        return Use([listing, {"id": new_id("mcpr_"), "type": "mcp_approval_request", **asked}])
    call = {
        "id": new_id("mcp_"),
        "type": "mcp_call",
        "status": "completed",
        "approval_request_id": None,
        **asked,
        "error": None,
        "output": f"{label} answers: {text}",
    }
    return Use([listing, call])


def _computer(tool: Offered, text: str, new_id: NewId) -> Use:
    item: dict[str, Any] = {
        "id": new_id("cu_"),
        "type": "computer_call",
        "status": "completed",
        "call_id": new_id("call_"),
        "pending_safety_checks": [],
    }
    action = {"type": "screenshot"}
    item |= {"actions": [action]} if tool["type"] == "computer" else {"action": action}
    return Use([item])


_USES: dict[str, Callable[[Offered, str, NewId], Use]] = {
    "web_search": _web_search,
    "file_search": _file_search,
    "code_interpreter": _code_interpreter,
    "image_generation": _image_generation,
    "mcp": _mcp,
    "computer": _computer,
}


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
