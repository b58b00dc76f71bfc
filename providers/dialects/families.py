"""What model families take: a row each, the first that fits a model's name. The facts are the vendors' documentation of
2026.

A name that no row knows is treated as its vendor's newest: vendors drop parameters more often than they bring them
back.
"""

import re
from functools import lru_cache

import msgspec

from providers.dialects.neutral import Effort

EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""From the least thinking to the most."""

BUDGETS: dict[Effort, int] = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24576,
    "xhigh": 32768,
    "max": 63999,
}
"""Tokens of thinking for an effort, where a model takes a budget: up to ``high`` the figures of Google's own
compatibility layer.
"""


def effort_of(budget: int) -> Effort:
    """Return the effort that is nearest to a budget of thinking tokens; -1 is the model's own choice."""
    if budget < 0:
        return "medium"
    if budget == 0:
        return "none"
    return next((effort for effort in ("low", "medium") if budget <= BUDGETS[effort]), "high")


class Claude(msgspec.Struct, frozen=True, kw_only=True):
    """What a Claude family takes.

    ``output`` is the most tokens that it writes; ``manual`` takes a thinking budget, ``adaptive`` decides itself;
    ``thinks`` unasked, and cannot be stopped where ``always``; ``sampling`` is how many of temperature and top_p it
    takes (with none, top_k is not taken either); ``forced`` whether a tool can be forced; ``schemas`` whether it takes
    a JSON Schema.
    """

    output: int = 128_000
    manual: bool = False
    adaptive: bool = True
    thinks: bool = False
    always: bool = False
    efforts: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")
    sampling: int = 0
    forced: bool = True
    schemas: bool = True


_EARLY = Claude(output=4096, adaptive=False, efforts=(), sampling=2, schemas=False)
_FOUR = Claude(output=64_000, manual=True, adaptive=False, efforts=(), sampling=2, schemas=False)
_FOUR_FIVE = Claude(output=64_000, manual=True, adaptive=False, efforts=(), sampling=1)
_NEWEST = Claude(thinks=True, always=True, forced=False)

CLAUDE: tuple[tuple[re.Pattern[str], Claude], ...] = tuple(
    (re.compile(pattern), row)
    for pattern, row in (
        (r"claude-(v1|2|instant)|claude-3-(opus|sonnet|haiku)", _EARLY),
        (r"claude-3-5|claude-(sonnet|haiku)-3-5", msgspec.structs.replace(_EARLY, output=8192)),
        (r"claude-3-7|claude-sonnet-3-7", _FOUR),
        (r"opus-4-5", msgspec.structs.replace(_FOUR_FIVE, efforts=("low", "medium", "high"))),
        (r"(sonnet|haiku)-4-5", _FOUR_FIVE),
        (r"(opus|sonnet)-4-6", Claude(manual=True, sampling=1, efforts=("low", "medium", "high", "max"))),
        (r"opus-4-[789]|mythos-preview", Claude()),
        (r"opus-4-1", msgspec.structs.replace(_FOUR, output=32_000, sampling=1)),
        (r"opus-4|claude-4-opus", msgspec.structs.replace(_FOUR, output=32_000)),
        (r"(sonnet|haiku)-4|claude-4-sonnet", _FOUR),
        (r"(sonnet|haiku)-5", Claude(thinks=True)),
        (r"opus-5(?!-\d(?!\d))", Claude(thinks=True)),
        (r"(fable|mythos)-5(?!-\d(?!\d))", Claude(thinks=True, always=True)),
        (r"claude", _NEWEST),
    )
)
# Other makers' models behind Anthropic's dialect take what Claude 4 took, but for a smaller output.
_FOREIGN = msgspec.structs.replace(_FOUR, output=32_000, manual=True)


@lru_cache(1024)
def claude(model: str) -> Claude:
    """Return what a model of Anthropic's dialect takes. The name may have a platform's prefix, dots or a date."""
    name = model.lower().replace(".", "-")
    return next((row for pattern, row in CLAUDE if pattern.search(name)), _FOREIGN)


class Gemini(msgspec.Struct, frozen=True, kw_only=True):
    """What a Gemini family takes.

    ``levels`` of thinking that it knows, else a ``budget`` between two bounds (``off`` if 0 is allowed, too);
    ``signed`` wants thought signatures back and gives calls ids; ``schema_with_tools`` takes a response schema beside
    tools; ``json_schema`` takes JSON Schema, else OpenAPI's subset; ``system`` takes a system instruction.
    """

    levels: tuple[Effort, ...] = ()
    budget: tuple[int, int] | None = None
    off: bool = False
    signed: bool = False
    schema_with_tools: bool = False
    json_schema: bool = True
    system: bool = True


_LEVELS: tuple[Effort, ...] = ("low", "medium", "high")
_THREE = Gemini(levels=_LEVELS, signed=True, schema_with_tools=True)

GEMINI: tuple[tuple[re.Pattern[str], Gemini], ...] = tuple(
    (re.compile(pattern), row)
    for pattern, row in (
        (r"gemma-[123]", Gemini(system=False)),
        (r"gemma", Gemini()),
        (r"gemini-(1|pro|flash-1)", Gemini(json_schema=False)),
        (r"gemini-2\.0|gemini-2\.5-flash-image|-tts|-live", Gemini()),
        (r"gemini-2\.5-pro", Gemini(budget=(128, 32768))),
        (r"gemini-2\.5-flash-lite", Gemini(budget=(512, 24576), off=True)),
        (r"gemini-2\.5", Gemini(budget=(1, 24576), off=True)),
        (r"gemini-3-pro", msgspec.structs.replace(_THREE, levels=("low", "high"))),
        (r"gemini-3(\.[1-7])?-flash", msgspec.structs.replace(_THREE, levels=("minimal", *_LEVELS))),
        (r"gemini-\d|gemini-\D*latest", _THREE),
        (r"gemini", _THREE),
    )
)


@lru_cache(1024)
def gemini(model: str) -> Gemini:
    """Return what a model of Gemini's dialect takes."""
    name = model.lower()
    return next((row for pattern, row in GEMINI if pattern.search(name)), Gemini())


def nearest(effort: Effort, known: tuple[Effort, ...]) -> Effort | None:
    """Return the effort of those that are known that is nearest: the same, the next higher, or the highest."""
    rank = EFFORTS.index(effort)
    return next((each for each in known if EFFORTS.index(each) >= rank), known[-1] if known else None)
