"""The console's page for the audit log: who changed what. Nothing on it can be changed or removed."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter, TextFilter
from unfold.decorators import display

from accounts.admin_filters import NameFilter
from accounts.audit import AuditEntry, type_name
from accounts.models import Team
from accounts.scoped_admin import VIEW_ONLY, Scope, ScopedAdmin

SOURCES = ("console", "command", "manifest", "api", "system")
LATELY = 1000
COLOURS = {"added": "success", "changed": "info", "removed": "danger", "did": "warning"}

# Django's own log of its admin is not written any more: the audit log says what it said, and more.
if admin.site.is_registered(LogEntry):
    admin.site.unregister(LogEntry)


class ObjectFilter(TextFilter):
    """What was changed, by its name or a part of it: of the name that it had then."""

    title = "object (or a part)"
    parameter_name = "object"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(object_name__icontains=self.value().strip()) if self.value() else queryset


class PersonFilter(NameFilter):
    """Who changed it. Who did so lately is suggested, among the entries that one may see."""

    title = "person (or a part)"
    parameter_name = "person"

    def names(self, request: HttpRequest, model_admin: Any) -> list[str]:
        lately = model_admin.get_queryset(request).order_by("-id").values_list("actor", flat=True)[:LATELY]
        return sorted({*lately} - {""})

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(actor__icontains=self.value().strip()) if self.value() else queryset


class KindFilter(DropdownFilter):
    title = "kind of object"
    parameter_name = "object_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        kinds = AuditEntry.objects.order_by().values_list("object_type", flat=True).distinct()
        return sorted(((kind, type_name(kind).capitalize()) for kind in kinds), key=lambda choice: choice[1])

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(object_type=self.value()) if self.value() else queryset


class SourceFilter(DropdownFilter):
    title = "source"
    parameter_name = "source"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name.capitalize()) for name in SOURCES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(source=self.value()) if self.value() else queryset


@admin.register(AuditEntry)
class AuditAdmin(ScopedAdmin):
    """One sentence an event; managers see those of their accounts and teams, and their own doings."""

    rights = VIEW_ONLY
    superuser_rights = VIEW_ONLY
    list_display = ("time", "what", "said", "source_text")
    list_display_links = ("time",)
    list_filter = (ObjectFilter, PersonFilter, KindFilter, ("action", ChoicesDropdownFilter), SourceFilter)
    list_filter_submit = True
    search_fields = ("object_name", "actor")
    search_help_text = "Object or person"
    ordering = ("-id",)
    list_fullwidth = True
    list_disable_select_all = True
    show_full_result_count = False
    fields = ("time", "said", "actor", "source_text", "object_type", "object_id", "object_name", "changes_text", "note")

    def concerns(self, scope: Scope) -> bool:
        return scope.manages

    def narrow(self, queryset: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
        teams = Team.objects.filter(pk__in=scope.teams).values("name")
        return queryset.filter(Q(account__in=scope.accounts.values()) | Q(team__in=teams))

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        return super().render_change_form(request, {**context, "show_history": False}, **kwargs)

    @display(description="time", ordering="id")
    def time(self, entry: AuditEntry) -> str:
        return f"{entry.created_at:%Y-%m-%d %H:%M:%S}"

    @display(description="action", label=COLOURS)
    def what(self, entry: AuditEntry) -> tuple[str, str]:
        return entry.action, "done" if entry.action == "did" else entry.action

    @display(description="event")
    def said(self, entry: AuditEntry) -> str:
        return format_html('<span class="gh-wrap">{}</span>', entry.sentence)

    @display(description="source", ordering="source")
    def source_text(self, entry: AuditEntry) -> str:
        return f"{entry.source} {entry.detail}".strip()

    @display(description="from → to")
    def changes_text(self, entry: AuditEntry) -> str:
        return "; ".join(f"{name}: {old or 'none'} → {new or 'none'}" for name, (old, new) in entry.changes.items())
