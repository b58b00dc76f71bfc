"""What models cost: the public price list of genai-prices, and private prices. Nothing here opens a connection."""

from collections.abc import Mapping
from datetime import UTC, datetime
from fractions import Fraction
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from providers.price_sheet import SECONDS_UNITS, PriceSheet, Rate, compile_sheet
from providers.private_prices import private_price_fault, private_sheet

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider

__all__ = ["PriceSheet", "private_price_fault", "private_sheet", "public_sheet"]


def public_sheet(price_source: str, upstream_id: str, at: datetime | None = None) -> PriceSheet | None:
    """Return the public prices of ``upstream_id`` as they are at ``at`` (default: now), or ``None`` when unlisted.

    ``price_source`` is the provider's id in genai-prices. The first call loads the list (0.2 s), later ones cost about
    a tenth of a millisecond: make sheets beforehand, not within a call.
    """
    found = _find(price_source, upstream_id)
    if found is None:
        return None
    provider, model = found
    moment = at or datetime.now(UTC)
    own = any(model is listed for listed in provider.models)
    standard = _compile(model.get_prices(moment), provider, model, {})
    if standard is None:
        return None
    variants: dict[str, PriceSheet] = {}
    for variant in (model.price_variants or ()) if own else ():
        for name in variant.when.values():
            sheet = _compile(model.get_prices(moment, variant.when), provider, model, {})
            if sheet is not None and len(variant.when) == 1:
                variants.setdefault(name, sheet)
    return _compile(model.get_prices(moment), provider, model, variants)


def _compile(
    price: "ModelPrice", provider: "Provider", model: "ModelInfo", variants: Mapping[str, PriceSheet]
) -> PriceSheet | None:
    rates = _rates(price)
    free = not rates and "moderation" in model.id
    if not rates and not free:
        return None
    least = {}
    if provider.id == "groq" and model.id in ("whisper-large-v3", "whisper-large-v3-turbo"):
        least = {"audio_ms": 10_000, "input_audio_ms": 10_000}
    return compile_sheet(_list_version(), rates, free=free, least=least, variants=variants)


def _rates(price: "ModelPrice") -> dict[str, Rate]:
    from genai_prices.types import TieredPrices  # slow: brings pydantic
    from genai_prices.units import UnitRegistry

    registry: UnitRegistry = _registry()
    rates: dict[str, Rate] = {}
    for key, value in price.__dict__.items():
        if value is None:
            continue
        unit = registry.unit_for_price_key(key)
        name = SECONDS_UNITS.get(unit.usage_key, unit.usage_key)
        per = unit.per * (1000 if unit.usage_key in SECONDS_UNITS else 1)
        if isinstance(value, TieredPrices):
            tiers = tuple((tier.start, Fraction(tier.price) / per) for tier in value.tiers)
            rates[name] = Rate(Fraction(value.base) / per, tiers)
        else:
            rates[name] = Rate(Fraction(value) / per)
    return rates


@cache
def _registry() -> Any:
    from genai_prices.data_units import unit_data  # slow: brings pydantic
    from genai_prices.units import UnitRegistry

    return UnitRegistry(unit_data)


@cache
def _list_version() -> str:
    return f"genai-prices/{version('genai-prices')}"


def _find(price_source: str, upstream_id: str) -> "tuple[Provider, ModelInfo] | None":
    if not price_source or not upstream_id:
        return None
    from genai_prices.data_snapshot import _bundled_snapshot  # slow: 1.5 MB of prices

    try:
        return _bundled_snapshot().find_provider_model(upstream_id, None, price_source, None)
    except LookupError:
        return None
