"""Which fields of a body name models, in JSON and in forms, and what they hold.

Pure: :mod:`gateway.access.named_models` resolves them.
"""

from collections.abc import Callable, Iterator
from typing import Any

from providers.routing.naming import INERT_FIELDS, MODEL_TOOLS, is_naming

Rename = Callable[[str], str]
# What is longer names no model.
MAX_NAME_CHARACTERS = 300

PARAMETERS, FUNCTION = "parameters", "function"
# What callers and models say, where OpenAI's operations have it: the largest fields, and no place of a model.
SAID_FIELDS = frozenset({"input", "instructions", "messages", "prediction", "prompt"})
SAID_BY_DOOR: dict[str, frozenset[str]] = {
    "anthropic": frozenset({"messages", "system"}),
    "gemini": frozenset(
        {"content", "contents", "generateContentRequest", "requests", "systemInstruction", "system_instruction"}
    ),
}
"""The same of the doors that are not OpenAI's."""
# How a call is to be routed: no models as a rule, but nothing in there may be one that the caller may not call.
ROUTING_FIELDS = frozenset({"plugins", "provider", "providers", "route", "router", "routing"})
# What holds a value: a field that names models, or what to fall back to.
NAMING, FALLBACK = 1, 2
# Below a naming field, an object names by these, and by lists: {"fallbacks": [{"a": ["b", "c"]}]}.
NAMES = frozenset({"id", "name"})
TOOL_CHOICE = "tool_choice"
# A JSON value without any of these names nothing, whatever the case; an escape of an ASCII character could hide a name.
MARKS = (
    *(
        b'model"',
        b'models"',
        b"model_id",
        b"model-id",
        b"modelid",
        b"model_name",
        b"model-name",
        b"modelname",
        *(b'model_list"', b'modellist"', b"model_version", b"model-version", b"modelversion"),
        *(b"model_arn", b"modelarn", b'llm"', b"fallback", b"deployment"),
    ),
    *(b'"provider', b'"rout', b'"plugins', b"\\u00"),
    # Letters that some readers take for an s and a k, raw and escaped.
    *("\u017f".encode(), "\u212a".encode(), b"\\u017f", b"\\u212a"),
    *(tool.encode() for tool in MODEL_TOOLS),
)


def is_inert(node: dict[str, Any], field: str) -> bool:
    """Whether a field of an object names no model. The parameters of a function are a schema; those of a vendor's own
    tool are what it is called with.
    """
    return field in INERT_FIELDS and not (field == PARAMETERS and node.get("type", FUNCTION) != FUNCTION)


def may_name(raw: bytes) -> bool:
    """Whether a JSON value can name a model at all, or have a tool that uses one."""
    found = raw.lower().find
    # Tools come here: no generator for any(), and find() instead of in, which tries a number first.
    for mark in MARKS:  # noqa: SIM110
        if found(mark) >= 0:
            return True
    return False


def rename(value: Any, resolve: Rename) -> None:
    """Give every model that ``value`` names, a decoded JSON object or list, the name that ``resolve`` returns for
    it.
    """
    pending = [(value, 0)]
    while pending:
        node, naming = pending.pop()
        for key, child, named in list(_entries(node, naming, top=node is value)):
            if isinstance(child, dict | list):
                pending.append((child, named))
            elif named and isinstance(child, str):
                node[key] = ",".join(resolve(name.strip()) if name.strip() else name for name in child.split(","))


def _entries(node: Any, naming: int, *, top: bool) -> Iterator[tuple[Any, Any, int]]:
    """Yield ``(key, child, whether it names models)`` of an object or a list that a naming field holds, or not.

    What falls back may be written as an object: ``{"a": "b"}``.
    """
    if isinstance(node, list):
        yield from ((place, child, naming) for place, child in enumerate(node))
        return
    mapping = not any(key in NAMES or is_naming(key) for key in node)
    for key, child in node.items():
        if is_naming(key, top=top):
            yield key, child, FALLBACK if "fallback" in key.casefold() else NAMING
        elif not is_inert(node, key):
            named = key in NAMES or isinstance(child, list) or (isinstance(child, dict) and "id" in child)
            yield key, child, naming if named or (naming == FALLBACK and mapping) else 0


def routing_words(value: Any) -> Iterator[str]:
    """Yield every string of the fields in ``value`` that say how a call is to be routed."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            for key, child in node.items():
                if key.casefold() in ROUTING_FIELDS:
                    yield from strings(child)
                elif not is_inert(node, key):
                    pending.append(child)
        elif isinstance(node, list):
            pending.extend(node)


def tools_without_model(value: Any) -> Iterator[str]:
    """Yield the types of the tools in ``value`` that use a model and don't name it. A choice among tools is not one."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            kind, model = node.get("type"), node.get("model")
            named = bool(model.strip() if isinstance(model, str) else model)
            if isinstance(kind, str) and kind in MODEL_TOOLS and not named:
                yield kind
            pending.extend(child for key, child in node.items() if key != TOOL_CHOICE and not is_inert(node, key))
        elif isinstance(node, list):
            pending.extend(node)


def strings(value: Any) -> Iterator[str]:
    """Yield every string in ``value``, a decoded JSON value: names of fields, too."""
    pending = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, str):
            yield node
        elif isinstance(node, list):
            pending.extend(node)
        elif isinstance(node, dict):
            yield from node
            pending.extend(node.values())
