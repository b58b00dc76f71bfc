"""Parameters of OpenAI's chat dialect that a vendor or a model family renames or does not take, as data.

The rows of vendors are in ``providers.vendors``; here are the families, whichever vendor serves them.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar

import msgspec

from providers.dialects.failures import unsupported
from providers.vendors import VENDORS

Value = TypeVar("Value")

SAMPLING = frozenset(
    {"temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs"}
)
_NOTHING: frozenset[str] = frozenset()


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """What a family renames and drops. ``unless_idle``: only dropped while it reasons, so not with effort ``none``."""

    renames: tuple[tuple[str, str], ...] = ()
    drops: frozenset[str] = _NOTHING
    unless_idle: bool = False


_COMPLETION_TOKENS = (("max_tokens", "max_completion_tokens"),)

FAMILIES: tuple[tuple[re.Pattern[str], Family], ...] = tuple(
    (re.compile(pattern), row)
    for pattern, row in (
        (r"^(openai/)?gpt-5(\.\d)?-chat", Family(renames=_COMPLETION_TOKENS, drops=frozenset({"reasoning_effort"}))),
        (
            r"^(openai/)?(o1-mini|o1-preview)",
            Family(renames=_COMPLETION_TOKENS, drops=SAMPLING | {"stop", "reasoning_effort", "parallel_tool_calls"}),
        ),
        (r"^(openai/)?(o1|o3-mini)", Family(renames=_COMPLETION_TOKENS, drops=SAMPLING | {"parallel_tool_calls"})),
        (r"^(openai/)?gpt-5\.\d", Family(renames=_COMPLETION_TOKENS, drops=SAMPLING | {"stop"}, unless_idle=True)),
        (r"^(openai/)?(o\d|gpt-5|codex-)", Family(renames=_COMPLETION_TOKENS, drops=SAMPLING | {"stop"})),
        (r"^(openai/)?(gpt-4o|gpt-4\.1|gpt-4-|gpt-4$|gpt-3|chatgpt)", Family(drops=frozenset({"reasoning_effort"}))),
        (
            r"grok-4(?!\.\d)|grok-code",
            Family(drops=frozenset({"presence_penalty", "frequency_penalty", "stop", "reasoning_effort"})),
        ),
        (r"grok-3-mini", Family(drops=frozenset({"presence_penalty", "frequency_penalty", "stop"}))),
        (r"deepseek-reasoner|deepseek-r1", Family(drops=frozenset({"logprobs", "top_logprobs"}))),
    )
)
_NONE = Family()


@lru_cache(1024)
def family(model: str) -> Family:
    """Return what a model's family changes; nothing for a name that no row knows."""
    name = model.lower()
    return next((row for pattern, row in FAMILIES if pattern.search(name)), _NONE)


# What changes nothing: a vendor that does not take the name may go without it, and nothing is lost.
DEFAULTS: dict[str, tuple[bytes, ...]] = {
    "frequency_penalty": (b"0", b"0.0"),
    "logprobs": (b"false",),
    "n": (b"1",),
    "parallel_tool_calls": (b"true",),
    "presence_penalty": (b"0", b"0.0"),
    "service_tier": (b'"auto"',),
    "store": (b"false",),
    "temperature": (b"1", b"1.0"),
    "top_p": (b"1", b"1.0"),
}
_IDLE = (b"null", b'"none"')


@lru_cache(4096)
def _touched(vendor: str, model: str) -> frozenset[str]:
    """Return the names that vendor and model rename or drop."""
    row, rules = family(model), VENDORS[vendor]
    return row.drops | rules.drops | {old for old, _ in (*row.renames, *rules.renames)}


def fit(
    fields: Mapping[str, msgspec.Raw], *, vendor: str, model: str, strict: bool = False
) -> tuple[Mapping[str, msgspec.Raw], list[str]]:
    """Return a chat body's top-level fields as they are sent on, and the names of those that were dropped.

    They are the caller's own where nothing has to change. Raises ``DialectError`` with ``strict``.
    """
    touched = _touched(vendor, model)
    if touched.isdisjoint(fields):
        return fields, []
    needed = {
        name: value
        for name, value in fields.items()
        if name not in touched or bytes(value) not in (b"null", *DEFAULTS.get(name, ()))
    }
    idle = bytes(fields.get("reasoning_effort", b"null")) in _IDLE
    return adapt(needed, vendor=vendor, model=model, strict=strict, sampled=idle)


def adapt(
    fields: Mapping[str, Value], *, vendor: str, model: str, strict: bool = False, sampled: bool = False
) -> tuple[dict[str, Value], list[str]]:
    """Return a chat body's top-level fields as vendor and model take them, and the names of those that were dropped.

    Values are not looked at, so they may be JSON bytes. A renamed field is not reported, as nothing is lost; where both
    names are given, the vendor's own stays. ``sampled``: the request asks for no reasoning, so sampling is taken by
    families that allow it then. With ``strict`` a field that would be dropped is a ``DialectError``.
    """
    row, rules = family(model), VENDORS.get(vendor)
    changed, dropped = dict(fields), []
    renames = (*(rules.renames if rules else ()), *row.renames)
    for old, new in renames:
        if old in changed:
            value = changed.pop(old)
            changed.setdefault(new, value)
    drops = rules.drops if rules else _NOTHING
    if not (row.unless_idle and sampled):
        drops = drops | row.drops
    for name in [name for name in changed if name in drops]:
        if strict:
            raise unsupported(name, f"is not supported by the model '{model}'.")
        del changed[name]
        dropped.append(name)
    return changed, dropped
