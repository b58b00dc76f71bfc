"""The console's first page: what is left to set up, then what went through, what it cost, what failed and what needs
attention.
"""

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiToken
from accounts.scoped_admin import Scope
from accounts.words import counted
from console.pages.attention import attention, records_of
from console.pages.spend import Asked, cards, chart
from gateway.management.demo_traffic import TOKEN_NAME
from providers.access import principals_of, reach
from providers.models import Grant, Model, ProviderAccount
from usage import spend as figures
from usage import words
from usage.durations import durations
from usage.links import request_link
from usage.models import UsageRecord, UsageTime

SHOWN = 6
LATEST_ERRORS = 6


def overview(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add what the index page shows to its context."""
    scope: Scope = admin.site.scope(request)  # type: ignore[attr-defined]
    steps = checklist(request, scope)
    asked = Asked(request, SHOWN)
    return {
        **context,
        "steps": steps,
        "set_up": all(step["done"] for step in steps),
        "manages": scope.manages,
        "calls": not scope.audits,
        "asked": asked,
        "cards": [
            *cards(asked.total, asked.table.before),
            *_durations(asked),
        ],
        "chart": chart(asked),
        "top": [_top(row, asked) for row in asked.table.rows],
        "errors": _errors(scope),
        "attention": list(attention(scope)),
        "sandbox": _sandbox(),
        "is_fullwidth": True,
    }


def checklist(request: HttpRequest, scope: Scope) -> list[dict[str, Any]]:
    """Return the steps to a first call, and which are done. People who manage nothing have their own two,
    auditors none."""
    if scope.audits:
        return []
    called = UsageRecord.objects.filter(records_of(scope)).exists()
    mine = ApiToken.objects.filter(user=scope.user_id, revoked_at=None).exists()
    first = {"text": "Make a first call", "link": reverse("admin:playground"), "done": called}
    if not scope.sees_all:
        person: Any = request.user
        able = any(entry.models or entry.account.any_model for entry in reach(principals_of(person)))
        return [
            {"text": "Be given access to a model", "link": reverse("admin:models"), "done": able},
            {"text": "Make a token", "link": reverse("admin:token_new"), "done": mine or called},
            first,
        ]
    wizard = reverse("admin:wizard")
    grants = reverse("admin:providers_grant_changelist")
    return [
        {"text": "Add a provider account and its key", "link": wizard, "done": ProviderAccount.objects.exists()},
        {"text": "Choose its models", "link": wizard, "done": Model.objects.exists() or _passes_on_any()},
        {"text": "Give someone access", "link": grants, "done": Grant.objects.exists()},
        {
            "text": "Make a token",
            "link": reverse("admin:token_new"),
            "done": ApiToken.objects.filter(revoked_at=None).exists(),
        },
        first,
    ]


def steps(request: HttpRequest) -> HttpResponse:
    """Return which steps are done, for the page that waits for the next one: ``{"done": [true, …]}``."""
    scope: Scope = admin.site.scope(request)  # type: ignore[attr-defined]
    return JsonResponse({"done": [step["done"] for step in checklist(request, scope)]})


def _sandbox() -> dict[str, bool]:
    """Return nothing but in a demo on its sandbox: there, whether made-up callers are among the ``callers``."""
    if not ProviderAccount.objects.filter(name="openai-main", base_url__startswith="http://127.0.0.1").exists():
        return {}
    return {"callers": ApiToken.objects.filter(name=TOKEN_NAME).exists()}


def _passes_on_any() -> bool:
    return ProviderAccount.objects.filter(any_model=True).exists()


def _durations(asked: Asked) -> list[dict[str, str]]:
    """Return the 95th percentiles of the answered calls."""
    latency = durations(asked.span, asked.parts, UsageTime.LATENCY)
    first = durations(asked.span, asked.parts, UsageTime.FIRST_TOKEN)
    return [
        {
            "title": "Latency, p95",
            "value": words.duration(latency.percentile(95)),
            "change": f"over {counted(latency.calls, 'answered call')}",
        },
        {
            "title": "First token, p95",
            "value": words.duration(first.percentile(95)),
            "change": f"over {counted(first.calls, 'stream')}",
        },
    ]


def _top(row: figures.Row, asked: Asked) -> dict[str, str]:
    whole = asked.total.cost_pico
    return {
        "name": row.name,
        "cost": words.short_money(row.totals.cost),
        "exact": words.money(row.totals.cost),
        "share": f"{row.totals.cost_pico / whole * 100:.0f} %" if whole else "",
        "requests": f"{row.totals.requests:,}",
    }


def _errors(scope: Scope) -> list[dict[str, Any]]:
    """Return the newest attempts that went wrong within a day."""
    since = timezone.now() - timedelta(days=1)
    rows = UsageRecord.objects.filter(records_of(scope) & ~Q(error_class=""), created_at__gte=since).order_by(
        "-created_at"
    )
    columns = ("request_id", "created_at", "model_asked", "subject_name", "status", "error_class")
    return [
        {
            "at": row.created_at,
            "model": row.model_asked or "(no model)",
            "who": row.subject_name,
            "what": f"{row.status or ''} {row.error_class.replace('_', ' ')}".strip(),
            "link": request_link(row),
        }
        for row in rows.only(*columns)[:LATEST_ERRORS]
    ]
