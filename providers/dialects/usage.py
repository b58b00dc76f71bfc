"""What vendors mean by usage: each counts in its own way, and its row in ``providers.vendors`` says which.

=============  ========================================================================================================
``openai``     details are parts of their side's total
``xai``        ``reasoning_tokens`` are outside ``completion_tokens`` (docs.x.ai, "Reasoning"; total = prompt + both)
``deepseek``   ``prompt_cache_hit_tokens`` are the cached part of the prompt (api-docs.deepseek.com, "Context Caching")
``google``     thinking is in ``total_tokens`` only (Gemini's OpenAI-compatible address)
``openrouter`` ``cost`` is what the call costs, in US dollars (openrouter.ai/docs, "Usage Accounting")
=============  ========================================================================================================

Where a total exceeds the sum of both sides and nothing says what the rest is, :attr:`Counts.outside` has it: a gap, not
a price.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from accounts.numbers import LARGEST, decimal_number, is_written_in_digits, milliseconds, whole_number

PICO = 10**12
MAX_COUNT = 2**31 - 1
FRACTIONS = frozenset({"seconds", "cost"})
_decode = msgspec.json.Decoder().decode


Tokens = Annotated[int, msgspec.Meta(ge=0, le=MAX_COUNT)]
OUTSIDE = "tokens_outside_usage"
"""The gap of a total that exceeds both sides, where nothing says what the rest is."""
IMPOSSIBLE = "impossible_usage"
"""The gap of counts that can't be: less than nothing, beyond all bounds, or a part that is more than its whole."""


class CachedDetails(msgspec.Struct):
    """Parts of the cached tokens, as realtime sessions report them: cached audio has a price of its own."""

    audio_tokens: Tokens | None = None
    image_tokens: Tokens | None = None


class InputDetails(msgspec.Struct):
    """Parts of the input tokens. All are included in their total."""

    cached_tokens: Tokens | None = None
    cached_tokens_details: CachedDetails | None = None
    cache_write_tokens: Tokens | None = None
    audio_tokens: Tokens | None = None
    image_tokens: Tokens | None = None


class OutputDetails(msgspec.Struct):
    """Parts of the output tokens."""

    reasoning_tokens: Tokens | None = None
    audio_tokens: Tokens | None = None
    image_tokens: Tokens | None = None


class Usage(msgspec.Struct):
    """OpenAI's usage object in either naming, and what compatible servers add to it."""

    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    input_tokens: Tokens | None = None
    output_tokens: Tokens | None = None
    total_tokens: Tokens | None = None
    cached_tokens: Tokens | None = None
    reasoning_tokens: Tokens | None = None
    prompt_cache_hit_tokens: Tokens | None = None
    num_search_queries: Tokens | None = None
    seconds: float | None = None
    cost: float | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None
    input_tokens_details: InputDetails | None = None
    output_tokens_details: OutputDetails | None = None
    input_token_details: InputDetails | None = None
    output_token_details: OutputDetails | None = None


class Counts(msgspec.Struct):
    """What was used, in one meaning for all vendors: details are parts of their side.

    ``outside`` are tokens of the vendor's total that belong to no side we know; ``impossible`` says that a count can't
    be; ``cost_pico`` is the cost that the vendor itself reports, in 1e-12 US dollars.
    """

    input: int = 0
    output: int = 0
    cached: int = 0
    cache_write: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_output: int = 0
    units: dict[str, int] = {}
    outside: int = 0
    impossible: bool = False
    cost_pico: int | None = None

    @property
    def gap(self) -> str:
        """What keeps the counts from being the whole truth; empty when nothing does."""
        return IMPOSSIBLE if self.impossible else OUTSIDE if self.outside else ""


_strict = msgspec.json.Decoder(Usage | None)
_NO_INPUT = InputDetails()
_NO_OUTPUT = OutputDetails()
_NO_CACHED = CachedDetails()


def read(raw: bytes | msgspec.Raw, semantics: str = "openai") -> Counts | None:
    """Return what a usage object says in the vendor's ``semantics``; ``None`` when it is not one."""
    usage, impossible = _usage_of(raw)
    if usage is None:
        return None
    inputs = usage.prompt_tokens_details or usage.input_tokens_details or usage.input_token_details or _NO_INPUT
    outputs = usage.completion_tokens_details or usage.output_tokens_details or usage.output_token_details or _NO_OUTPUT
    cached = inputs.cached_tokens_details or _NO_CACHED
    found = Counts(
        input=_count(usage.prompt_tokens or usage.input_tokens),
        output=_count(usage.completion_tokens or usage.output_tokens),
        cached=_count(inputs.cached_tokens or usage.cached_tokens or usage.prompt_cache_hit_tokens),
        cache_write=_count(inputs.cache_write_tokens),
        reasoning=_count(outputs.reasoning_tokens or usage.reasoning_tokens),
        audio_input=_count(inputs.audio_tokens),
        audio_output=_count(outputs.audio_tokens),
        image_input=_count(inputs.image_tokens),
        image_output=_count(outputs.image_tokens),
        units=_units(usage, cached),
    )
    if usage.completion_tokens is None and usage.output_tokens is None and not found.input:
        found.input = _count(usage.total_tokens)  # embeddings of some vendors
    _settle_total(found, _count(usage.total_tokens), semantics)
    found.impossible = impossible or not parts_fit(found)
    if semantics == "openrouter" and usage.cost is not None and 0 <= usage.cost <= LARGEST // PICO:
        found.cost_pico = round(usage.cost * PICO)
    return found


def _settle_total(found: Counts, total: int, semantics: str) -> None:
    """Find out what a total holds beyond both sides."""
    beyond = total - found.input - found.output
    if semantics == "xai" and found.reasoning and (not total or beyond >= found.reasoning):
        found.output += found.reasoning
        beyond -= found.reasoning
    elif beyond > 0 and (semantics == "google" or beyond == found.reasoning):
        found.output += beyond
        found.reasoning = max(found.reasoning, beyond)
        beyond = 0
    found.outside = max(0, beyond) if total else 0


def _units(usage: Usage, cached: CachedDetails) -> dict[str, int]:
    if not (usage.seconds or usage.num_search_queries or cached.audio_tokens or cached.image_tokens):
        return {}
    units = {
        "input_audio_ms": milliseconds(usage.seconds or 0) or 0,
        "cache_audio_read_tokens": _count(cached.audio_tokens),
        "cache_image_read_tokens": _count(cached.image_tokens),
        "web_searches": _count(usage.num_search_queries),
    }
    return {name: count for name, count in units.items() if count}


def _count(tokens: int | None) -> int:
    """Return a reported count; one that can't be is nothing: no answer may earn money, or cost all that there is."""
    return tokens if tokens and 0 < tokens <= MAX_COUNT else 0


def parts_fit(found: Any) -> bool:
    """Whether the parts of the input and of the output that have prices of their own are no more than each side."""
    return bool(
        found.cached + found.cache_write <= found.input
        and found.audio_input <= found.input
        and found.image_input <= found.input
        and found.audio_output <= found.output
        and found.image_output <= found.output
    )


def has_impossible(usage: Any) -> bool:
    """Whether a count of tokens in a usage object, or in its details, is less than nothing or beyond all bounds."""
    if isinstance(usage, list):
        return any(map(has_impossible, usage))
    if not isinstance(usage, dict):
        return False
    return any(has_impossible(value) or ("oken" in name and _is_impossible(value)) for name, value in usage.items())


def _is_impossible(value: Any) -> bool:
    if isinstance(value, str):
        return is_written_in_digits(value) and whole_number(value, MAX_COUNT) is None
    return isinstance(value, int | float) and not 0 <= value <= MAX_COUNT


def _usage_of(raw: bytes | msgspec.Raw) -> tuple[Usage | None, bool]:
    """Return a usage object, and whether a count in it can't be.

    A field that is not what it should be is left out, the others count; a number may be written as a string.
    """
    try:
        return _strict.decode(raw), False
    except (ValueError, RecursionError):
        pass
    try:
        decoded = _decode(raw)
    except (ValueError, RecursionError):
        return None, False
    return (_lenient(Usage, decoded), has_impossible(decoded)) if isinstance(decoded, dict) else (None, False)


def _lenient(kind: Any, values: Mapping[str, Any]) -> Any:
    """Return a struct of ``kind`` from the values that are numbers or objects as it has them."""
    kept: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        value = values.get(field.name)
        inner = next((each for each in getattr(field.type, "__args__", ()) if _is_struct(each)), None)
        if inner is not None and isinstance(value, dict):
            kept[field.name] = _lenient(inner, value)
        elif inner is None and (number := _number(value, whole=field.name not in FRACTIONS)) is not None:
            kept[field.name] = int(number) if field.name not in FRACTIONS else number
    return kind(**kept)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _number(value: Any, *, whole: bool) -> float | None:
    """Return a number, also one that digits write; ``None`` for anything else."""
    if isinstance(value, str):
        found = whole_number(value, MAX_COUNT) if whole else decimal_number(value)
        return None if found is None else float(found)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value
