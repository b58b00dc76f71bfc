"""The tools that a request offers, and which of them it lets or makes the model use."""

import re
from dataclasses import dataclass, field
from typing import Any

from sandbox.errors import ApiError, invalid_type, invalid_value, missing_parameter
from sandbox.model.tools import Tool, read_tool
from sandbox.store import params
from sandbox.store.params import Body

Offered = dict[str, Any]

# tool type: (the built-in it is, fields that it must have)
BUILT_IN: dict[str, tuple[str, tuple[str, ...]]] = {
    "web_search": ("web_search", ()),
    "web_search_2025_08_26": ("web_search", ()),
    "web_search_preview": ("web_search", ()),
    "web_search_preview_2025_03_11": ("web_search", ()),
    "file_search": ("file_search", ("vector_store_ids",)),
    "code_interpreter": ("code_interpreter", ("container",)),
    "image_generation": ("image_generation", ()),
    "mcp": ("mcp", ("server_label",)),
    "computer": ("computer", ()),
    "computer_use_preview": ("computer", ("environment", "display_width", "display_height")),
}
# Accepted, but never used.
OTHERS = (*("local_shell", "shell", "apply_patch", "tool_search", "namespace", "programmatic_tool_calling"),)
TYPES = ("function", "custom", *BUILT_IN, *OTHERS)

# built-in: words of the user that make the model use it
_ASKED_FOR = {
    "web_search": re.compile(r"\b(?:search|news|web|internet|latest|today)\b", re.IGNORECASE),
    "file_search": re.compile(r"\b(?:search|files?|documents?|docs)\b", re.IGNORECASE),
    "code_interpreter": re.compile(r"\b(?:code|python|calculate|compute|plot|run)\b", re.IGNORECASE),
    "image_generation": re.compile(r"\b(?:draw|image|picture|paint|illustrat\w+|logo)\b", re.IGNORECASE),
    "mcp": re.compile(r"\b(?:mcp|server|roll|ask)\b", re.IGNORECASE),
    "computer": re.compile(r"\b(?:click|open|browser|screen|desktop|computer)\b", re.IGNORECASE),
}
_CHOICES = ("none", "auto", "required")


@dataclass(slots=True)
class Toolbox:
    """What may be used. `choice` is auto, none or required; `named` is a function that must be called.

    `built_in` are the tools to use now, as offered; `shown` is what the response repeats as `tools`.
    """

    functions: list[Tool] = field(default_factory=list)
    built_in: list[Offered] = field(default_factory=list)
    choice: str = "auto"
    named: str = ""
    shown: list[Offered] = field(default_factory=list)


def family(tool: Offered) -> str:
    """The built-in that an offered tool is; empty for others."""
    return BUILT_IN.get(tool["type"], ("", ()))[0]


def read(body: Body, user_text: str, after_results: bool) -> Toolbox:
    """The toolbox of a request; raises ApiError 400 for what OpenAI would refuse.

    Built-in tools are used when the user's words ask for them, but not right after tool results.
    """
    box = Toolbox()
    for index, item in enumerate(params.objects(body, "tools")):
        _add(box, item, f"tools[{index}]")
    built_in = [tool for tool in box.shown if family(tool)]
    choice = body.get("tool_choice") or "auto"
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise invalid_value("tool_choice", choice, params.quoted(_CHOICES))
        if choice == "required" and not box.shown:
            raise ApiError("Tool choice 'required' must be specified with 'tools' parameter.", param="tool_choice")
        box.choice = choice
    elif isinstance(choice, dict):
        built_in = _narrow(box, choice, built_in)
    else:
        raise invalid_type("tool_choice", "one of a string or an object", choice)
    box.built_in = _used(box, built_in, user_text, after_results)
    return box


def _used(box: Toolbox, built_in: list[Offered], user_text: str, after_results: bool) -> list[Offered]:
    if box.choice == "none" or box.named:
        return []
    if box.choice == "built-in":
        box.choice = "none"
        return built_in[:1]
    wanted = [tool for tool in built_in if not after_results and _ASKED_FOR[family(tool)].search(user_text)]
    if box.choice == "required" and not wanted and not box.functions:
        wanted = built_in[:1]
    if box.choice == "required" and wanted:
        box.choice = "auto"
    return wanted


def _add(box: Toolbox, item: Offered, where: str) -> None:
    kind = params.kind(item, where, TYPES)
    for name in BUILT_IN.get(kind, ("", ()))[1]:
        params.required(item, f"{where}.{name}")
    if kind in ("function", "custom"):
        box.functions.append(read_tool(item, where, kind))
    if kind == "function":
        # Strict is the default of this API; the schema is then made strict by OpenAI as far as it can be.
        strict = True if item.get("strict") is None else item["strict"]
        item = {"description": None, **item, "parameters": params.mapping(item, "parameters"), "strict": strict}
    box.shown.append(item)


def _narrow(box: Toolbox, choice: Body, built_in: list[Offered]) -> list[Offered]:
    """Applies a `tool_choice` object; returns the built-in tools that are left."""
    kind = choice.get("type")
    if kind == "allowed_tools":
        allowed = params.objects(choice, "tool_choice.tools")
        names = [item.get("name") for item in allowed if item.get("type") in ("function", "custom")]
        types = [item.get("type") for item in allowed]
        box.choice = params.choice(choice, "mode", ("auto", "required"), "auto")
        box.functions = [tool for tool in box.functions if tool.name in names]
        return [tool for tool in built_in if tool["type"] in types]
    if kind in ("function", "custom"):
        name = choice.get("name")
        if not isinstance(name, str):
            raise missing_parameter("tool_choice.name")
        if name not in {tool.name for tool in box.functions}:
            raise ApiError(f"Tool choice '{name}' not found in 'tools' parameter.", param="tool_choice")
        box.choice, box.named = "required", name
        return []
    wanted = BUILT_IN.get(str(kind), (str(kind), ()))[0]
    found = [tool for tool in box.shown if family(tool) == wanted or tool["type"] == kind]
    if not found:
        raise ApiError(f"Tool choice '{kind}' not found in 'tools' parameter.", param="tool_choice")
    box.choice = "built-in"
    return [tool for tool in found if family(tool)]
