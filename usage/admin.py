"""The console's page for usage: a list that never counts and never sorts, however long it is.

Nothing can be changed.
"""

import json
import logging
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from unfold.decorators import display

from accounts.scoped_admin import VIEW_ONLY, Scope, ScopedAdmin, is_too_much
from usage import id_times, words
from usage.change_list import NEWER, OLDER, UsageChangeList
from usage.decisions import decision_lines
from usage.exports import to_csv
from usage.filters import (
    AccountFilter,
    LinesFilter,
    ModelFilter,
    PeriodFilter,
    PriceFilter,
    StatusFilter,
    SubjectFilter,
    TimeFilter,
    TokenFilter,
    leaves_lines_out,
)
from usage.keyset import walk
from usage.links import request_link
from usage.models import LoggedCall, UsageRecord
from usage.part_names import SEARCHED, asked
from usage.request_log import sealed_body, unseal

logger = logging.getLogger(__name__)

EXPORT_LIMIT = 50_000
ONE_INDEX = ("account", "model_asked", "subject_name", "token", "batch_key", "q")
"""Filters whose index holds all that they leave."""
STATUS_COLOURS = {"ok": "success", "refused": "warning", "failed": "danger"}


@admin.register(UsageRecord)
class UsageAdmin(ScopedAdmin):
    """Every attempt; managers see those on their accounts."""

    rights = VIEW_ONLY
    superuser_rights = VIEW_ONLY
    list_display = (
        "time",
        "subject_text",
        "model_text",
        "ended",
        "tokens_in",
        "tokens_out",
        "cost_text",
        "latency",
        "first_token",
    )
    list_display_links = None
    list_filter = (
        PeriodFilter,
        ("created_at", TimeFilter),
        AccountFilter,
        ModelFilter,
        SubjectFilter,
        TokenFilter,
        StatusFilter,
        PriceFilter,
        LinesFilter,
    )
    list_filter_submit = True
    list_fullwidth = True
    list_before_template = "usage/list_before.html"
    list_disable_select_all = True
    search_fields = ("=request_id",)
    search_help_text = "Request id or attempt id, whole"
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    sortable_by = ()
    ordering = ("-created_at", "-id")
    actions = ("export_selected",)
    filter_names = frozenset(
        {
            "period",
            "account",
            "model_asked",
            "subject_name",
            "token",
            "batch_key",
            "ended",
            "priced",
            "lines",
            OLDER,
            NEWER,
        }
    )
    fieldsets = (
        ("Call", {"fields": ("time_exact", "subject", "token_prefix", "teams", "metadata")}),
        (
            "Model",
            {
                "fields": (
                    "model_asked",
                    "model_resolved",
                    "model_served",
                    "account",
                    "provider",
                    "operation",
                    "endpoint",
                    "stream",
                )
            },
        ),
        (
            "Outcome",
            {
                "fields": (
                    "status",
                    "upstream_status",
                    "error_class",
                    "error_message",
                    "client_gone",
                    "latency",
                    "first_token",
                    "sizes",
                )
            },
        ),
        (
            "Tokens",
            {
                "fields": (
                    ("input_tokens", "cached_tokens", "cache_write_tokens"),
                    ("output_tokens", "reasoning_tokens"),
                    ("audio_input_tokens", "audio_output_tokens"),
                    ("image_input_tokens", "image_output_tokens"),
                    "units",
                )
            },
        ),
        ("Limits and budgets", {"fields": ("decided",)}),
        ("Cost", {"fields": ("cost", "price_version", "price_gaps", "service_tier", "estimated")}),
        (
            "Ids",
            {
                "fields": (
                    "request_id",
                    "trace_id",
                    "attempt",
                    "number",
                    "upstream_request_id",
                    "object_id",
                    "batch_key",
                    "batch_line",
                )
            },
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not self._sees_bodies(request, obj):
            return fieldsets
        return (*fieldsets, ("Bodies, as far as they were kept", {"fields": ("request_body", "response_body")}))

    def _sees_bodies(self, request: HttpRequest, record: UsageRecord) -> bool:
        """Whether bodies of the call were kept and are the person's to see: superusers, auditors and the caller."""
        own = record.subject_type == "user" and record.subject_id == request.user.pk
        if not own and not self.scope(request).sees_all:
            return False
        return LoggedCall.objects.filter(pk=record.request_id).exists()

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        """Return the record of an attempt, found by the day that its id names."""
        try:
            attempt = UUID(object_id)
        except ValueError:
            return None
        return id_times.around(self.get_queryset(request).filter(pk=attempt), attempt).first()

    def concerns(self, scope: Scope) -> bool:
        return True

    def narrow(self, queryset: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
        return queryset.filter(Q(account__in=scope.accounts.values()) | self._own(scope))

    def _own(self, scope: Scope) -> Q:
        # By name, too: the index of time has it.
        return Q(subject_name=scope.user_name, subject_type="user", subject_id=scope.user_id)

    def parts(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[QuerySet[Any]]:
        """Return what the list shows of ``queryset``, in parts that each walk one index: see ``usage.keyset.fetch``."""
        return self.walked(request, queryset.filter(batch_key="") if leaves_lines_out(request) else queryset)

    def walked(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[QuerySet[Any]]:
        """Return ``queryset`` in such parts."""
        for column in SEARCHED:
            found = asked(request, column)
            if found and len(found.names) > 1:
                return [queryset.filter(**{column: name}) for name in found.names]
        scope = self.scope(request)
        one_index = any(request.GET.get(name) for name in ONE_INDEX)
        if scope.sees_all or one_index:
            return [queryset]
        names = list(scope.accounts.values())
        own = queryset.filter(self._own(scope)).exclude(account__in=names)
        return [own, *(queryset.filter(account=name) for name in names)]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        # Any other column would be a walk through the whole table.
        known = lookup in self.filter_names or lookup.startswith("created_at")
        return known and not is_too_much(lookup, value)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[UsageChangeList]:
        return UsageChangeList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        try:
            attempt = UUID(term)
        except ValueError:
            return id_times.since(queryset.filter(request_id=term), term), False
        return id_times.since(queryset.filter(Q(request_id=term) | Q(pk=attempt)), term), False

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        return super().render_change_form(request, {**context, "show_history": False}, **kwargs)

    def get_urls(self) -> list[Any]:
        export = path("export/", self.admin_site.admin_view(self.export), name="usage_usagerecord_export")
        return [export, *super().get_urls()]

    def export(self, request: HttpRequest) -> HttpResponse:
        """Answer the filtered list as CSV: the newest 50,000 records at most."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        chosen = self.get_changelist_instance(request).queryset
        return self._csv(walk(self.parts(request, chosen), EXPORT_LIMIT))

    @admin.action(description="Export the selected records as CSV", permissions=["view"])
    def export_selected(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse:
        return self._csv(queryset.order_by("-created_at", "-id")[:EXPORT_LIMIT])

    def _csv(self, records: Any) -> HttpResponse:
        name = f"usage-{timezone.now():%Y%m%d-%H%M%S}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return HttpResponse(to_csv(records), content_type="text/csv; charset=utf-8", headers=headers)

    @display(description="time")
    def time(self, record: UsageRecord) -> str:
        moment = record.created_at
        return format_html(
            '<a class="text-link" id="r-{}" data-drawer href="{}"><time data-local="short" datetime="{}">{}</time></a>',
            record.pk.hex,
            request_link(record),
            moment.isoformat(timespec="seconds"),
            f"{moment:%m-%d %H:%M:%S}",
        )

    @display(description="time")
    def time_exact(self, record: UsageRecord) -> str:
        return timezone.localtime(record.created_at).isoformat(sep=" ", timespec="microseconds")

    @display(description="decided")
    def decided(self, record: UsageRecord) -> str:
        lines = [(line,) for line in decision_lines(record.decision)]
        return format_html_join("", "<div>{}</div>", lines) or "No rate limit and no budget counted the call."

    @display(description="who")
    def subject(self, record: UsageRecord) -> str:
        return f"{record.subject_name} ({record.subject_type} {record.subject_id})"

    @display(description="who")
    def subject_text(self, record: UsageRecord) -> str:
        return format_html('<span class="gh-cut" title="{}">{}</span>', record.subject_name, record.subject_name)

    @display(description="model")
    def model_text(self, record: UsageRecord) -> str:
        asked, served = record.model_asked, record.model_served
        same = not served or served in (asked, asked.partition("/")[2])
        what = record.operation.replace("_", " ") + (", streamed" if record.stream else "")
        return format_html(
            '<span class="gh-cut" title="{}">{}</span><br><span class="gh-note">{}</span>',
            asked,
            asked or "(none)",
            what if same else f"{what} → {served}",
        )

    @display(description="status", label=STATUS_COLOURS)
    def ended(self, record: UsageRecord) -> tuple[str, str]:
        if not record.error_class:
            return "ok", str(record.status)
        text = f"{record.status} {record.error_class}" if record.status else record.error_class
        return ("refused" if 400 <= record.status < 500 else "failed"), text

    @display(description="in")
    def tokens_in(self, record: UsageRecord) -> str:
        if not record.cached_tokens:
            return f"{record.input_tokens:,}"
        cached = f"{record.cached_tokens:,} cached"
        return format_html('{}<br><span class="gh-note">{}</span>', f"{record.input_tokens:,}", cached)

    @display(description="out")
    def tokens_out(self, record: UsageRecord) -> str:
        return f"{record.output_tokens:,}"

    @display(description="cost")
    def cost(self, record: UsageRecord) -> str:
        return words.money(record.cost)

    @display(description="cost")
    def cost_text(self, record: UsageRecord) -> str:
        exact, short = words.money(record.cost), words.short_money(record.cost)
        if not record.estimated:
            return format_html('<span title="{}">{}</span>', exact, short)
        return format_html('<span title="{}">{}</span><br><span class="gh-note">estimated</span>', exact, short)

    @display(description="latency")
    def latency(self, record: UsageRecord) -> str:
        return words.duration(record.latency_us)

    @display(description="first token")
    def first_token(self, record: UsageRecord) -> str:
        return words.duration(record.ttft_us)

    @display(description="attempt id")
    def attempt(self, record: UsageRecord) -> str:
        return str(record.id)

    @display(description="attempt number")
    def number(self, record: UsageRecord) -> int:
        return record.attempt_number

    @display(description="bytes in and out")
    def sizes(self, record: UsageRecord) -> str:
        return f"{words.size(record.bytes_in)} in, {words.size(record.bytes_out)} out"

    def bodies(self, request: HttpRequest, record: UsageRecord) -> list[tuple[str, str]]:
        """Return the bodies of the record's call with their titles, where they were kept and the person may see
        them.
        """
        if not self._sees_bodies(request, record):
            return []
        return [("Request", _body(record, "request")), ("Answer", _body(record, "response"))]

    def row(self, record: UsageRecord) -> dict[str, Any]:
        """Return a record's cells of the list by the names of their columns."""
        return {name: getattr(self, name)(record) for name in self.list_display}

    @display(description="request")
    def request_body(self, record: UsageRecord) -> str:
        return _body(record, "request")

    @display(description="answer")
    def response_body(self, record: UsageRecord) -> str:
        return _body(record, "response")


def _body(record: UsageRecord, side: str) -> str:
    row = LoggedCall.objects.filter(pk=record.request_id).first()
    if row is None:
        return ""
    try:
        text, whole = unseal(sealed_body(row, side)), getattr(row, f"{side}_bytes")
    except Exception as error:  # each storage has errors of its own
        logger.warning("Object %s of the request log can't be read: %s.", row.object_name, type(error).__name__)
        return "It is in the object store, which can't be read now, or does not have it any more."
    if text is None:
        return "It was encrypted with a key that is not configured any more."
    shown = f"{words.size(whole)} in all" if text else "empty, or not kept: a form or a file"
    return format_html('<pre class="gh-body">{}</pre><span class="gh-note">{}</span>', _pretty(text), shown)


def _pretty(text: str) -> str:
    """Return JSON indented; anything else, also JSON that was cut off, as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text
