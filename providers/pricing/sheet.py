"""A price sheet: what one model costs per unit, as exact integers, and the sum that a call makes of it.

Units are counted in whole numbers under these names:

- the usage keys of genai-prices for tokens, characters, pages, tool calls: ``input_tokens``, ``output_tokens``,
  ``cache_read_tokens``, ``cache_write_tokens``, ``input_audio_tokens``, ``output_reasoning_tokens``,
  ``input_characters``, ``input_document_pages``, ``web_searches``, ``storage_searches`` (file search),
  ``code_executions`` …; a general unit includes its special ones, as in the vendors' answers: ``input_tokens`` holds
  cached, audio and image tokens too;
- ``audio_ms``, ``input_audio_ms``, ``output_audio_ms``: durations in milliseconds, inclusive in the same way;
- ``images`` and ``video_seconds``, with variants behind colons in any order: ``images:hd:1024x1792`` falls back to
  ``images:hd``, ``images:1024x1792`` and ``images``;
- ``requests``, which counts one when it is priced and not given.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from itertools import combinations
from math import lcm
from typing import Final

ATTO: Final = 10**18
PICO_IN_ATTO: Final = 10**6
BASIS_POINTS: Final = 10_000

Dimensions = frozenset[tuple[str, str]]

OWN_UNITS: Final[dict[str, Dimensions]] = {
    "audio_ms": frozenset({("family", "durations"), ("modality", "audio")}),
    "input_audio_ms": frozenset({("family", "durations"), ("modality", "audio"), ("direction", "input")}),
    "output_audio_ms": frozenset({("family", "durations"), ("modality", "audio"), ("direction", "output")}),
    "images": frozenset({("family", "images")}),
    "video_seconds": frozenset({("family", "video")}),
}
"""Units that genai-prices counts otherwise (seconds, which come in fractions) or not at all."""

TOOLS: Final = frozenset({"tool_calls"})
"""Families of units that vendors bill beside whatever else a call used."""

VARIANT_UNITS: Final = frozenset({"images", "video_seconds"})

SECONDS_UNITS: Final = {
    "audio_seconds": "audio_ms",
    "input_audio_seconds": "input_audio_ms",
    "output_audio_seconds": "output_audio_ms",
}


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of one unit in US dollars, and the prices that hold from a size of the whole call on.

    A tier ``(start, price)`` holds for all units of a call with more than ``start`` input tokens.
    """

    base: Fraction
    tiers: tuple[tuple[int, Fraction], ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """A compiled rate, in attodollars times the sheet's ``scale``.

    ``below`` are the rows of more special units, whose counts are part of this one's; ``inside`` are all such units,
    priced or not.
    """

    unit: str
    below: tuple[int, ...]
    inside: frozenset[str]
    base: int
    tiers: tuple[tuple[int, int], ...]
    count_if_missing: int
    least: int


@dataclass(frozen=True, slots=True)
class PriceSheet:
    """What one model costs. ``version`` says where the prices come from; ``variants`` are sheets by service tier.

    ``valid_until`` (unix seconds, or ``None``) is when a price of the list changes next; the sheet is not right from
    then on.
    """

    version: str
    rows: tuple[Row, ...]
    scale: int
    covered: frozenset[str]
    free: bool = False
    by_variant: Mapping[str, int] = field(default_factory=dict)
    variants: Mapping[str, "PriceSheet"] = field(default_factory=dict)
    valid_until: float | None = None
    rates: Mapping[str, Rate] = field(default_factory=dict)

    def tier(self, name: str | None) -> "PriceSheet":
        """Return the sheet for a service tier (``flex``, ``priority``, ``batch`` …); this one when it has none."""
        return self.variants.get(name, self) if name else self

    def cost(self, units: Mapping[str, int], discount_bp: int = 0, factor: tuple[int, int] = (1, 1)) -> int | None:
        """Return the cost of ``units`` in pico-dollars (1e-12 USD), rounded half to even once, at the end.

        ``discount_bp`` is a discount in basis points, ``factor`` a fraction to multiply by. ``None`` means unpriced:
        units were used and none of them has a price. What contradicts itself is billed as far as it is known, and
        nothing here raises for what an upstream reports: parts that exceed their whole are billed as parts, a whole
        that is missing counts as much as its largest part.
        """
        if self.free:
            return 0
        total = 0
        known = False
        counts: list[int] = []
        size = units.get("input_tokens", 0)
        for row in self.rows:
            count = units.get(row.unit) or row.count_if_missing
            if not count and not row.inside.isdisjoint(units):
                count = max(units[unit] for unit in row.inside if unit in units)
            if count > 0:
                known = True
                count = max(count, row.least)
                for index in row.below:
                    count -= counts[index]
            if count > 0:
                rate = row.base
                for start, price in row.tiers:
                    if size > start:
                        rate = price
                        break
                total += count * rate
            else:
                count = 0
            counts.append(count)
        if self.by_variant:
            priced, extra = self._variant_cost(units)
            known, total = known or priced, total + extra
        if not known and any(units.values()):
            return None
        dividend = total * (BASIS_POINTS - discount_bp) * factor[0]
        divisor = self.scale * PICO_IN_ATTO * BASIS_POINTS * factor[1]
        whole, rest = divmod(dividend, divisor)
        return whole + (rest * 2 > divisor or (rest * 2 == divisor and whole % 2 == 1))

    def gaps(self, units: Mapping[str, int], apart: Set[str] = TOOLS) -> tuple[str, ...]:
        """Return the used units that add to the bill but have no price here, sorted; empty when all is known.

        A unit without a price is a gap in the families that are billed ``apart``, and tokens of a direction are one
        when others have a price. Another measure of the same work (images beside image tokens, seconds beside tokens)
        is not.
        """
        if self.free or units.keys() <= self.covered:
            return ()
        dimensions = unit_dimensions()
        families = {family_of(dimensions, unit) for unit in self.rates}
        return tuple(
            sorted(
                unit
                for unit, count in units.items()
                if count
                and unit not in self.covered
                and self._variant_rate(unit) is None
                and (family := family_of(dimensions, unit))
                and (family in apart or family in families)
            )
        )

    def _variant_rate(self, unit: str) -> int | None:
        name, *parts = unit.split(":")
        for length in range(len(parts), -1, -1):
            for chosen in combinations(parts, length):
                rate = self.by_variant.get(variant(name, *chosen))
                if rate is not None:
                    return rate
        return None

    def _variant_cost(self, units: Mapping[str, int]) -> tuple[bool, int]:
        known, total = False, 0
        for unit, count in units.items():
            if count and unit not in self.covered:
                rate = self._variant_rate(unit)
                if rate is not None:
                    known, total = True, total + count * rate
        return known, total


def compile_sheet(
    version: str,
    rates: Mapping[str, Rate],
    *,
    free: bool = False,
    least: Mapping[str, int] | None = None,
    variants: Mapping[str, PriceSheet] | None = None,
    valid_until: float | None = None,
) -> PriceSheet:
    """Return the sheet for ``rates`` by unit. ``least`` is the smallest count billed of a unit that is used at all."""
    dimensions = unit_dimensions()
    given, rates = rates, _with_overlaps(rates, dimensions)
    prices = [price for rate in rates.values() for price in (rate.base, *(tier for _, tier in rate.tiers))]
    scale = lcm(1, *((price * ATTO).denominator for price in prices))

    def scaled(price: Fraction) -> int:
        return int(price * ATTO * scale)

    plain = sorted((unit for unit in rates if unit in dimensions), key=lambda unit: (-len(dimensions[unit]), unit))
    rows = tuple(
        Row(
            unit=unit,
            below=tuple(i for i, other in enumerate(plain[:index]) if dimensions[unit] < dimensions[other]),
            inside=frozenset(other for other, have in dimensions.items() if dimensions[unit] < have),
            base=scaled(rates[unit].base),
            tiers=tuple((start, scaled(price)) for start, price in sorted(rates[unit].tiers, reverse=True)),
            count_if_missing=int(unit == "requests"),
            least=(least or {}).get(unit, 0),
        )
        for index, unit in enumerate(plain)
    )
    return PriceSheet(
        version=version,
        rows=rows,
        scale=scale,
        covered=frozenset(u for u, have in dimensions.items() if any(dimensions[p] <= have for p in plain)),
        free=free,
        by_variant={
            variant(*unit.split(":")): scaled(rate.base)
            for unit, rate in rates.items()
            if unit.split(":")[0] in VARIANT_UNITS
        },
        variants=dict(variants or {}),
        valid_until=valid_until,
        rates=dict(given),
    )


def _with_overlaps(rates: Mapping[str, Rate], dimensions: Mapping[str, Dimensions]) -> dict[str, Rate]:
    """Return ``rates`` with one for every unit that two of them share, lest it be billed twice: the higher of the two.

    Cached audio tokens, for example, are both cached and audio tokens. The public list always prices them; a private
    price may not.
    """
    complete = dict(rates)
    pending = [unit for unit in complete if unit in dimensions]
    while pending:
        one = pending.pop()
        for other in [unit for unit in complete if unit in dimensions]:
            for unit in _shared(dimensions, one, other):
                if unit not in complete:
                    complete[unit] = max(complete[one], complete[other], key=lambda rate: rate.base)
                    pending.append(unit)
    return complete


def _shared(dimensions: Mapping[str, Dimensions], one: str, other: str) -> list[str]:
    both = dimensions[one] | dimensions[other]
    if len(dict(both)) < len(both):  # they contradict each other: nothing is both input and output
        return []
    return [unit for unit, have in dimensions.items() if have == both]


def variant(unit: str, *variants: str) -> str:
    """Return the name of a unit with its variants (size, quality), whatever their order."""
    return ":".join((unit, *sorted(variants)))


@cache
def price_keys() -> dict[str, tuple[str, int]]:
    """Return, for every price key of genai-prices, the unit it prices and how many of it the price is for."""
    from genai_prices.data_units import unit_data  # slow: brings pydantic

    keys: dict[str, tuple[str, int]] = {}
    for usage_key, unit in unit_data.items():
        milliseconds = SECONDS_UNITS.get(usage_key)
        per = unit["per"] * 1000 if milliseconds else unit["per"]
        keys[unit.get("price_key", usage_key)] = (milliseconds or usage_key, per)
    return keys


@cache
def unit_dimensions() -> dict[str, Dimensions]:
    """Return the dimensions of every unit; a unit includes those whose dimensions contain its own."""
    from genai_prices.data_units import unit_data  # slow: brings pydantic

    known = {name: frozenset(unit["dimensions"].items()) for name, unit in unit_data.items()}
    for name in SECONDS_UNITS:
        known.pop(name, None)
    return known | OWN_UNITS


def family_of(dimensions: Mapping[str, Dimensions], unit: str) -> str:
    """Return the family of ``unit`` (``tokens``, ``tool_calls``, ``images`` …), empty when the unit is unknown."""
    return dict(dimensions.get(unit.split(":", 1)[0], frozenset())).get("family", "")
