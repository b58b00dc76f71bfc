"""Private prices: what an operator writes for a model, checked and made into a price sheet.

A private price is a JSON object of amounts in US dollars, as strings or numbers:

- every price key of genai-prices, named after its unit and how many of it the price is for: ``input_mtok``,
  ``output_mtok``, ``cache_read_mtok``, ``input_audio_mtok`` … (per million tokens), ``input_mchars`` (per million
  characters), ``audio_hours``, ``input_document_kpages`` (per thousand pages), ``web_searches_kcount`` (per thousand
  calls) …;
- ``audio_minute`` and ``request``, each per one;
- ``image`` and ``video_second``, per one, or a list by size and quality:
  ``[{"size": "1024x1024", "quality": "hd", "price": "0.08"}, {"price": "0.04"}]``.

A price per tokens may have tiers by the size of the whole call, in input tokens:
``{"base": "1.25", "tiers": [{"start": 200000, "price": "2.50"}]}`` holds 2.50 for calls of more than 200,000.

A price may change on a day: ``changes`` lists whole prices with the day (midnight in UTC) or the time in ISO 8601 from
which each holds; before the first one holds what stands beside the list:
``{"input_mtok": "2", "changes": [{"from": "2027-01-01", "input_mtok": "1.50"}]}``.
"""

import hashlib
import math
import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from fractions import Fraction
from typing import Any, Final

import msgspec

from providers.pricing.sheet import PriceSheet, Rate, compile_sheet, price_keys

OWN_KEYS: Final = {"audio_minute": ("audio_ms", 60_000), "request": ("requests", 1)}
VARIANT_KEYS: Final = {"image": "images", "video_second": "video_seconds"}
VERSION: Final = "private/"
"""How the version of a private price begins."""
COMMON_KEYS: Final = ("input_mtok", "output_mtok", "cache_read_mtok", "audio_minute", "image", "request")
CHANGES: Final = "changes"
FROM: Final = "from"
DAY_CHARACTERS: Final = 10
DECIMALS: Final = 18
HIGHEST: Final = Decimal(1_000_000)


def private_sheet(spec: Mapping[str, Any], at: float | None = None) -> PriceSheet:
    """Return the sheet of a private price as it is at ``at`` (unix seconds; default: now).

    Raises ``ValueError`` with the fault when it is not valid.
    """
    moment = time.time() if at is None else at
    return next(sheet for start, sheet in reversed(private_periods(spec)) if start <= moment)


def private_periods(spec: Mapping[str, Any]) -> list[tuple[float, PriceSheet]]:
    """Return a private price's sheets, each with when it begins in unix seconds, in order; the first has always held.

    Raises ``ValueError`` with the fault when it is not valid.
    """
    return [(start, _sheet(prices)) for start, prices in _periods(spec)]


def _sheet(prices: Mapping[str, Any]) -> PriceSheet:
    digest = hashlib.sha256(msgspec.json.encode(prices, order="deterministic")).hexdigest()
    return compile_sheet(f"{VERSION}{digest[:8]}", _rates(prices))


def private_price_fault(spec: object) -> str | None:
    """Say what is wrong with a private price, or ``None``."""
    try:
        for _, prices in _periods(spec):
            _rates(prices)
    except ValueError as error:
        return str(error)
    return None


def _periods(spec: object) -> list[tuple[float, Any]]:
    if not isinstance(spec, Mapping) or CHANGES not in spec:
        return [(-math.inf, spec)]
    periods: list[tuple[float, Any]] = [(-math.inf, _without(spec, CHANGES))]
    if not isinstance(spec[CHANGES], list):
        raise ValueError(f'{CHANGES}: give a list like [{{"{FROM}": "2027-01-01", "input_mtok": "1.50"}}].')
    for change in spec[CHANGES]:
        start = _moment(change.get(FROM) if isinstance(change, Mapping) else None)
        if start <= periods[-1][0]:
            raise ValueError(f"{CHANGES}: list each with a later {FROM!r} than the one before.")
        periods.append((start, _without(change, FROM)))
    return periods


def _without(prices: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in prices.items() if key != name}


def _moment(value: object) -> float:
    try:
        day = date.fromisoformat(str(value)) if len(str(value)) <= DAY_CHARACTERS else None
        moment = datetime.fromisoformat(str(value)) if day is None else datetime(day.year, day.month, day.day)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(
            f"{CHANGES}: {FROM!r} is a day like 2027-01-01 or a time like 2027-01-01T12:00:00Z, not {value!r}."
        ) from None


def _rates(spec: object) -> dict[str, Rate]:
    if not isinstance(spec, Mapping) or not spec:
        raise ValueError('Give prices in US dollars, for example {"input_mtok": "0.15", "output_mtok": "0.60"}.')
    keys = price_keys() | OWN_KEYS
    rates: dict[str, Rate] = {}
    for key, value in spec.items():
        if key in VARIANT_KEYS:
            found = _variants(key, value)
        elif key in keys:
            unit, per = keys[key]
            found = {unit: _rate(key, value, per)}
        else:
            raise ValueError(_unknown_key(str(key), [*keys, *VARIANT_KEYS]))
        twice = rates.keys() & found.keys()
        if twice:
            raise ValueError(f"{key}: the price of {min(twice)} is given twice.")
        rates |= found
    return rates


def _unknown_key(key: str, valid: list[str]) -> str:
    """Return what is said of a key that prices nothing: the nearest valid ones, else the usual ones."""
    plain = key.lower().replace("-", "_").replace("prompt", "input").replace("completion", "output")
    near = dict.fromkeys(
        match for text in (key, plain, plain.replace("_tokens", "_mtok")) for match in get_close_matches(text, valid, 3)
    )
    if near:
        return f"{key[:80]!r} is not a valid price. Did you mean {' or '.join(list(near)[:3])}?"
    units = "UNIT_mtok, UNIT_mchars, UNIT_kcount, UNIT_hours"
    common = f"Common ones: {', '.join(COMMON_KEYS)}; all are named after their unit: {units}."
    return f"{key[:80]!r} is not a valid price. {common}"


def _rate(key: str, value: object, per: int) -> Rate:
    if not isinstance(value, Mapping):
        return Rate(_amount(key, value) / per)
    if not key.endswith("_mtok"):
        raise ValueError(f"{key}: only prices per tokens may have tiers. Give a number.")
    if value.keys() != {"base", "tiers"} or not isinstance(value["tiers"], list):
        raise ValueError(f'{key}: write tiers as {{"base": PRICE, "tiers": [{{"start": TOKENS, "price": PRICE}}]}}.')
    tiers: list[tuple[int, Fraction]] = []
    for tier in value["tiers"]:
        if not isinstance(tier, Mapping) or tier.keys() != {"start", "price"}:
            raise ValueError(f'{key}: a tier is {{"start": TOKENS, "price": PRICE}}.')
        start = tier["start"]
        if isinstance(start, bool) or not isinstance(start, int) or start < 0:
            raise ValueError(f"{key}: {start!r} is not a number of tokens for a tier to start at.")
        if tiers and start <= tiers[-1][0]:
            raise ValueError(f"{key}: tiers have to start at rising numbers of tokens.")
        tiers.append((start, _amount(key, tier["price"]) / per))
    return Rate(_amount(key, value["base"]) / per, tuple(tiers))


def _variants(key: str, value: object) -> dict[str, Rate]:
    unit = VARIANT_KEYS[key]
    if not isinstance(value, list):
        return {unit: Rate(_amount(key, value))}
    rates: dict[str, Rate] = {}
    for entry in value:
        if not isinstance(entry, Mapping) or "price" not in entry or entry.keys() - {"size", "quality", "price"}:
            raise ValueError(f'{key}: an entry is {{"size": "1024x1024", "quality": "hd", "price": PRICE}}.')
        parts = [entry[name] for name in ("quality", "size") if name in entry]
        if not all(isinstance(part, str) and part and ":" not in part for part in parts):
            raise ValueError(f"{key}: size and quality are strings without a colon.")
        name = ":".join((unit, *parts))
        if name in rates:
            raise ValueError(f"{key}: the same size and quality are given twice.")
        rates[name] = Rate(_amount(key, entry["price"]))
    if not rates:
        raise ValueError(f"{key}: give at least one price.")
    return rates


def _amount(key: str, value: object) -> Fraction:
    try:
        amount = Decimal(str(value)) if isinstance(value, str | int | float | Decimal) else Decimal("NaN")
    except InvalidOperation:
        amount = Decimal("NaN")
    if isinstance(value, bool) or not amount.is_finite() or not 0 <= amount <= HIGHEST:
        raise ValueError(f"{key}: {value!r} is not a price. Give US dollars from 0 to {HIGHEST}.")
    if -int(amount.as_tuple().exponent) > DECIMALS:
        raise ValueError(f"{key}: {value!r} has more than {DECIMALS} decimals.")
    return Fraction(amount)
