"""Prices in words, for pages and answers: US dollars per million tokens, or per whatever the vendor counts."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction

from providers.pricing.sheet import PriceSheet

MILLION = 1_000_000
# Unit, how it is named on a page, and how many of it the shown price is for.
SHOWN_UNITS = (
    ("input_tokens", "input", MILLION),
    ("cache_read_tokens", "cached", MILLION),
    ("output_tokens", "output", MILLION),
    ("input_audio_tokens", "audio input", MILLION),
    ("output_audio_tokens", "audio output", MILLION),
    ("audio_ms", "a minute of audio", 60_000),
    ("input_audio_ms", "a minute of audio", 60_000),
    ("input_characters", "a million characters", MILLION),
    ("input_document_pages", "a thousand pages", 1000),
    ("images", "an image", 1),
    ("requests", "a request", 1),
)


def dollars(amount: Fraction) -> str:
    """Return ``amount`` as people write prices: ``$0.15``, ``$2.50``, ``$0.0375``; to six significant digits."""
    if amount and amount < Fraction(1, 100):
        text = f"{float(amount):.6g}" if amount >= Fraction(1, 10_000) else f"{float(amount):.6f}"
    else:
        text = f"{float(amount):.6f}"
    whole, _, rest = text.partition(".")
    return f"${whole}.{rest.rstrip('0').ljust(2, '0')}"


def sheet_text(sheet: PriceSheet | None) -> str:
    """Return the main prices of a sheet in one line; ``unpriced`` without one."""
    if sheet is None:
        return "unpriced"
    if sheet.free:
        return "free"
    # Two units may be the same to people: audio in, and audio in either direction.
    parts = dict.fromkeys(
        f"{dollars(sheet.rates[unit].base * per)} {name}" for unit, name, per in SHOWN_UNITS if unit in sheet.rates
    )
    return " · ".join(parts) or "priced by other units"


def price_fields(sheet: PriceSheet | None) -> Mapping[str, object] | None:
    """Return what callers see of a price: decimal strings of US dollars, per million tokens or characters, per minute
    of audio, else per unit. ``None`` without a price."""
    if sheet is None:
        return None
    shown = {}
    for unit, rate in sheet.rates.items():
        name, count = unit, 1
        if unit.endswith(("_tokens", "_characters")):
            name, count = f"{unit}_per_million", MILLION
        elif unit.endswith("_ms"):
            name, count = f"{unit.removesuffix('_ms')}_per_minute", 60_000
        shown[name] = f"{Decimal(rate.base.numerator * count) / rate.base.denominator:f}"
    return {"currency": "USD", **shown}
