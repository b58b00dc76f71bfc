"""From usage to money: prices of attempts and of batch lines."""

from gateway.billing.usage import REPORTED
from providers.pricing.sheet import BASIS_POINTS, TOOLS
from providers.snapshot import Target
from usage.records import AttemptRecord

# Images are the work itself in these operations; elsewhere a tool makes them, beside the tokens.
IMAGE_OPERATIONS = frozenset({"image_generation", "image_edit", "image_variation"})
TOKEN_FIELDS = tuple(name for name in AttemptRecord.__struct_fields__ if name.endswith("_tokens"))
TOOLS_AND_IMAGES = TOOLS | {"images"}
BATCH_TIER = "batch"


def waive(record: AttemptRecord) -> None:
    """Take back what was read of a usage that is not this attempt's to pay."""
    for name in TOKEN_FIELDS:
        setattr(record, name, 0)
    record.units = {}
    record.cost_pico = 0


def billed_units(record: AttemptRecord) -> dict[str, int]:
    """Return the record's usage under the price sheet's unit names, zeros left out."""
    units = {
        "input_tokens": record.input_tokens,
        "output_tokens": record.output_tokens,
        "cache_read_tokens": record.cached_tokens,
        "cache_write_tokens": record.cache_write_tokens,
        "input_audio_tokens": record.audio_input_tokens,
        "output_audio_tokens": record.audio_output_tokens,
        "input_image_tokens": record.image_input_tokens,
        "output_image_tokens": record.image_output_tokens,
        **record.units,
    }
    return {name: count for name, count in units.items() if count}


def price_batch_line(record: AttemptRecord, target: Target) -> None:
    """Set the record's cost at batch prices: the list's own, or half the standard ones where OpenAI's list has none."""
    sheet = target.model.sheet
    listed = sheet is not None and BATCH_TIER in sheet.variants
    halved = not listed and target.account.vendor.price_source == "openai"
    price(record, target, tier=BATCH_TIER, factor=(1, 2) if halved else (1, 1))
    record.service_tier = BATCH_TIER


def price(record: AttemptRecord, target: Target, *, tier: str | None = None, factor: tuple[int, int] = (1, 1)) -> None:
    """Set the record's cost from its usage; it stays ``None`` (unpriced) when no price, or no usage, is known.

    ``tier`` overrides the service tier that the vendor reported, for example ``batch``; ``factor`` is a fraction to
    multiply by. What the vendor adds to its list prices for the account's region is in the cost.
    """
    if record.price_version == REPORTED:
        return
    sheet = target.model.sheet
    if sheet is None:
        return
    if record.service_tier or tier:
        sheet = sheet.tier(tier or record.service_tier)
    units = billed_units(record)
    if not units and not sheet.free:
        return  # the upstream did not report what it used: unknown is not free
    record.price_version = sheet.version
    surcharge = target.model.surcharge_bp
    if surcharge:
        record.price_version = f"{sheet.version} +{surcharge / 100:g}%"
        factor = factor[0] * (BASIS_POINTS + surcharge), factor[1] * BASIS_POINTS
    record.cost_pico = sheet.cost(units, target.account.discount_bp, factor)
    add_gaps(record, *sheet.gaps(units, TOOLS if record.operation in IMAGE_OPERATIONS else TOOLS_AND_IMAGES))


def add_gaps(record: AttemptRecord, *gaps: str) -> None:
    """Note what the record's cost leaves out or takes on trust."""
    record.price_gaps = ",".join(filter(None, (record.price_gaps, *gaps)))
