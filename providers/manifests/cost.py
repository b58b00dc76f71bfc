"""Prices in manifests: the contract's metrics, and our own for what they can't say, to and from a private price.

Units: the contract counts per thousand tokens or pages, per minute and per million characters; a private price per
million tokens, per hour, per thousand pages. All in US dollars, exact.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache, partial, reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final

import msgspec
from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, create_model

from providers.manifests import values
from providers.manifests.values import AS_LIST, Number, RequiredNumber, wrong
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


def write_cost(price: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return ``cost`` for a private price (``None``: public): a metric of the contract where it says the same
    exactly."""
    if price is None:
        return {"metric": PUBLIC}
    for metric, fields in METRICS.items():
        value = _expressed(price, fields)
        if value is not None:
            return {"metric": metric, "value": value}
    return {"metric": OWN, "value": dict(price)}


def same_price(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two private prices say the same: ``0.15``, ``"0.150"`` and ``0.15`` as a float do."""
    return one == other or _comparable(one) == _comparable(other)


def _metric(value: Any) -> str | None:
    metric = value.get("metric") if isinstance(value, dict) else None
    return metric if metric is None else str(metric)


def _mapping(value: Any) -> Any:
    if not isinstance(value, dict):
        raise wrong("Write fields with values here.")
    return value


def _no_value(value: Any) -> None:
    raise wrong(f"{PUBLIC} takes no value.")


def _own(value: Any) -> dict[str, Any]:
    """Return the private price that ``per_unit`` says."""
    if not isinstance(value, dict):
        raise wrong('Write prices by unit, for example {input_mtok: "0.15", output_mtok: "0.60"}.')
    return _valid({str(name): _plain(price) for name, price in value.items()})


def _contract(fields: Fields, value: Any) -> dict[str, Any]:
    """Return the private price that a metric of the contract says."""
    price: dict[str, Any] = {}
    for name, (unit, factor) in fields.items():
        amount = getattr(value, name) if name else value
        if amount is not None:
            price[unit] = _text(amount * factor)
        steps = getattr(value, f"{name}_tiers", None)
        if steps and amount is None:
            raise wrong(f"{name}_tiers needs {name} beside it, the price below the first tier.")
        if steps:
            tiers = [{"start": step.start, "price": _text(step.cost_per_token * THOUSAND)} for step in steps]
            price[unit] = {"base": price[unit], "tiers": tiers}
    fault = _fault_of(msgspec.json.encode(price))
    if fault:
        raise wrong(fault)
    return price


@lru_cache(maxsize=4096)
def _fault_of(price: bytes) -> str | None:
    """Say what is wrong with a private price, as JSON: many models have the same."""
    return private_price_fault(msgspec.json.decode(price))


def _valid(price: dict[str, Any]) -> dict[str, Any]:
    fault = private_price_fault(price)
    if fault:
        raise wrong(fault)
    return price


class Tier(values.Fields):
    """A price per thousand tokens, for calls of more input tokens than ``from``."""

    start: Annotated[RequiredNumber, AfterValidator(values.whole)] = Field(
        alias="from", default=None, validate_default=True
    )
    cost_per_token: RequiredNumber


class _Cost(values.Fields):
    """``cost`` of one metric, which is its ``tag``; ``value`` becomes the private price, ``None`` for the public
    one."""

    tag: ClassVar[str] = PUBLIC
    metric: Any
    value: Annotated[Any, BeforeValidator(_no_value)] = None


def _cost_model(metric: str, kind: Any) -> type[_Cost]:
    field = Field(default=None, validate_default=True)
    made = create_model(f"cost {metric}", __base__=_Cost, value=(kind, field))
    made.tag = metric
    return made


def _metric_model(metric: str, fields: Fields) -> type[_Cost]:
    kind: Any = RequiredNumber
    if "" not in fields:
        parts: dict[str, Any] = {name: RequiredNumber if name in REQUIRED else (Number | None, None) for name in fields}
        if "output" in fields:
            parts |= {name: (Annotated[list[Tier], AS_LIST], []) for name in TIERS}
        kind = create_model(f"value of {metric}", __base__=values.Fields, **parts)
    return _cost_model(metric, Annotated[kind, AfterValidator(partial(_contract, fields))])


COSTS: Final[dict[str, type[_Cost]]] = {
    PUBLIC: _Cost,
    **{metric: _metric_model(metric, fields) for metric, fields in METRICS.items()},
    OWN: _cost_model(OWN, Annotated[Any, BeforeValidator(_own)]),
}
"""The models of ``cost`` by metric."""

if TYPE_CHECKING:
    Cost = dict[str, Any] | None
else:
    _tagged = [Annotated[model, Tag(metric)] for metric, model in COSTS.items()]
    Cost = Annotated[
        reduce(or_, _tagged),
        Discriminator(_metric),
        BeforeValidator(_mapping),
        AfterValidator(lambda cost: cost.value),
    ]
"""The type of ``cost``: it becomes the private price, with decimal strings, or ``None`` for the public one."""


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
    """Return a value as JSON holds it: numbers with a point as decimal strings."""
    if isinstance(value, dict):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return _text(value) if isinstance(value, Decimal) else value


def _text(amount: Decimal) -> str:
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
