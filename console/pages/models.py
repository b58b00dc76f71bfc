"""The models that one may call or manages, by account, each with a drawer: how to use it, price, access, usage and
health.
"""

from collections import defaultdict
from datetime import date, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet, TextField, Value
from django.db.models.functions import Cast, Concat
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from accounts.scoped_admin import Scope
from console.pages.base import base_url, page
from console.pages.wizard import prices
from providers.access import principals_of, reach
from providers.bound_secrets import ENCRYPTED
from providers.models import Model, ProviderAccount
from providers.pricing.public import private_sheet, public_sheet
from providers.pricing.sheet import PriceSheet
from providers.pricing.text import sheet_text
from usage import spend as figures
from usage import words
from usage.models import UsageRecord

SHOWN = 120
HEALTH_CALLS = 500
TEXT = Concat(
    *("account__name", Value("/"), "name", Value(" "), "upstream_id", Value(" ")),
    *(Cast("model_types", TextField()), Value(" "), Cast("features", TextField())),
    output_field=TextField(),
)
"""What a search looks into."""


def models(request: HttpRequest) -> HttpResponse:
    """Show the list: names that hold every word of ``q``, and of one account with ``account``."""
    asked = request.GET.get("q", "").strip().lower()[:200]
    account = request.GET.get("account", "").strip()
    found = seen(request, asked, account)
    shown, count = list(found[:SHOWN]), found.count()
    calls = _calls({model.public_name for model in shown})
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for model in shown:
        groups[model.account.name].append(_row(model, calls.get(model.public_name)))
    context = {
        "groups": dict(groups),
        "count": count,
        "hidden": count - len(shown),
        "q": asked,
        "manages": admin.site.scope(request).manages,  # type: ignore[attr-defined]
        "may_edit": not admin.site.scope(request).audits,  # type: ignore[attr-defined]
        "may_add": admin.site.get_model_admin(ProviderAccount).has_add_permission(request),
        "is_fullwidth": True,
    }
    return page(request, "console/models.html", "Models", context)


def drawer(request: HttpRequest, name: str) -> HttpResponse:
    """Show one model: alone, or as a part of the list's page when its script asks."""
    account, _, own_name = name.partition("/")
    model = seen(request, account=account).filter(name=own_name).first()
    if model is None:
        raise Http404
    scope: Scope = admin.site.scope(request)  # type: ignore[attr-defined]
    manages = scope.sees_all or model.account_id in scope.accounts
    now = timezone.now()
    calls = figures.narrowed(figures.ALL, Q(model=name), "model")
    if not manages:
        own = Q(subject_type="user", subject_name=scope.user_name)
        calls = figures.narrowed(calls, own, "subject_type", "subject_name")
    total = figures.totals(figures.last(168, now), calls)
    context = {
        "model": model,
        "row": _row(model, None),
        "types": " ".join(model.model_types),
        "price": sheet_text(_sheet(model)),
        "base_url": base_url(request),
        "access": _access(model) if manages else [],
        "manages": manages,
        "may_edit": manages and not scope.audits,
        "total": total,
        "cost": words.short_money(total.cost),
        "exact": words.money(total.cost),
        "health": _health(name) if manages else None,
        "requests_link": f"{reverse('admin:usage_usagerecord_changelist')}?model_asked={name}",
    }
    if request.headers.get("x-requested-with") == "fetch":
        return render(request, "console/model_parts.html", context)
    return page(request, "console/model.html", name, context)


def seen(request: HttpRequest, asked: str = "", account: str = "") -> "QuerySet[Model]":
    """Return the models that the person may call, and those of the accounts they manage, disabled ones among them.

    Those that hold every word of ``asked`` in names, types or capabilities, and of one ``account``.
    """
    scope: Scope = admin.site.scope(request)  # type: ignore[attr-defined]
    person: Any = request.user
    found = Model.objects.select_related("account").defer(*(f"account__{name}" for name in ENCRYPTED))
    if not scope.sees_all:
        own = [model.pk for entry in reach(principals_of(person)) for model in entry.models]
        found = found.filter(Q(pk__in=own) | Q(account__in=scope.accounts))
    if account:
        found = found.filter(account__name=account)
    for word in asked.split():
        found = found.annotate(text=TEXT).filter(text__icontains=word)
    return found.order_by("account__name", "name")


def _calls(names: set[str]) -> dict[str, tuple[int, int]]:
    """Return attempts and failed ones (not refused ones) of the last seven days by model."""
    chosen = figures.narrowed(figures.ALL, Q(model__in=names), "model")
    found = figures.sums_by(figures.last(168, timezone.now()), "model", chosen)
    return {name: (sums.attempts, sums.errors - sums.refused) for name, sums in found.items()}


def _row(model: Model, calls: tuple[int, int] | None) -> dict[str, Any]:
    attempts, failed = calls or (0, 0)
    return {
        "name": model.public_name,
        "types": ", ".join(model.model_types).replace("_", " "),
        "features": ", ".join(model.features).replace("_", " "),
        "context": context_text(model.context_window),
        "calls": f"{attempts:,}" if attempts else "",
        **prices(_sheet(model)),
        **_status(model, attempts, failed),
    }


def context_text(tokens: int | None) -> str:
    """Return a context window as people say it: ``128K``, ``1M``; empty when it is unknown."""
    if not tokens:
        return ""
    return f"{tokens / 1_000_000:.3g}M" if tokens >= 1_000_000 else f"{tokens / 1000:.0f}K"


def _status(model: Model, attempts: int, failed: int) -> dict[str, str]:
    if not model.enabled or not model.account.enabled:
        return {"status": "disabled", "colour": "wait"}
    end = model.deprecated_on
    if end and end <= date.today():
        return {"status": f"retired {end}", "colour": "bad"}
    if attempts >= 5 and failed * 2 > attempts:
        return {"status": f"failing: {failed * 100 // attempts} %", "colour": "bad"}
    if end:
        return {"status": f"retires {end}", "colour": "warn"}
    if _sheet(model) is None:
        return {"status": "unpriced", "colour": "warn"}
    return {"status": "healthy" if attempts else "no calls yet", "colour": "good" if attempts else "wait"}


def _sheet(model: Model) -> PriceSheet | None:
    if model.price_source == Model.PriceSource.PRIVATE:
        try:
            return private_sheet(model.private_price)
        except ValueError:
            return None
    return public_sheet(model.account.vendor.price_source, model.upstream_id)


def _access(model: Model) -> list[str]:
    """Return who may call the model and through what, a sentence each."""
    subjects = {
        subject.key: str(subject) for subject in model.subjects.select_related("user", "team", "virtual_account")
    }
    grants = model.account.grants.select_related("user", "team", "virtual_account")
    said = []
    for grant in grants:
        reaches = not subjects or grant.key in subjects or grant.role == "manager"
        said.append(
            f"{grant}: {grant.role} of the account" + ("" if reaches else ", but the model is narrowed to others")
        )
    if subjects:
        said.append(f"Narrowed to {', '.join(subjects.values())}, among those who may use the account.")
    return said or ["No one but superusers."]


def _health(name: str) -> dict[str, Any]:
    """Return the last hour's calls: how many, how many failed, and how long they took; over the newest 500 at most."""
    recent = UsageRecord.objects.filter(model_asked=name, created_at__gte=timezone.now() - timedelta(hours=1))
    rows = list(
        recent.order_by("-created_at").values_list("error_class", "status", "latency_us", "ttft_us")[:HEALTH_CALLS]
    )
    latencies = sorted(latency for error, _, latency, _ in rows if not error)
    failed = sum(bool(error) and not 400 <= status < 500 for error, status, _, _ in rows)
    return {
        "calls": len(rows),
        "failed": failed,
        "p50": words.duration(percentile(latencies, 50)),
        "p95": words.duration(percentile(latencies, 95)),
    }


def percentile(ordered: list[int], percent: int) -> int | None:
    """Return the value that ``percent`` of the ordered values do not exceed; ``None`` without values."""
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else None
