"""The console's first page: what went through today, what it cost, what failed, and where to go on."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.contrib import admin
from django.core.cache import cache
from django.db.models import Count, Q, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.admin_base import Scope
from accounts.models import ApiToken
from providers.models import Model, ProviderAccount
from usage.models import PICO, UsageRecord
from usage.words import money

SHOWN_ACCOUNTS = 20
REMEMBERED_SECONDS = 30


@dataclass(slots=True)
class Day:
    """One account's day: attempts and their cost since midnight UTC, errors in the last 24 hours."""

    requests: int = 0
    cost_pico: int = 0
    unpriced: int = 0
    errors: int = 0


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the day's figures to the index page's context."""
    scope: Scope = admin.site.scope(request)  # type: ignore[attr-defined]
    days = _days(scope)
    ranked = sorted(days.items(), key=lambda item: (-item[1].requests, -item[1].errors, item[0]))
    total = Day(
        *(sum(getattr(day, name) for day in days.values()) for name in ("requests", "cost_pico", "unpriced", "errors"))
    )
    return {
        **context,
        "shows_usage": scope.everything or bool(scope.accounts),
        "cards": _cards(total),
        "rows": [_row(name, day) for name, day in ranked[:SHOWN_ACCOUNTS]],
        "hidden_rows": max(0, len(ranked) - SHOWN_ACCOUNTS),
        "steps": _first_steps() if scope.everything else [],
    }


def _days(scope: Scope) -> dict[str, Day]:
    """Return the day of every account in scope that had one. Two walks along indexes, remembered for half a minute."""
    names = None if scope.everything else sorted(scope.accounts.values())
    if names == []:
        return {}
    key = "console-overview-" + ("all" if names is None else sha256("\n".join(names).encode()).hexdigest())
    days: dict[str, Day] | None = cache.get(key)
    if days is None:
        days = _count(names, timezone.now())
        cache.set(key, days, REMEMBERED_SECONDS)
    return days


def _count(names: list[str] | None, now: datetime) -> dict[str, Day]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    records = UsageRecord.objects.all() if names is None else UsageRecord.objects.filter(account__in=names)
    days: dict[str, Day] = {}
    today = records.filter(created_at__gte=midnight).values("account")
    for row in today.annotate(n=Count("pk"), spent=Sum("cost_pico"), unpriced=Count("pk", filter=Q(cost_pico=None))):
        days[row["account"]] = Day(row["n"], int(row["spent"] or 0), row["unpriced"])
    failed = records.filter(~Q(error_class=""), created_at__gte=now - timedelta(hours=24)).values("account")
    for account, errors in failed.annotate(n=Count("pk")).values_list("account", "n"):
        days.setdefault(account, Day()).errors = errors
    return days


def _usage(**filters: str) -> str:
    return f"{reverse('admin:usage_usagerecord_changelist')}?{urlencode(filters)}"


def _cards(total: Day) -> list[dict[str, str]]:
    return [
        {"title": "Requests today", "value": f"{total.requests:,}", "link": _usage(period="24h")},
        {"title": "Cost today", "value": money(total.cost_pico * PICO), "link": _usage(period="24h", priced="yes")},
        {"title": "Unpriced today", "value": f"{total.unpriced:,}", "link": _usage(period="24h", priced="no")},
        {"title": "Errors, last 24 hours", "value": f"{total.errors:,}", "link": _usage(period="24h", ended="error")},
    ]


def _row(name: str, day: Day) -> dict[str, str]:
    return {
        "name": name or "(no account)",
        "link": _usage(period="24h", account=name),
        "requests": f"{day.requests:,}",
        "cost": money(day.cost_pico * PICO),
        "errors": f"{day.errors:,}" if day.errors else "",
        "errors_link": _usage(period="24h", account=name, ended="error"),
    }


def _first_steps() -> list[dict[str, Any]]:
    """Return what a new house still lacks, empty when it has everything that a first call needs."""
    steps = [
        {
            "text": "Add a provider account and its key",
            "link": reverse("admin:providers_provideraccount_add"),
            "done": ProviderAccount.objects.exists(),
        },
        {
            "text": "Choose its models",
            "link": reverse("admin:providers_provideraccount_changelist"),
            "done": Model.objects.exists(),
        },
        {
            "text": "Make an API token",
            "link": reverse("admin:accounts_apitoken_add"),
            "done": ApiToken.objects.filter(revoked_at=None).exists(),
        },
    ]
    return [] if all(step["done"] for step in steps) else steps
