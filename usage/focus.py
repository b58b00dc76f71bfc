"""Usage as FOCUS has it, the FinOps Foundation's form of bills (version 1.2): a row for each hour, caller and model.

The rows are summed from the records, or from the sums that outlive them, so they equal the ledger to the last digit.
What is unpriced has no cost: it is counted in ``x_UnpricedRequests``.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from django.db.models import Sum
from django.db.models.functions import TruncDay

from usage.folding import DAY, sealed_until
from usage.models import UsageSum
from usage.recounting import hours_between
from usage.rollups import SPLIT
from usage.sums_table import NEW, SUMS, WHOLE

PICO: Final = Decimal("1e-12")
HOUR: Final = timedelta(hours=1)
COLUMNS: Final = (
    "BilledCost",
    "BillingAccountId",
    "BillingAccountName",
    "BillingCurrency",
    "BillingPeriodEnd",
    "BillingPeriodStart",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodEnd",
    "ChargePeriodStart",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "PricingCategory",
    "ProviderName",
    "PublisherName",
    "ResourceId",
    "ResourceName",
    "ResourceType",
    "ServiceCategory",
    "ServiceName",
    "ServiceSubcategory",
    "SkuId",
    "SubAccountId",
    "SubAccountName",
    "Tags",
    "x_Requests",
    "x_InputTokens",
    "x_CachedTokens",
    "x_OutputTokens",
    "x_UnpricedRequests",
)
GROUPED: Final = ("bucket", "account", "model", "subject_type", "subject_name", "teams")


class Charge(NamedTuple):
    """What a row is made of: when it began, how long it is, of what it is, and its sums by their names."""

    begun: datetime
    account: str
    model: str
    subject_type: str
    subject_name: str
    teams: str
    sums: dict[str, int]
    period: timedelta


def focus_rows(
    since: datetime | None, until: datetime | None, account: str = "", using: str = "default"
) -> Iterator[dict[str, str]]:
    """Yield the rows of the time from ``since`` up to, without, ``until``, oldest first.

    A row is of an hour; of days whose records are deleted, of a day, from the sums that stay.
    """
    sealed = sealed_until(using)
    if sealed is not None and (since is None or since < sealed):
        for charge in _days(since, min(until or sealed, sealed), using):
            if not account or charge.account == account:
                yield _row(charge)
        since = sealed
    for key, total in hours_between(since, until, using):
        charge = Charge._make([*key, dict(zip(SUMS, total, strict=True)), HOUR])
        if charge.sums["attempts"] and (not account or charge.account == account):
            yield _row(charge)


def _days(since: datetime | None, until: datetime, using: str) -> Iterator[Charge]:
    days = UsageSum.objects.using(using).filter(part__in=(WHOLE.days, NEW), bucket__lt=until)
    days = days.filter(bucket__gte=since) if since is not None else days
    by_day = days.annotate(day=TruncDay("bucket", tzinfo=UTC)).values_list("day", *GROUPED[1:])
    summed = by_day.annotate(**{f"sum_{name}": Sum(name) for name in SUMS}).order_by("day", *GROUPED[1:])
    for values in summed.iterator(2000):
        key, total = values[: len(GROUPED)], map(int, values[len(GROUPED) :])
        yield Charge._make([*key, dict(zip(SUMS, total, strict=True)), DAY])


def _row(charge: Charge) -> dict[str, str]:
    sums = charge.sums
    cost = f"{(sums['cost_high'] * SPLIT + sums['cost_low']) * PICO:f}"
    month = charge.begun.replace(day=1, hour=0)
    following = (month + timedelta(days=32)).replace(day=1)
    provider = charge.account or "gatehouse"
    tags = {"subject": f"{charge.subject_type}:{charge.subject_name}", "teams": ",".join(json.loads(charge.teams))}
    values = {
        "BilledCost": cost,
        "BillingAccountId": provider,
        "BillingAccountName": provider,
        "BillingCurrency": "USD",
        "BillingPeriodStart": _iso(month),
        "BillingPeriodEnd": _iso(following),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"Calls to {charge.model or charge.account}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _iso(charge.begun),
        "ChargePeriodEnd": _iso(charge.begun + charge.period),
        "ConsumedQuantity": str(sums["input_tokens"] + sums["output_tokens"]),
        "ConsumedUnit": "Tokens",
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceIssuerName": provider,
        "ListCost": cost,
        "PricingCategory": "Standard",
        "ProviderName": provider,
        "PublisherName": provider,
        "ResourceId": charge.model,
        "ResourceName": charge.model,
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": charge.account,
        "ServiceSubcategory": "Generative AI",
        "SkuId": charge.model,
        "SubAccountId": f"{charge.subject_type}:{charge.subject_name}",
        "SubAccountName": charge.subject_name,
        "Tags": json.dumps(tags, ensure_ascii=False),
        "x_Requests": str(sums["requests"]),
        "x_InputTokens": str(sums["input_tokens"]),
        "x_CachedTokens": str(sums["cached_tokens"]),
        "x_OutputTokens": str(sums["output_tokens"]),
        "x_UnpricedRequests": str(sums["unpriced"]),
    }
    return {name: values.get(name, "") for name in COLUMNS}


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
