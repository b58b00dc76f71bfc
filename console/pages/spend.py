"""Spend and traffic: over time, stacked by what one chooses, with a table of the largest.

Range and filters are in the address.
"""

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.scoped_admin import Scope
from accounts.words import counted
from console.pages.base import page
from usage import spend as figures
from usage import words
from usage.exports import FORMULA_SIGNS
from usage.folding import snapshot
from usage.rollups import midnight

RANGES = {
    "1h": ("1 hour", 1),
    "24h": ("24 hours", 24),
    "7d": ("7 days", 168),
    "30d": ("30 days", 720),
    "90d": ("90 days", 2160),
}
METRICS = {"cost_pico": "Spend", "requests": "Requests", "tokens": "Tokens", "errors": "Errors"}
FILTERS = {"account": "account", "model": "model", "who": "subject_name"}
SHOWN = 9
MOST_DAYS = 400
MOST_ACCOUNTS = 200


def narrowed_to(scope: Scope) -> figures.Parts:
    """Return what the person may see: what the accounts did that they manage, and their own calls on others."""
    if scope.sees_all:
        return figures.ALL
    own = figures.narrowed(
        figures.ALL, Q(subject_type="user", subject_name=scope.user_name), "subject_type", "subject_name"
    )
    names = list(scope.accounts.values())
    if not names:
        return own
    managed = Q(account__in=names)
    return (*figures.narrowed(figures.ALL, managed, "account"), *figures.narrowed(own, ~managed, "account"))


def spend(request: HttpRequest) -> HttpResponse:
    """Show the page."""
    asked = Asked(request, SHOWN)
    context = {
        "asked": asked,
        "cards": cards(asked.total, asked.table.before),
        "rows": [_row(row, asked) for row in asked.table.rows],
        "hidden": asked.table.hidden,
        "chart": chart(asked),
        "is_fullwidth": True,
    }
    return page(request, "console/spend.html", "Spend", context)


def export(request: HttpRequest) -> HttpResponse:
    """Answer what the page shows as CSV: a line for each row and step, and all rows, not only the largest."""
    asked = Asked(request)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(
        ["from", asked.group, "requests", "attempts", "errors", "input_tokens", "output_tokens", "unpriced", "cost_usd"]
    )
    for row in asked.table.rows:
        name = f"'{row.name}" if row.name.startswith(FORMULA_SIGNS) else row.name
        for step, one in sorted(row.steps.items()):
            amounts = (one.requests, one.attempts, one.errors, one.input_tokens, one.output_tokens, one.unpriced)
            writer.writerow([step.isoformat(), name, *amounts, f"{one.cost:f}"])
    headers = {"Content-Disposition": 'attachment; filename="spend.csv"', "Cache-Control": "no-store"}
    return HttpResponse(out.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


class Asked:
    """What the address asks for: span, group, metric and filters, bounded by what the person may see, and its table:
    all rows, or the ``most`` largest.
    """

    def __init__(self, request: HttpRequest, most: int | None = None) -> None:
        query = request.GET
        scope: Scope = admin.site.scope(request)  # type: ignore[attr-defined]
        self.groups = [*figures.GROUPS, *(f"{figures.METADATA}{key}" for key in settings.USAGE_METADATA_KEYS)]
        self.group = query.get("by", "") if query.get("by", "") in self.groups else "model"
        self.metric = query.get("metric", "") if query.get("metric", "") in METRICS else "cost_pico"
        self.by = "cost_pico" if self.metric == "cost_pico" else self.metric
        self.filters = {name: query.get(name, "").strip()[:400] for name in FILTERS if query.get(name, "").strip()}
        self.range, self.span = _span(
            query.get("range", ""), query.get("from", ""), query.get("to", ""), timezone.now()
        )
        self.own = {"from": query.get("from", ""), "to": query.get("to", "")} if self.range == "own" else {}
        mine = narrowed_to(scope)
        columns = {FILTERS[name]: value for name, value in self.filters.items()}
        self.parts = figures.narrowed(mine, Q(**columns), *columns)
        with snapshot():
            self.table = figures.table(self.span, self.group, self.parts, most, self.by)
            self.accounts = sorted(figures.sums_by(self.span, "account", mine))[:MOST_ACCOUNTS]
        self.total = self.table.total

    def link(self, **changes: str) -> str:
        """Return this page's query with some parameters changed; empty ones are left out."""
        query = {"range": self.range, "by": self.group, "metric": self.metric, **self.filters, **self.own, **changes}
        return "?" + urlencode({name: value for name, value in query.items() if value})

    @property
    def range_links(self) -> list[dict[str, Any]]:
        return [
            {"title": title, "link": self.link(range=key, **{"from": "", "to": ""}), "current": key == self.range}
            for key, (title, _) in RANGES.items()
        ]

    @property
    def group_links(self) -> list[dict[str, Any]]:
        return [
            {
                "title": key.removeprefix(figures.METADATA) if key not in figures.GROUPS else key.capitalize(),
                "link": self.link(by=key),
                "current": key == self.group,
            }
            for key in self.groups
        ]

    @property
    def metric_links(self) -> list[dict[str, Any]]:
        return [
            {"title": title, "link": self.link(metric=key), "current": key == self.metric}
            for key, title in METRICS.items()
        ]

    @property
    def chips(self) -> list[dict[str, str]]:
        return [{"text": f"{name}: {value}", "link": self.link(**{name: ""})} for name, value in self.filters.items()]

    @property
    def export_link(self) -> str:
        return f"{reverse('admin:spend_export')}{self.link()}"

    @property
    def requests_link(self) -> str:
        """Where the records behind these sums are."""
        names = {"account": "account", "model": "model_asked", "who": "subject_name"}
        moments = {
            "created_at_from_0": f"{self.span.start:%Y-%m-%d}",
            "created_at_from_1": f"{self.span.start:%H:%M:%S}",
        }
        query = {**{names[name]: value for name, value in self.filters.items()}, **moments, "lines": "shown"}
        return f"{reverse('admin:usage_usagerecord_changelist')}?{urlencode(query)}"


def _span(name: str, start: str, end: str, now: datetime) -> tuple[str, figures.Span]:
    """Return the range's name and its span: a known one, or whole days from ``start`` to ``end`` in UTC."""
    if name not in RANGES and start:
        try:
            first = datetime.fromisoformat(start).replace(tzinfo=UTC)
            last = datetime.fromisoformat(end).replace(tzinfo=UTC) if end else now
        except ValueError:
            first = last = now
        first, last = midnight(first), midnight(last) + timedelta(days=1)
        if timedelta() < last - first <= timedelta(days=MOST_DAYS):
            return "own", figures.Span(first, last)
    name = name if name in RANGES else "7d"
    return name, figures.last(RANGES[name][1], now)


def cards(total: figures.Totals, before: figures.Totals) -> list[dict[str, str]]:
    """Return the figures at the top, each with its change since the span before."""
    rate = _share(total.errors, total.attempts)
    return [
        {
            "title": "Spend",
            "value": words.short_money(total.cost),
            "exact": words.money(total.cost),
            "change": change(total.cost_pico, before.cost_pico),
        },
        {"title": "Requests", "value": f"{total.requests:,}", "change": change(total.requests, before.requests)},
        {
            "title": "Tokens",
            "value": short_count(total.tokens),
            "exact": f"{total.tokens:,}",
            "change": change(total.tokens, before.tokens),
        },
        {
            "title": "Errors",
            "value": f"{rate:.1f} %",
            "exact": f"{total.errors:,} of {counted(total.attempts, 'attempt')}",
            "change": f"{total.refused:,} refused, {total.errors - total.refused:,} failed",
        },
        {
            "title": "Unpriced",
            "value": f"{total.unpriced:,}",
            "exact": f"{total.partly_priced:,} more with a part unpriced",
            "change": "attempts without a price",
        },
    ]


def change(now: int, before: int) -> str:
    """Return how a figure changed: ``+12 %``; ``new`` when there was none before."""
    if not before:
        return "nothing before" if now else "as before"
    return f"{(now - before) / before * 100:+,.0f} % against the span before"


def short_count(count: int) -> str:
    """Return a count as people read it: ``812``, ``13.4K``, ``2.1M``."""
    for size, sign in ((1_000_000_000, "B"), (1_000_000, "M"), (1000, "K")):
        if count >= size * 10 or (count >= size and sign != "K"):
            return f"{count / size:,.1f}{sign}"
    return f"{count:,}"


def _share(part: int, whole: int) -> float:
    return part / whole * 100 if whole else 0.0


def _row(row: figures.Row, asked: Asked) -> dict[str, Any]:
    one = row.totals
    narrows = {"model": "model", "account": "account", "user": "who", "application": "who"}
    link = (
        asked.link(**{narrows[asked.group]: row.name})
        if asked.group in narrows and row.name not in (figures.OTHER, figures.NONE)
        else ""
    )
    return {
        "name": row.name,
        "link": link,
        "cost": words.short_money(one.cost),
        "exact": words.money(one.cost),
        "share": f"{_share(one.cost_pico, asked.total.cost_pico):.1f} %",
        "change": change(one.cost_pico, row.before.cost_pico).split(" against")[0],
        "requests": f"{one.requests:,}",
        "errors": f"{_share(one.errors, one.attempts):.1f} %" if one.errors else "0",
        "input": f"{one.input_tokens:,}",
        "output": f"{one.output_tokens:,}",
        "unpriced": f"{one.unpriced:,}" if one.unpriced else "",
    }


def chart(asked: Asked) -> dict[str, Any]:
    """Return what the page's script draws: steps as ISO times, and a list of values for each row."""
    steps = asked.span.steps()
    money = asked.metric == "cost_pico"
    return {
        "byDay": asked.span.by_day,
        "money": money,
        "label": METRICS[asked.metric],
        "steps": [step.isoformat() for step in steps],
        "rows": [
            {"name": row.name, "values": [_value(row, step, asked.metric, money) for step in steps]}
            for row in asked.table.rows
        ],
    }


def _value(row: figures.Row, step: datetime, metric: str, money: bool) -> float | int:
    one = row.steps.get(step)
    amount: int = getattr(one, metric) if one else 0
    return amount / 1e12 if money else amount
