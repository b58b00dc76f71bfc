"""Prices as they are now: the sheet of a model, compiled again when the public list has another price for it.

Some vendors' prices depend on the time of day, and listed prices begin and end on a day; both count in UTC. What a call
costs is decided when it ends, as DeepSeek does: "the pricing is determined by the timestamp of request completion".
"""

import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from providers.pricing.private import private_periods
from providers.pricing.public import sheet_and_end
from providers.pricing.sheet import PriceSheet
from providers.pricing.text import price_fields

Compiled = tuple[PriceSheet | None, float | None]


class Period(NamedTuple):
    """What holds from ``since`` until just before ``until``, both in unix seconds."""

    since: float
    until: float
    sheet: PriceSheet | None
    fields: Mapping[str, object] | None


class Prices:
    """What a model costs at any moment. Looking at it is cheap; a price that changed takes half a millisecond, once."""

    __slots__ = ("_compile", "_held")

    def __init__(self, compile_at: Callable[[float], Compiled]) -> None:
        """``compile_at`` returns the sheet at a moment and when it ends; moments are unix seconds, ``None`` means
        never."""
        self._compile = compile_at
        self._held = Period(math.inf, -math.inf, None, None)

    def at(self, moment: float) -> Period:
        """Return what holds at ``moment``. Threads share this object, so the period is read and replaced as a whole."""
        held = self._held
        if not held.since <= moment < held.until:
            sheet, until = self._compile(moment)
            held = Period(moment, math.inf if until is None else until, sheet, price_fields(sheet))
            self._held = held
        return held

    def now(self) -> Period:
        """Return what holds now."""
        return self.at(time.time())


def fixed_prices(sheet: PriceSheet | None) -> Prices:
    """Return prices that never change."""
    return Prices(lambda moment: (sheet, None))


def private_prices(spec: Mapping[str, Any]) -> Prices:
    """Return the prices of a private price. Raises ``ValueError`` with the fault when it is not valid."""
    periods = private_periods(spec)

    def compile_at(moment: float) -> Compiled:
        number = max(place for place, (start, _) in enumerate(periods) if start <= moment)
        return periods[number][1], (periods[number + 1][0] if number + 1 < len(periods) else None)

    return Prices(compile_at)


@lru_cache(maxsize=8192)
def public_prices(price_source: str, upstream_id: str) -> Prices:
    """Return the public prices of a model, shared by all who name it. Nothing is looked up before the first use."""
    return Prices(lambda moment: sheet_and_end(price_source, upstream_id, datetime.fromtimestamp(moment, UTC)))
