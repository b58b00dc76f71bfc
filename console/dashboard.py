"""The console's first page: what went through today, what it cost, what failed, and where to go on."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from django.contrib import admin
from django.core.cache import cache
from django.db.models import Count, Q, Sum, Value
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.models import ApiToken
from accounts.scoped_admin import Scope
from providers.models import Model, ProviderAccount
from usage.filters import midnight
from usage.models import PICO, UsageRecord
from usage.words import money

SHOWN_ACCOUNTS = 20
REMEMBERED_SECONDS = 15
# A count that takes a second is remembered for twenty more, so it never takes more than a twentieth of the time.
REMEMBERED_TIMES = 20


@dataclass(slots=True)
class Day:
    """One account's day: attempts and their cost since midnight UTC, errors in the last 24 hours."""

    requests: int = 0
    cost_pico: int = 0
    unpriced: int = 0
    errors: int = 0


@dataclass(slots=True)
class Figures:
    """The days of the accounts by name, as they were at ``as_of``."""

    as_of: datetime
    days: dict[str, Day]


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the day's figures to the index page's context."""
    scope: Scope = admin.site.scope(request)  # type: ignore[attr-defined]
    figures = _figures(scope)
    days = figures.days
    ranked = sorted(days.items(), key=lambda item: (-item[1].requests, -item[1].errors, item[0]))
    total = Day(
        *(sum(getattr(day, name) for day in days.values()) for name in ("requests", "cost_pico", "unpriced", "errors"))
    )
    return {
        **context,
        "shows_usage": scope.everything or bool(scope.accounts),
        "as_of": figures.as_of,
        "cards": _cards(total),
        "rows": [_row(name, day) for name, day in ranked[:SHOWN_ACCOUNTS]],
        "hidden_rows": max(0, len(ranked) - SHOWN_ACCOUNTS),
        "steps": _first_steps() if scope.everything else [],
    }


def _figures(scope: Scope) -> Figures:
    """Return the day of every account in scope that had one, remembered so that counting stays a small load."""
    names = None if scope.everything else sorted(scope.accounts.values())
    key = "console-overview-" + ("all" if names is None else sha256("\n".join(names).encode()).hexdigest())
    figures: Figures | None = cache.get(key)
    if figures is None:
        started = time.monotonic()
        figures = count(names, timezone.now())
        cache.set(key, figures, REMEMBERED_SECONDS + REMEMBERED_TIMES * (time.monotonic() - started))
    return figures


def count(names: list[str] | None, now: datetime) -> Figures:
    """Count the day of the accounts ``names``, of all with ``None``: a walk along an index of time for each question."""
    # An expression instead of the column: grouping by the column would walk the index by account, with all of the past.
    account = Coalesce("account", Value(""))
    records = UsageRecord.objects.annotate(name=account)
    today = records.filter(created_at__gte=midnight(now))
    failed = records.filter(~Q(error_class=""), created_at__gte=now - timedelta(hours=24))
    if names is not None:
        today, failed = today.filter(account__in=names), failed.filter(name__in=names)
    days: dict[str, Day] = {}
    sums = {"n": Count("pk"), "spent": Sum("cost_pico"), "unpriced": Count("pk", filter=Q(cost_pico=None))}
    for name, requests, spent, unpriced in today.values("name").annotate(**sums).values_list("name", *sums):
        days[name] = Day(requests, int(spent or 0), unpriced)
    for name, errors in failed.values("name").annotate(n=Count("pk")).values_list("name", "n"):
        days.setdefault(name, Day()).errors = errors
    return Figures(now, days)


def _usage(**filters: str) -> str:
    return f"{reverse('admin:usage_usagerecord_changelist')}?{urlencode(filters)}"


def _cards(total: Day) -> list[dict[str, str]]:
    return [
        {"title": "Requests today", "value": f"{total.requests:,}", "link": _usage(period="today")},
        {"title": "Cost today", "value": money(total.cost_pico * PICO), "link": _usage(period="today", priced="yes")},
        {"title": "Unpriced today", "value": f"{total.unpriced:,}", "link": _usage(period="today", priced="no")},
        {"title": "Errors, last 24 hours", "value": f"{total.errors:,}", "link": _usage(period="24h", ended="error")},
    ]


def _row(name: str, day: Day) -> dict[str, str]:
    return {
        "name": name or "(no account)",
        "link": _usage(period="today", account=name),
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
