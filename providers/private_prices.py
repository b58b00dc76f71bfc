"""Private prices: what an operator writes for a model, checked and made into a price sheet."""

import hashlib
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

import msgspec

from providers.price_sheet import SECONDS_UNITS, PriceSheet, Rate, compile_sheet


def private_sheet(spec: Mapping[str, Any]) -> PriceSheet:
    """Return the sheet of a private price. Raises ``ValueError`` with the fault when it is no valid one."""
    rates = _rates(spec)
    digest = hashlib.sha256(msgspec.json.encode(spec, order="deterministic")).hexdigest()
    return compile_sheet(f"private/{digest[:8]}", rates)


def private_price_fault(spec: object) -> str | None:
    """Say what is wrong with a private price, or ``None``."""
    if not isinstance(spec, Mapping):
        return "Give a JSON object of prices."
    try:
        _rates(spec)
    except ValueError as error:
        return str(error)
    return None


def _rates(spec: Mapping[str, Any]) -> dict[str, Rate]:
    from genai_prices.data_units import unit_data  # slow: brings pydantic

    by_price_key = {unit.get("price_key", name): (name, unit["per"]) for name, unit in unit_data.items()}
    rates: dict[str, Rate] = {}
    for key, value in spec.items():
        if key not in by_price_key:
            raise ValueError(f"{key!r} is no known price. Known are: {', '.join(sorted(by_price_key))}.")
        name, per = by_price_key[key]
        if name in SECONDS_UNITS:
            name, per = SECONDS_UNITS[name], per * 1000
        rates[name] = Rate(_price(key, value) / per)
    return rates


def _price(key: str, value: object) -> Fraction:
    try:
        price = Decimal(str(value))
    except InvalidOperation:
        price = Decimal("NaN")
    if isinstance(value, bool) or not price.is_finite() or price < 0:
        raise ValueError(f"{key}: {value!r} is no price. Give a number of US dollars of zero or more.")
    return Fraction(price)
