"""What the ``override_params`` and ``headers_override`` of a target may not set.

They hold for every caller, and are set after it was decided what a caller may use: so they may name no object that
callers have at the provider, and no model. A virtual model as a target leads to accounts whose organization and project
are not for its users to choose.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from providers.routing.naming import (
    CONFIGURING_FIELDS,
    INERT_FIELDS,
    ITEM_REFERENCE,
    MODEL_TOOLS,
    NATIVE_FIELDS,
    OWN_PREFIXES,
    REFERENCE_FIELDS,
    is_naming,
)

NAMES_OBJECT: Final = "names an object at the provider, which not all callers of this model may use: leave it out."
NAMES_MODEL: Final = "names a model, or uses one: make that a target of its own, or leave it out."
# What is said and labelled: names in there mean nothing.
LABELS: Final = frozenset({"annotations", "client_metadata", "input_schema", "metadata", "properties", "schema"})
PARAMETERS, FUNCTION, TOOL_CHOICE = "parameters", "function", "tool_choice"
PLUGINS: Final = "plugins"
"""OpenRouter's, whose ids are words of its own."""
VENDOR_CHOICE: Final = frozenset(
    {
        "anthropic-organization",
        "anthropic-workspace-id",
        "chatgpt-account-id",
        "openai-organization",
        "openai-project",
        "x-goog-user-project",
    }
)
"""Headers that choose an organization, a project or an account at the vendor."""
_PREFIXES: Final = {name.replace("_", ""): prefix for name, prefix in OWN_PREFIXES.items()}
_OBJECTS: Final = frozenset(
    name.casefold().replace("_", "")
    for name in (*REFERENCE_FIELDS, *NATIVE_FIELDS, "image_file_id", "previous_interaction_id")
)


def param_faults(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the path of each parameter that names an object or a model, and what is wrong with it."""
    pending: list[tuple[str, Any, bool]] = [("", params, True)]
    while pending:
        path, node, models = pending.pop()
        if isinstance(node, list):
            pending.extend((f"{path}[{number}]", child, models) for number, child in enumerate(node))
        if not isinstance(node, dict):
            continue
        kind = node.get("type")
        if kind == ITEM_REFERENCE:
            yield path, NAMES_OBJECT
        if isinstance(kind, str) and kind in MODEL_TOOLS and not path.endswith(TOOL_CHOICE):
            yield path, NAMES_MODEL
        for name, child in node.items():
            place = f"{path}.{name}" if path else name
            problem = _problem(name, child, models=models, top=not path) if not path.startswith(PLUGINS) else ""
            if problem:
                yield place, problem
            elif name not in LABELS and not (name == PARAMETERS and node.get("type", FUNCTION) == FUNCTION):
                pending.append((place, child, models and (name not in INERT_FIELDS or name == PARAMETERS)))


def _problem(name: str, value: Any, *, models: bool, top: bool) -> str:
    if not value or isinstance(value, bool | int | float):
        return ""
    plain = name.casefold().replace("_", "").replace("-", "").removesuffix("[]")
    if plain == "id" and isinstance(value, str):
        return NAMES_OBJECT
    if plain in _OBJECTS and _has_id(value, _PREFIXES.get(plain, "")):
        return NAMES_OBJECT
    if models and (is_naming(name, top=top) or name.casefold() in CONFIGURING_FIELDS):
        return NAMES_MODEL
    return ""


def _has_id(value: Any, prefix: str) -> bool:
    """Whether a value holds ids. A list, or an object of one's own settings, is looked into by who asks, too."""
    entries = value if isinstance(value, list) else [value]
    return any(isinstance(each, str) and each.strip().startswith(prefix) for each in entries)


def params_fault(params: Any) -> str:
    """Say why stored parameters may not be set, empty when they may."""
    faults = param_faults(params) if isinstance(params, dict) else ()
    return next((f"its override_params.{path} {problem.partition(':')[0]}" for path, problem in faults), "")


def choosing_headers(names: Iterable[str]) -> list[str]:
    """Return those of the headers that choose an organization, a project or an account at the vendor."""
    return [name for name in names if isinstance(name, str) and name.lower() in VENDOR_CHOICE]
