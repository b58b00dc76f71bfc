"""Input items: what a client may send, checked and written as the API lists them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sandbox.errors import ApiError, invalid_type, invalid_value, missing_parameter
from sandbox.model import prompt
from sandbox.store import params
from sandbox.store.params import quoted

Item = dict[str, Any]

ROLES = ("assistant", "system", "developer", "user")
PART_TYPES = (
    *("input_text", "input_image", "output_text", "refusal", "input_file"),
    *("computer_screenshot", "summary_text"),
)

# item type: (prefix of its id, fields that it must have)
TYPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "message": ("msg_", ("role", "content")),
    "function_call": ("fc_", ("call_id", "name", "arguments")),
    "function_call_output": ("fco_", ("call_id", "output")),
    "custom_tool_call": ("ctc_", ("call_id", "name", "input")),
    "custom_tool_call_output": ("ctco_", ("call_id", "output")),
    "reasoning": ("rs_", ("summary",)),
    "compaction": ("cmp_", ("encrypted_content",)),
    "file_search_call": ("fs_", ("queries",)),
    "web_search_call": ("ws_", ()),
    "code_interpreter_call": ("ci_", ("container_id",)),
    "image_generation_call": ("ig_", ()),
    "computer_call": ("cu_", ("call_id",)),
    "computer_call_output": ("cuo_", ("call_id", "output")),
    "local_shell_call": ("lsh_", ("call_id", "action")),
    "local_shell_call_output": ("lsho_", ("output",)),
    "shell_call": ("sh_", ("call_id", "action")),
    "shell_call_output": ("sho_", ("call_id", "output")),
    "apply_patch_call": ("apc_", ("call_id", "operation")),
    "apply_patch_call_output": ("apco_", ("call_id", "status")),
    "mcp_list_tools": ("mcpl_", ("server_label", "tools")),
    "mcp_call": ("mcp_", ("server_label", "name", "arguments")),
    "mcp_approval_request": ("mcpr_", ("server_label", "name", "arguments")),
    "mcp_approval_response": ("mcprr_", ("approval_request_id", "approve")),
    "tool_search_call": ("tsc_", ()),
    "tool_search_output": ("tso_", ()),
    "additional_tools": ("at_", ()),
    "compaction_trigger": ("ct_", ()),
}
# Items that carry no `status` of their own.
_WITHOUT_STATUS = frozenset(
    {
        *("compaction", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response"),
        *("custom_tool_call", "custom_tool_call_output", "compaction_trigger", "additional_tools", "reasoning"),
    }
)
# Fields that are strings wherever they appear.
_TEXTS = (
    *("id", "type", "role", "status", "call_id", "name", "arguments", "input", "encrypted_content", "server_label"),
    "approval_request_id",
)
# A call's output answers a call of this type.
ANSWERS = {
    "function_call_output": "function_call",
    "custom_tool_call_output": "custom_tool_call",
}

NewId = Callable[[str], str]


@dataclass(slots=True)
class Lookup:
    """What items need of the caller's state: new ids by prefix, items by id, and the names of files by id.

    `filename` raises ApiError 404 for a file that does not exist.
    """

    new_id: NewId
    item: Callable[[str], Item | None]
    filename: Callable[[str], str]


def read_items(value: Any, lookup: Lookup, param: str = "input") -> list[Item]:
    """The items of `input`, each with an id; raises ApiError 400 or 404 for what OpenAI would refuse."""
    if isinstance(value, str):
        return [_message({"role": "user", "content": value}, param, lookup)]
    if not isinstance(value, list):
        raise invalid_type(param, "one of a string or an array of input items", value)
    return [_item(item, f"{param}[{index}]", lookup) for index, item in enumerate(value)]


def _item(item: Any, where: str, lookup: Lookup) -> Item:
    if not isinstance(item, dict):
        raise invalid_type(where, "an object", item)
    _check_texts(item, where)
    kind = item.get("type")
    if kind is None:
        kind = "item_reference" if "role" not in item and "id" in item else "message"
    if kind == "item_reference":
        return _referenced(item, where, lookup)
    if kind not in TYPES:
        raise invalid_value(where, kind, quoted((*TYPES, "item_reference")))
    if kind == "message":
        return _message(item, where, lookup)
    prefix, required = TYPES[kind]
    for name in required:
        params.required(item, f"{where}.{name}")
    _check_lists(item, where)
    made = {**item, "id": item.get("id") or lookup.new_id(prefix)}
    if kind not in _WITHOUT_STATUS:
        made["status"] = item.get("status") or "completed"
    if kind == "mcp_approval_response":
        made["request_id"] = item["approval_request_id"]
    return made


def _check_texts(item: Item, where: str) -> None:
    for name in _TEXTS:
        params.string(item, f"{where}.{name}")


def _check_lists(item: Item, where: str) -> None:
    for name in ("summary", "output"):
        if name == "summary" or isinstance(item.get(name), list):
            params.objects(item, f"{where}.{name}")


def _referenced(item: Item, where: str, lookup: Lookup) -> Item:
    item_id = item.get("id")
    if not isinstance(item_id, str):
        raise missing_parameter(f"{where}.id")
    found = lookup.item(item_id)
    if found is None:
        raise ApiError(
            f"Item with id '{item_id}' not found. Items are not persisted when `store` is set to false. Try again "
            "with `store` set to true, or remove this item from your input.",
            status=404,
            param="input",
        )
    return found


def _message(item: Item, where: str, lookup: Lookup) -> Item:
    role = item.get("role")
    if role is None:
        raise missing_parameter(f"{where}.role")
    if role not in ROLES:
        raise invalid_value(f"{where}.role", role, quoted(ROLES))
    content = item.get("content")
    text_type = "output_text" if role == "assistant" else "input_text"
    if isinstance(content, str):
        parts = [_text_part(text_type, content)]
    elif isinstance(content, list):
        parts = list(_parts(content, f"{where}.content", lookup))
    elif content is None:
        raise missing_parameter(f"{where}.content")
    else:
        raise invalid_type(f"{where}.content", "one of an array of objects or string", content)
    made = {
        "id": item.get("id") or lookup.new_id("msg_"),
        "type": "message",
        "status": item.get("status") or "completed",
        "content": parts,
        "role": role,
    }
    if item.get("phase"):
        made["phase"] = item["phase"]
    return made


def _text_part(kind: str, text: str) -> Item:
    if kind == "output_text":
        return {"type": kind, "annotations": [], "logprobs": [], "text": text}
    return {"type": kind, "text": text}


def _parts(content: list[Any], where: str, lookup: Lookup) -> Iterator[Item]:
    for index, part in enumerate(content):
        here = f"{where}[{index}]"
        kind = params.kind(part, here, PART_TYPES, here)
        if kind == "input_image":
            yield _image(part, here, lookup)
        elif kind == "input_file":
            yield _file(part, here, lookup)
        elif kind == "computer_screenshot":
            yield part
        else:
            name = "refusal" if kind == "refusal" else "text"
            if not isinstance(part.get(name), str):
                raise invalid_type(f"{here}.{name}", "a string", part.get(name))
            yield {**_text_part(kind, ""), **part} if kind == "output_text" else part


def _image(part: Item, where: str, lookup: Lookup) -> Item:
    url, file_id = part.get("image_url"), part.get("file_id")
    if not url and not file_id:
        raise missing_parameter(f"{where}.image_url")
    if file_id:
        lookup.filename(file_id)
    if url is not None and not isinstance(url, str):
        raise invalid_type(f"{where}.image_url", "an image URL", url)
    if url:
        prompt.image(url, f"{where}.image_url", "auto")
    return {**part, "detail": part.get("detail") or "auto"}


def _file(part: Item, where: str, lookup: Lookup) -> Item:
    if not any(part.get(name) for name in ("file_id", "file_data", "file_url")):
        raise missing_parameter(f"{where}.file_id")
    if part.get("file_id"):
        return {**part, "filename": lookup.filename(part["file_id"])}
    if part.get("file_data") is not None and not part.get("filename"):
        raise missing_parameter(f"{where}.filename")
    prompt.file(part, f"{where}.file_data")
    return part


def weight(item: Item) -> int:
    """About how much memory an item takes, in bytes."""
    content = item.get("content")
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return 512 + sum(len(value) for part in (item, *parts) for value in part.values() if isinstance(value, str))


def newest(items: list[Item], most: int, max_bytes: int) -> list[Item]:
    """The last `most` items, or as many of them as take no more than `max_bytes`."""
    kept = items[-most:]
    total = 0
    for index in range(len(kept) - 1, -1, -1):
        total += weight(kept[index])
        if total > max_bytes:
            return kept[index + 1 :]
    return kept


def check_calls(items: list[Item], old: int) -> None:
    """Every call must have its output, and every output, but for the first `old` items, must answer a call."""
    waiting: dict[tuple[str, str], str] = {}
    seen: set[tuple[str, str]] = set()
    for index, item in enumerate(items):
        kind, call_id = item["type"], item.get("call_id", "")
        if kind in ANSWERS.values():
            waiting[kind, call_id] = call_id
            seen.add((kind, call_id))
        elif kind in ANSWERS:
            asked = (ANSWERS[kind], call_id)
            if asked not in seen and index >= old:
                what = "custom tool call" if kind.startswith("custom") else "function call"
                raise ApiError(
                    f"No tool call found for {what} output with call_id {call_id}.",
                    param="input",
                )
            waiting.pop(asked, None)
    if waiting:
        kind, call_id = next(iter(waiting))
        raise ApiError(f"No tool output found for {kind.replace('_', ' ')} {call_id}.", param="input")
