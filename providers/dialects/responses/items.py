"""Items of the Responses API, from and to neutral parts."""

from typing import Any

from providers.dialects import media as medias
from providers.dialects.neutral import Media, Message, Part, Reasoning, Refusal, Request, Text, ToolCall, ToolResult
from providers.dialects.responses.tools import (
    CUSTOM,
    FUNCTION,
    LOCAL_SHELL,
    TOOL_SEARCH,
    add_tools,
    called_name,
)
from providers.dialects.signatures import seal, unseal
from providers.dialects.wire import Fields, arguments_text, encode, invalid, items, text_of, typed

ORIGIN = "responses"
# Items of the vendor's own tools in a conversation; they mean nothing to another vendor, whose answer they led to
# stays.
_PASSED_OVER = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "image_generation_call",
        "mcp_list_tools",
        "mcp_call",
        "mcp_approval_request",
        "mcp_approval_response",
        "tool_search_call",  # OpenAI's own search; the client's is a call of a function
        "tool_search_output",
    }
)


def read_items(request: Request, found: list[Fields], where: str) -> None:
    """Add the messages of a list of items. Items that one turn of the model made are one message again."""
    for index, item in enumerate(found):
        _read_item(request, item, f"{where}[{index}]")


def _read_item(request: Request, item: Fields, where: str) -> None:
    kind = item.get("type") or "message"
    if kind == "message":
        _message(request, item, where)
    elif kind in (FUNCTION, CUSTOM):
        _add(request, "assistant", _call(item, where))
    elif kind in ("function_call_output", "custom_tool_call_output"):
        call_id = typed(item.get("call_id"), str, f"{where}.call_id")
        parts = _content(item.get("output"), f"{where}.output")
        _result(request, call_id, [part for part in parts if isinstance(part, (Text, Media))])
    elif kind == "reasoning":
        _add(request, "assistant", _reasoning(item))
    elif kind == "additional_tools":
        add_tools(request, items(item.get("tools"), f"{where}.tools"), f"{where}.tools")
    elif kind in (LOCAL_SHELL, "local_shell_call_output") or item.get("execution") == "client":
        _client_item(request, item, where)
    elif not isinstance(kind, str) or kind not in _PASSED_OVER:
        raise invalid(f"{where}.type", kind, "Items of this type cannot be used with this model.")


def _call(item: Fields, where: str) -> ToolCall:
    call_id = typed(item.get("call_id"), str, f"{where}.call_id")
    if item["type"] == FUNCTION:
        arguments = arguments_text(item.get("arguments"))
    else:
        arguments = encode({"input": typed(item.get("input") or "", str, f"{where}.input")}).decode()
    return ToolCall(call_id, called_name(item, where), arguments)


def _client_item(request: Request, item: Fields, where: str) -> None:
    """Add a call, or the result, of a tool that OpenAI's models know by themselves and that the client runs."""
    kind = item["type"]
    if kind == "local_shell_call_output":
        _result(request, _shell_call_id(request, item, where), [Text(text_of(item.get("output")))])
        return
    call_id = typed(item.get("call_id"), str, f"{where}.call_id")
    if kind == LOCAL_SHELL:
        action = {**typed(item.get("action"), dict, f"{where}.action")}
        action.pop("type", None)
        _add(request, "assistant", ToolCall(call_id, "local_shell", encode(action).decode()))
    elif kind == TOOL_SEARCH:
        _add(request, "assistant", ToolCall(call_id, "tool_search", arguments_text(item.get("arguments"))))
    elif kind == "tool_search_output":
        names = add_tools(request, items(item.get("tools") or [], f"{where}.tools"), f"{where}.tools")
        words = f"These tools can be called now: {', '.join(names)}." if names else "No tool was found."
        _result(request, call_id, [Text(words)])
    else:
        raise invalid(f"{where}.type", kind, "Items of this type cannot be used with this model.")


def _shell_call_id(request: Request, item: Fields, where: str) -> str:
    """Return the call that a shell's output answers: what it names, or, where that is an item's id, the last one."""
    named = item.get("call_id") or typed(item.get("id"), str, f"{where}.id")
    parts = [part for message in request.messages for part in message.parts if isinstance(part, ToolCall)]
    calls = [part.id for part in parts if part.name == "local_shell"]
    return named if named in calls or not calls else calls[-1]


def _result(request: Request, call_id: str, parts: list[Text | Media]) -> None:
    """Add a tool's result. One call may have several in a row: a client that goes on with it says more."""
    last = request.messages[-1] if request.messages else None
    for part in last.parts if last is not None and last.role == "tool" else ():
        if isinstance(part, ToolResult) and part.call_id == call_id:
            part.parts.extend(parts)
            return
    _add(request, "tool", ToolResult(call_id, parts))


def _add(request: Request, role: Any, part: Part) -> None:
    last = request.messages[-1] if request.messages else None
    if last is not None and last.role == role:
        last.parts.append(part)
    else:
        request.messages.append(Message(role, [part]))


def _message(request: Request, item: Fields, where: str) -> None:
    role = item.get("role")
    parts = _content(item.get("content"), f"{where}.content")
    if role in ("system", "developer"):
        texts = [part for part in parts if isinstance(part, Text)]
        if request.messages:
            request.messages.append(Message("system", list(texts)))
        else:
            request.system.extend(texts)
    elif role == "user":
        request.messages.append(Message("user", parts))
    elif role == "assistant":
        for part in parts:
            _add(request, "assistant", part)
    else:
        valid = "Supported values are: 'user', 'assistant', 'system' and 'developer'."
        raise invalid(f"{where}.role", role, valid)


def _content(content: Any, where: str) -> list[Part]:
    if content is None:
        return []
    if isinstance(content, str):
        return [Text(content)]
    return [_part(part, f"{where}[{index}]") for index, part in enumerate(items(content, where))]


def _part(part: Fields, where: str) -> Part:
    kind = part.get("type")
    if kind in ("input_text", "output_text", "text"):
        return Text(typed(part.get("text"), str, f"{where}.text"))
    if kind == "refusal":
        return Refusal(typed(part.get("refusal"), str, f"{where}.refusal"))
    if kind == "input_image":
        detail = str(part.get("detail") or "")
        if isinstance(part.get("file_id"), str):
            return Media("image", file_id=part["file_id"], detail=detail)
        url = typed(part.get("image_url"), str, f"{where}.image_url")
        found = medias.from_url(url, str(part.get("mime_type") or ""), "image", f"{where}.image_url")
        found.detail = detail
        return found
    if kind == "input_file":
        return _file(part, where)
    if kind == "input_audio":
        sound = typed(part.get("input_audio", part), dict, f"{where}.input_audio")
        data = typed(sound.get("data"), str, f"{where}.input_audio.data")
        return Media("audio", data=data, mime=medias.normal(f"audio/{sound.get('format') or 'wav'}"))
    valid = "Supported values are: 'input_text', 'input_image', 'input_file', 'output_text' and 'refusal'."
    raise invalid(f"{where}.type", kind, valid)


def _file(part: Fields, where: str) -> Media:
    name = str(part.get("filename") or "")
    if isinstance(part.get("file_id"), str):
        return Media("file", file_id=part["file_id"], name=name)
    data = typed(part.get("file_data") or part.get("file_url"), str, f"{where}.file_data")
    if data[:5].lower() != "data:" and "://" not in data:
        data = f"data:;base64,{data}"
    found = medias.from_url(data, "", "file", f"{where}.file_data")
    found.name, found.mime = name, found.mime or "application/pdf"
    return found


def _reasoning(item: Fields) -> Reasoning:
    """Return a reasoning item; what another vendor sealed into ``encrypted_content`` is opened."""
    origin, proof = unseal(text_of(item.get("encrypted_content")), ORIGIN)
    pieces = [text_of(each.get("text")) for name in ("content", "summary") for each in _listed(item.get(name))]
    text = "\n\n".join(piece for piece in pieces if piece)
    redacted = proof.startswith("redacted.")
    if origin == ORIGIN:
        return Reasoning(text, redacted=proof, origin=ORIGIN, id=text_of(item.get("id")))
    return Reasoning(
        text,
        signature="" if redacted else proof,
        redacted=proof.removeprefix("redacted.") if redacted else "",
        origin=origin,
    )


def _listed(value: Any) -> list[Fields]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def reasoning_item(part: Reasoning, item_id: str, *, sealed: bool = True) -> Fields:
    """Return a finished reasoning item. ``sealed``: the proof goes with it, for a caller who keeps the conversation."""
    summary = [{"type": "summary_text", "text": part.text}] if part.text else []
    item: Fields = {"id": item_id, "type": "reasoning", "summary": summary}
    proof = sealed_proof(part)
    if sealed and proof:
        item["encrypted_content"] = proof
    return item


def sealed_proof(part: Reasoning) -> str:
    """Return what proves a thought to its vendor, as ``encrypted_content`` carries it."""
    if part.redacted:
        return seal(part.origin, part.redacted if part.origin == ORIGIN else f"redacted.{part.redacted}", ORIGIN)
    return seal(part.origin, part.signature, ORIGIN)


def text_part(text: str, annotations: list[Fields] | None = None) -> Fields:
    """Return a part of an output message."""
    notes = [flat(note) for note in annotations or []]
    return {"type": "output_text", "text": text, "annotations": notes, "logprobs": []}


def flat(note: Fields) -> Fields:
    """Return a citation of chat in the flat form of the Responses API."""
    inner = note.get("url_citation")
    return {"type": "url_citation", **inner} if isinstance(inner, dict) else note
