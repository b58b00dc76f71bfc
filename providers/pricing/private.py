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
"""

import hashlib
from collections.abc import Mapping
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
DECIMALS: Final = 18
HIGHEST: Final = Decimal(1_000_000)


def private_sheet(spec: Mapping[str, Any]) -> PriceSheet:
    """Return the sheet of a private price. Raises ``ValueError`` with the fault when it is not valid."""
    rates = _rates(spec)
    digest = hashlib.sha256(msgspec.json.encode(spec, order="deterministic")).hexdigest()
    return compile_sheet(f"{VERSION}{digest[:8]}", rates)


def private_price_fault(spec: object) -> str | None:
    """Say what is wrong with a private price, or ``None``."""
    try:
        _rates(spec)
    except ValueError as error:
        return str(error)
    return None


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
