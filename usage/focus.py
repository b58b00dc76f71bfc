"""Usage as FOCUS has it, the FinOps Foundation's form of bills (version 1.2): a row for each hour, caller and model.

The rows are the sums by the hour (``usage.sums_table``), so they equal the ledger to the last digit. What is unpriced
has no cost: it is counted in ``x_UnpricedRequests``.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, NamedTuple

from django.db.models import Sum

from usage.models import UsageSum
from usage.rollups import SPLIT
from usage.sums_table import NEW, WHOLE

PICO: Final = Decimal("1e-12")
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
TOKENS: Final = ("input_tokens", "cached_tokens", "output_tokens")
GROUPED: Final = ("bucket", "account", "model", "subject_type", "subject_name", "teams")
SUMMED: Final = ("requests", "attempts", "unpriced", *TOKENS, "cost_high", "cost_low")


class Hour(NamedTuple):
    """What a row is made of: the values of :data:`GROUPED` and :data:`SUMMED`."""

    hour: datetime
    account: str
    model: str
    subject_type: str
    subject_name: str
    teams: str
    requests: int
    attempts: int
    unpriced: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost_high: int
    cost_low: int


def focus_rows(
    since: datetime | None, until: datetime | None, account: str = "", using: str = "default"
) -> Iterator[dict[str, str]]:
    """Yield the rows of the hours from ``since`` up to, without, ``until``, oldest first."""
    hours = UsageSum.objects.using(using).filter(part__in=(WHOLE.hours, NEW))
    if since is not None:
        hours = hours.filter(bucket__gte=since)
    if until is not None:
        hours = hours.filter(bucket__lt=until)
    if account:
        hours = hours.filter(account=account)
    summed = hours.values_list(*GROUPED).annotate(**{name: Sum(name) for name in SUMMED}).order_by(*GROUPED)
    for values in summed.iterator(2000):
        hour = Hour(*values)
        if hour.attempts:
            yield _row(hour)


def _row(hour: Hour) -> dict[str, str]:
    cost = f"{(hour.cost_high * SPLIT + hour.cost_low) * PICO:f}"
    month = hour.hour.replace(day=1, hour=0)
    following = (month + timedelta(days=32)).replace(day=1)
    provider = hour.account or "gatehouse"
    tags = {"subject": f"{hour.subject_type}:{hour.subject_name}", "teams": ",".join(json.loads(hour.teams))}
    values = {
        "BilledCost": cost,
        "BillingAccountId": provider,
        "BillingAccountName": provider,
        "BillingCurrency": "USD",
        "BillingPeriodStart": _iso(month),
        "BillingPeriodEnd": _iso(following),
        "ChargeCategory": "Usage",
        "ChargeDescription": f"Calls to {hour.model or hour.account}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": _iso(hour.hour),
        "ChargePeriodEnd": _iso(hour.hour + timedelta(hours=1)),
        "ConsumedQuantity": str(hour.input_tokens + hour.output_tokens),
        "ConsumedUnit": "Tokens",
        "ContractedCost": cost,
        "EffectiveCost": cost,
        "InvoiceIssuerName": provider,
        "ListCost": cost,
        "PricingCategory": "Standard",
        "ProviderName": provider,
        "PublisherName": provider,
        "ResourceId": hour.model,
        "ResourceName": hour.model,
        "ResourceType": "Model",
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": hour.account,
        "ServiceSubcategory": "Generative AI",
        "SkuId": hour.model,
        "SubAccountId": f"{hour.subject_type}:{hour.subject_name}",
        "SubAccountName": hour.subject_name,
        "Tags": json.dumps(tags, ensure_ascii=False),
        "x_Requests": str(hour.requests),
        "x_InputTokens": str(hour.input_tokens),
        "x_CachedTokens": str(hour.cached_tokens),
        "x_OutputTokens": str(hour.output_tokens),
        "x_UnpricedRequests": str(hour.unpriced),
    }
    return {name: values.get(name, "") for name in COLUMNS}


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")
