"""What models cost: the public price list of genai-prices, and private prices. Nothing here opens a connection."""

import re
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction
from functools import cache, lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from providers.pricing.private import private_price_fault, private_sheet
from providers.pricing.sheet import PriceSheet, Rate, compile_sheet, price_keys
from providers.pricing.units import FREE, LISTED_AS, UNIT_PRICES
from providers.pricing.units import VERSION as UNIT_PRICES_VERSION

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot  # slow: brings pydantic
    from genai_prices.types import ModelInfo, ModelPrice, Provider  # as above

__all__ = ["PriceSheet", "private_price_fault", "private_sheet", "public_sheet"]

SNAPSHOT_DATE: Final = re.compile(r"-20\d\d-\d\d-\d\d$")
GROQ_LEAST_MS: Final = 10_000
"""Groq bills at least ten seconds of audio a request."""


def public_sheet(price_source: str, upstream_id: str, at: datetime | None = None) -> PriceSheet | None:
    """Return the public prices of ``upstream_id`` as they are at ``at`` (default: now), or ``None`` when unlisted.

    ``price_source`` is the provider's id in genai-prices. A dated snapshot that is not listed has its model's price; so
    has a fine-tuned model (``ft:…``) where the vendor publishes one for its base. The sheet's ``variants`` hold the
    vendor's other tiers: ``flex``, ``priority``, ``batch`` … The first call loads the list (0.2 s), later ones take
    about half a millisecond; :func:`providers.pricing.current.public_prices` holds what was made.
    """
    return sheet_and_end(price_source, upstream_id, at or datetime.now(UTC))[0]


def sheet_and_end(price_source: str, upstream_id: str, at: datetime) -> tuple[PriceSheet | None, float | None]:
    """Return the sheet of :func:`public_sheet` and when its prices change next, in unix seconds; ``None``: never."""
    if not price_source or not upstream_id:
        return None, None
    name = upstream_id.lower()
    if name.startswith(FREE.get(price_source, ())):
        return compile_sheet(_list_version(), {}, free=True), None
    units = UNIT_PRICES.get(price_source, {}).get(SNAPSHOT_DATE.sub("", name))
    if units:
        rates = {unit: Rate(Fraction(price)) for unit, price in units.items()}
        return compile_sheet(UNIT_PRICES_VERSION, rates), None
    found = _find(price_source, LISTED_AS.get(price_source, {}).get(name, upstream_id))
    if found is None:
        return None, None
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return _listed_sheet(*found, at), _next_change(found[1], at)


def _listed_sheet(provider: "Provider", model: "ModelInfo", at: datetime) -> PriceSheet | None:
    until = _next_change(model, at)
    least: dict[str, int] = {}
    if provider.id == "groq" and model.id in ("whisper-large-v3", "whisper-large-v3-turbo"):
        least = {"audio_ms": GROQ_LEAST_MS, "input_audio_ms": GROQ_LEAST_MS}

    def sheet(context: dict[str, str], variants: dict[str, PriceSheet]) -> PriceSheet | None:
        rates = _rates(model.get_prices(at, context))
        if not rates:
            return None
        return compile_sheet(_list_version(), rates, least=least, variants=variants, valid_until=until)

    variants: dict[str, PriceSheet] = {}
    # Another provider's model that is only sold here has this provider's standard price at every tier.
    if any(model is listed for listed in provider.models):
        for variant in model.price_variants or ():
            if len(variant.when) == 1 and (priced := sheet(variant.when, {})):
                variants.setdefault(next(iter(variant.when.values())), priced)
    return sheet({}, variants)


def _rates(price: "ModelPrice") -> dict[str, Rate]:
    from genai_prices.types import TieredPrices  # slow: brings pydantic

    known = price_keys()
    rates: dict[str, Rate] = {}
    for key, value in price.__dict__.items():
        if value is None or key not in known:
            continue
        name, per = known[key]
        if isinstance(value, TieredPrices):
            tiers = tuple((tier.start, Fraction(tier.price) / per) for tier in value.tiers)
            rates[name] = Rate(Fraction(value.base) / per, tiers)
        else:
            rates[name] = Rate(Fraction(value) / per)
    return rates


def _next_change(model: "ModelInfo", at: datetime) -> float | None:
    """Return when one of the model's prices begins or ends next, in unix seconds."""
    from genai_prices.types import ModelPrice, StartDateConstraint, TimeOfDateConstraint  # slow: brings pydantic

    priced = [] if isinstance(model.prices, ModelPrice) else model.prices
    moments: list[datetime] = []
    for constraint in (entry.constraint for entry in (*priced, *(model.price_variants or ()))):
        if isinstance(constraint, StartDateConstraint):
            moments.append(datetime.combine(constraint.start_date, time(), UTC))
        elif isinstance(constraint, TimeOfDateConstraint):
            for moment in (constraint.start_time, constraint.end_time):
                today = datetime.combine(at.date(), moment, moment.tzinfo or UTC).astimezone(UTC)
                moments += [today + timedelta(days=days) for days in (-1, 0, 1)]
    return min((moment.timestamp() for moment in moments if moment > at), default=None)


def _find(price_source: str, name: str) -> "tuple[Provider, ModelInfo] | None":
    for candidate in dict.fromkeys((name, SNAPSHOT_DATE.sub("", name))):
        try:
            return _bundled_list().find_provider_model(candidate, None, price_source, None)
        except LookupError:
            continue
    return None


@lru_cache(maxsize=8192)
def published_name(price_source: str, name: str) -> str:
    """Return ``name`` in lower case and without a snapshot's date, if the list has a model by just that name; else
    nothing.

    Unlike prices, which models with longer names than the list's may have, too.
    """
    base = SNAPSHOT_DATE.sub("", name.lower())
    if not price_source or base in UNIT_PRICES.get(price_source, {}):
        return base if price_source else ""
    found = _find(price_source, base)
    return base if found is not None and found[1].id.lower() == base else ""


@cache
def _bundled_list() -> "DataSnapshot":
    from genai_prices.data import providers  # slow: 1.5 MB of prices
    from genai_prices.data_snapshot import DataSnapshot  # slow: brings pydantic

    # A list of our own: the library's may be replaced by an update from the network, if anybody ever turned that on.
    return DataSnapshot(providers=providers, from_auto_update=False)


@cache
def _list_version() -> str:
    return f"genai-prices/{version('genai-prices')}"
