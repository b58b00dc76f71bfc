"""A request: its timeline, attempts, tokens, cost and decision; and the newest requests as they come."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode

from accounts.models import ApiToken, User, VirtualAccount
from console.pages.base import page
from console.pages.timeline import ending_of, target_of, timeline
from providers.models import Model
from rules.models import Budget, RateLimit
from rules.shape import BUDGET_UNITS
from usage import id_times, words
from usage.admin import UsageAdmin
from usage.change_list import NEWER, OLDER
from usage.decisions import limit_rows, other_lines
from usage.filters import NAMES, leaves_lines_out
from usage.models import UsageRecord
from usage.ratings import earlier_costs

MOST_ATTEMPTS = 50
KINDS = {
    "input_tokens": "Input",
    "cached_tokens": "cached",
    "cache_write_tokens": "written to cache",
    "audio_input_tokens": "audio in",
    "image_input_tokens": "images in",
    "output_tokens": "Output",
    "reasoning_tokens": "reasoning",
    "audio_output_tokens": "audio out",
    "image_output_tokens": "images out",
}
"""Kinds of tokens in the order of the table. Small ones are parts of the input or the output."""
SEEN = "X-Seen"
"""The header in which the page says which state of the list it shows."""


def detail(request: HttpRequest, request_id: str) -> HttpResponse:
    """Show one request: alone, or as a part of the list's page when its script asks."""
    usage = _usage(request)
    found = id_times.since(usage.get_queryset(request).filter(request_id=request_id), request_id)
    records = list(found.order_by("attempt_number", "created_at", "id")[:MOST_ATTEMPTS])
    if not records:
        raise Http404
    last, kinds, earlier = records[-1], _kinds(records), earlier_costs(records)
    costs = [record.cost for record in records if record.cost is not None]
    total = sum(costs[1:], costs[0]) if costs else None
    context = {
        "request_id": request_id,
        "first": records[0],
        "last": last,
        "ending": ending_of(last),
        "colour": "good" if not last.error_class else "warn" if 400 <= last.status < 500 else "bad",
        "error": last.error_message,
        "timeline": timeline(records),
        "hidden": max(record.attempt_number for record in records) > len(records),
        "kinds": kinds,
        "rows": [_row(record, kinds) | {"earlier": earlier.get(record.pk, [])} for record in records],
        "cost": words.short_money(total),
        "exact": words.money(total),
        "limits": _limits(request, last.decision),
        "decided": list(other_lines(last.decision)),
        "bodies": usage.bodies(request, records[0]),
        "metadata": sorted(last.metadata.items()),
        "ids": _ids(records),
        **_links(request, records[0]),
    }
    if request.headers.get("x-requested-with") == "fetch":
        return render(request, "console/request_parts.html", {**context, "is_part": True})
    return page(request, "console/request.html", "Request", context)


def _usage(request: HttpRequest) -> UsageAdmin:
    usage: Any = admin.site.get_model_admin(UsageRecord)
    if not usage.has_view_permission(request):
        raise PermissionDenied
    found: UsageAdmin = usage
    return found


def _kinds(records: list[UsageRecord]) -> list[tuple[str, str]]:
    """Return the kinds of tokens, by column and title, that any of the records has; always input and output."""
    always = ("input_tokens", "output_tokens")
    return [
        (column, title)
        for column, title in KINDS.items()
        if column in always or any(getattr(record, column) for record in records)
    ]


def _row(record: UsageRecord, kinds: list[tuple[str, str]]) -> dict[str, Any]:
    gaps = f"no price for {record.price_gaps}" if record.price_gaps else ""
    source = [record.price_version, record.service_tier, "estimated" if record.estimated else "", gaps]
    return {
        "number": record.attempt_number or "–",
        "target": target_of(record) or record.model_asked or "(no model)",
        "ending": ending_of(record),
        "tokens": [f"{getattr(record, column):,}" for column, _ in kinds],
        "cost": words.short_money(record.cost),
        "exact": words.money(record.cost),
        "source": ", ".join(part for part in source if part),
        "units": ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in sorted(record.units.items())),
        "link": reverse("admin:usage_usagerecord_change", args=[record.pk]),
    }


def _ids(records: list[UsageRecord]) -> list[tuple[str, str]]:
    """Return the ids by which others know the request, under the names of the headers that carry them."""
    first, last = records[0], records[-1]
    upstream = ", ".join(record.upstream_request_id for record in records if record.upstream_request_id)
    found = [
        ("x-request-id", first.request_id),
        ("x-request-id of the provider", upstream),
        ("traceparent", first.trace_id),
        ("id of the answer", last.object_id),
        ("batch", first.batch_key),
        ("line of the batch", first.batch_line),
    ]
    return [(name, value) for name, value in found if value]


def _links(request: HttpRequest, record: UsageRecord) -> dict[str, str]:
    """Return where more of the same is: requests of the caller, the token and the model, and their own pages."""
    requests = reverse("admin:usage_usagerecord_changelist")
    who = {"subject_name": record.subject_name}
    owner: type[User | VirtualAccount] = User if record.subject_type == "user" else VirtualAccount
    return {
        "who_requests": f"{requests}?{urlencode(who)}",
        "token_requests": f"{requests}?{urlencode(who | {'token': record.token_prefix})}",
        "model_requests": f"{requests}?{urlencode({'model_asked': record.model_asked})}",
        "who_page": _page_of(request, owner, record.subject_id),
        "token_page": _page_of(request, ApiToken, record.token_id),
        "model_page": _model_page(record),
    }


def _page_of(request: HttpRequest, model: Any, pk: int) -> str:
    """Return the address of a row's page; empty where the person may not see it, or it is gone."""
    model_admin: Any = admin.site.get_model_admin(model)
    if not model_admin.has_view_permission(request) or not model_admin.get_queryset(request).filter(pk=pk).exists():
        return ""
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[pk])


def _model_page(record: UsageRecord) -> str:
    account, _, name = record.model_asked.partition("/")
    there = Model.objects.filter(account__name=account, name=name).exists()
    return reverse("admin:model_drawer", args=[record.model_asked]) if there else ""


def _limits(request: HttpRequest, decision: dict[str, Any]) -> list[dict[str, str]]:
    return [{**row, "link": _rule_page(request, row)} for row in limit_rows(decision)]


def _rule_page(request: HttpRequest, row: dict[str, str]) -> str:
    """Return the address of the rule that a record names, where the person may see it and it is still there."""
    group, _, name = row["rule"].rpartition("/")
    for model in (Budget, RateLimit) if row["unit"] in BUDGET_UNITS else (RateLimit,):
        model_admin: Any = admin.site.get_model_admin(model)
        if model_admin.has_view_permission(request):
            pk = model_admin.get_queryset(request).filter(group=group, name=name).values_list("pk", flat=True).first()
            if pk is not None:
                return reverse(f"admin:rules_{model._meta.model_name}_change", args=[pk])
    return ""


def live(request: HttpRequest) -> HttpResponse:
    """Show the newest requests that the list's filters leave, and keep showing them: see :func:`live_rows`."""
    state = _newest(request)
    if state is None:
        return redirect("admin:requests_live")
    query = _query(request)
    context = {
        **state,
        "chips": [
            {"text": f"{NAMES[name]}: {value}", "link": _address("admin:requests_live", query, without=name)}
            for name, value in query.items()
            if name in NAMES
        ],
        "lines_link": _address("admin:requests_live", query | {"lines": "shown"}) if leaves_lines_out(request) else "",
        "list_link": _address("admin:usage_usagerecord_changelist", query),
        "is_fullwidth": True,
    }
    return page(request, "console/live.html", "Live requests", context)


def live_rows(request: HttpRequest) -> HttpResponse:
    """Return the rows of the page's table; 204 when the page shows just these (``X-Seen``)."""
    state = _newest(request)
    if state is None:
        return HttpResponse(status=400)
    if request.headers.get(SEEN) == state["seen"]:
        return HttpResponse(status=204)
    return render(request, "console/live_rows.html", state)


def _newest(request: HttpRequest) -> dict[str, Any] | None:
    """Return the first page of the list with its filters, and ``seen``, which names it; ``None``: a bad filter.

    Newest is by the start of a call, as in the list, whose index this walks: a call that took long comes in below
    those that began after it.
    """
    usage = _usage(request)
    places = (OLDER, NEWER)
    kept = [(name, value) for name, values in request.GET.lists() if name not in places for value in values]
    request.GET = QueryDict(urlencode(kept))
    try:
        records = usage.get_changelist_instance(request).result_list
    except IncorrectLookupParameters:
        return None
    query = _query(request)
    return {
        "rows": [usage.row(record) for record in records],
        "seen": _seen(records),
        "filtered": bool(query),
        "limit": usage.list_per_page,
        "rows_link": _address("admin:requests_live_rows", query),
    }


def _seen(records: list[UsageRecord]) -> str:
    return f"{len(records)}-{hash(tuple(record.pk for record in records)) & (2**64 - 1):x}"


def _query(request: HttpRequest) -> dict[str, str]:
    return {name: str(value) for name, value in request.GET.items() if value}


def _address(name: str, query: dict[str, str], without: str = "") -> str:
    dropped = {without, without.replace("_0", "_1")}
    kept = urlencode({name: value for name, value in query.items() if name not in dropped})
    return f"{reverse(name)}?{kept}" if kept else reverse(name)
