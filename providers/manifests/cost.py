"""Prices in manifests: the contract's metrics, and our own for what they can't say, to and from a private price.

Units: the contract counts per thousand tokens or pages, per minute and per million characters; a private price per million
tokens, per hour, per thousand pages. All in US dollars, exact.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from providers.manifests.cursor import Cursor
from providers.pricing.private import private_price_fault

PUBLIC = "public_cost"
OWN = "per_unit"
THOUSAND = Decimal(1000)
ONE = Decimal(1)
SENSIBLE_DIGITS = 15
Fields = Mapping[str, tuple[str, Decimal]]
# metric -> field of its value ("": the value itself) -> private price that it sets, and by how much it is larger
METRICS: dict[str, Fields] = {
    "per_1000_tokens": {
        "input": ("input_mtok", THOUSAND),
        "output": ("output_mtok", THOUSAND),
        "cache_read": ("cache_read_mtok", THOUSAND),
        "cache_write": ("cache_write_mtok", THOUSAND),
    },
    "per_1000_embedding_tokens": {"": ("input_mtok", THOUSAND)},
    "per_million_characters": {"input": ("input_mchars", ONE)},
    "per_minute_of_audio": {"input": ("audio_minute", ONE)},
    "per_1000_pages": {
        "pages": ("input_document_kpages", ONE),
        "annotated_pages": ("input_annotated_document_kpages", ONE),
    },
}
REQUIRED = {"input", "output", "pages", ""}
TIERS = tuple(f"{field}_tiers" for field in METRICS["per_1000_tokens"])


def read_cost(cursor: Cursor) -> dict[str, Any] | None:
    """Return the private price that ``cost`` says, or ``None`` for the public one. Prices are decimal texts."""
    if not cursor.given or cursor.value is None:
        return None
    if not cursor.mapping(("metric", "value"), {}, {}):
        return None
    metric = cursor.get("metric").choice((PUBLIC, *METRICS, OWN))
    value = cursor.get("value")
    if metric in ("", PUBLIC):
        if value.given and metric:
            value.fault(f"{PUBLIC} takes no value.")
        return None
    before = len(cursor.reading.faults)
    price = _own(value) if metric == OWN else _contract(value, METRICS[metric])
    fault = private_price_fault(price)
    if fault and len(cursor.reading.faults) == before:
        value.fault(fault)
    return price


def write_cost(price: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``cost`` for a private price (``None``: public): a metric of the contract where it says the same exactly."""
    if price is None:
        return {"metric": PUBLIC}
    for metric, fields in METRICS.items():
        value = _expressed(price, fields)
        if value is not None:
            return {"metric": metric, "value": value}
    return {"metric": OWN, "value": dict(price)}


def same_price(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two private prices say the same: ``0.15``, ``"0.150"`` and ``0.15`` as a float do."""
    return _comparable(one) == _comparable(other)


def _own(value: Cursor) -> dict[str, Any]:
    if not isinstance(value.value, dict):
        value.fault('Write prices by unit, for example {input_mtok: "0.15", output_mtok: "0.60"}.')
        return {}
    return {str(name): _plain(price) for name, price in value.value.items()}


def _contract(value: Cursor, fields: Fields) -> dict[str, Any]:
    if "" in fields:
        return _priced(value, *fields[""])
    tiers = TIERS if "output" in fields else ()
    if not value.mapping((*fields, *tiers), {}, {}):
        return {}
    price: dict[str, Any] = {}
    for name, (unit, factor) in fields.items():
        cursor = value.get(name)
        if cursor.given and cursor.value is not None:
            price |= _priced(cursor, unit, factor)
        elif name in REQUIRED:
            cursor.fault("is missing.")
    for name in tiers:
        cursor = value.get(name)
        unit = fields[name.removesuffix("_tiers")][0]
        steps = [step for item in cursor.items() if (step := _tier(item))]
        if steps and unit not in price:
            cursor.fault(f"needs {name.removesuffix('_tiers')} beside it, the price below the first tier.")
        elif steps:
            price[unit] = {"base": price[unit], "tiers": steps}
    return price


def _tier(item: Cursor) -> dict[str, Any] | None:
    if not item.mapping(("from", "cost_per_token"), {}, {}):
        return None
    start, price = item.get("from").whole(), item.get("cost_per_token").number()
    if start is None or price is None:
        item.fault("Write {from: TOKENS, cost_per_token: PRICE}, the price per thousand tokens.")
        return None
    return {"start": start, "price": _text(price * THOUSAND)}


def _priced(cursor: Cursor, unit: str, factor: Decimal) -> dict[str, Any]:
    amount = cursor.number()
    if amount is None:
        if not cursor.given:
            cursor.fault("is missing.")
        return {}
    return {unit: _text(amount * factor)}


def _expressed(price: Mapping[str, Any], fields: Fields) -> Any:
    """Return the metric's value that says exactly ``price``, or ``None``."""
    left = _comparable(price)
    value: dict[str, Decimal] = {}
    for name, (unit, factor) in fields.items():
        amount = left.pop(unit, None)
        if amount is None and name not in REQUIRED:
            continue
        if not isinstance(amount, Decimal):
            return None
        value[name] = amount / factor
        if len(value[name].as_tuple().digits) > SENSIBLE_DIGITS:
            return None
    return None if left else value.get("", value)


def _comparable(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _comparable(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_comparable(entry) for entry in value]
    try:
        return Decimal(str(value))
    except ArithmeticError:
        return value


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it: numbers with a point as decimal texts."""
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return _text(value) if isinstance(value, Decimal) else value


def _text(amount: Decimal) -> str:
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
