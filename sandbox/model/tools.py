"""Which tools an answer calls, and with which arguments."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from sandbox.errors import invalid_type, missing_parameter
from sandbox.model import strict_schema
from sandbox.model.prompt import Prompt
from sandbox.model.schema_values import Filler, places
from sandbox.store import params
from sandbox.wire.messages import encode

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
# Words in a tool's name or description that say nothing about its subject.
_VERBS = {
    *("get", "set", "fetch", "find", "look", "lookup", "search", "list", "show", "read", "call", "run", "do", "make"),
    *("create", "send", "add", "update", "delete", "retrieve", "query", "check", "compute", "current", "use"),
    *("tool", "function", "api", "data", "info", "information"),
}
_COMMON = {
    *("the", "and", "for", "with", "from", "that", "this", "given", "return", "when", "what", "where", "which"),
    *("into", "about", "your", "you", "are", "is", "of", "in", "to", "a", "an", "by", "on", "or", "it", "used"),
    *("user", "value", "name", "state", "city", "country", "string", "number"),
}
# What arithmetic is called in a question, and in a tool's name.
_MEANS = {"times": "multiply", "plus": "add", "minus": "subtract", "divided": "divide", "sum": "add"}


@dataclass(slots=True)
class Tool:
    """A tool as offered; `kind` is function or custom, `parameters` the JSON schema of a function."""

    name: str
    description: str = ""
    parameters: dict[str, Any] | None = None
    kind: str = "function"


def read_tool(item: Any, where: str, kind: str = "function") -> Tool:
    """A tool's definition; raises ApiError 400 for a bad one."""
    if item is None:
        raise missing_parameter(where)
    if not isinstance(item, dict):
        raise invalid_type(where, "an object", item)
    name, schema = params.string(item, f"{where}.name"), params.mapping(item, f"{where}.parameters")
    if not name:
        raise missing_parameter(f"{where}.name")
    if item.get("strict"):
        strict_schema.check(schema, f"function '{name}'", f"{where}.parameters")
    return Tool(name, params.string(item, f"{where}.description"), schema if kind == "function" else None, kind)


@dataclass(slots=True)
class Call:
    """A tool's call; `arguments` is JSON for a function, free text for a custom tool."""

    name: str
    arguments: str
    kind: str = "function"

    def values(self) -> dict[str, Any]:
        """The arguments of a function by name; none of those that the token limit cut short."""
        try:
            decoded: dict[str, Any] = msgspec.json.decode(self.arguments)
        except msgspec.DecodeError:
            return {}
        return decoded


def choose(
    prompt: Prompt, tools: list[Tool], choice: str, *, named: str = "", wished: str = "", parallel: bool = True
) -> list[Call]:
    """The calls that an answer makes: none when it answers in words.

    `choice` is auto, none or required. With auto a tool is called when the user's words name it, and never right
    after tool results. `named` is the tool that must be called, whatever was said; `wished` are names, with + between
    them, that the user's words are taken to name.
    """
    if named:
        return [_call(tool, prompt.user_text, "") for tool in tools if tool.name == named][:1]
    if choice == "none" or not tools or (choice == "auto" and prompt.tool_results):
        return []
    if wished:
        wanted = [tool for tool in tools if tool.name in wished.split("+")]
    else:
        wanted = [tool for tool in tools if _is_asked_for(tool, prompt.user_text)]
    if not wanted and choice == "required":
        wanted = tools[:1]
    calls = [call for tool in wanted for call in _calls(tool, prompt.user_text)]
    return calls if parallel else calls[:1]


def _calls(tool: Tool, text: str) -> Iterator[Call]:
    """One call for each place that the text names, or one."""
    options = encode(tool.parameters or {}).decode().lower()
    # "in Celsius" names no place but one of the tool's options.
    for place in [place for place in places(text) if f'"{place.lower()}"' not in options] or [""]:
        call = _call(tool, text, place)
        yield call
        if place not in call.arguments or not place:
            return


def _call(tool: Tool, text: str, place: str) -> Call:
    if tool.kind == "custom":
        return Call(tool.name, Filler({}, text).said("input") or text, "custom")
    schema = tool.parameters or {"type": "object", "properties": {}}
    return Call(tool.name, encode(Filler(schema, text, place).value(schema)).decode())


def _is_asked_for(tool: Tool, text: str) -> bool:
    said = set(_words(text))
    name = set(_words(tool.name))
    # A tool that is only a verb, such as "add", is asked for by it.
    if said & (name - _VERBS or name):
        return True
    return len(said & (set(_words(tool.description)) - _VERBS - _COMMON)) >= 2


def _words(text: str) -> Iterator[str]:
    """Lower-case words without a plural's s; `getWeather` and `get_weather` are two words each."""
    for word in _WORD.findall(text):
        lower = _MEANS.get(word.lower(), word.lower())
        yield lower[:-1] if len(lower) > 3 and lower.endswith("s") and not lower.endswith("ss") else lower
