"""The console's page for the audit log: who changed what. Nothing on it can be changed or removed."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from unfold.decorators import display

from accounts.audit import AuditEntry
from accounts.models import Team
from accounts.scoped_admin import VIEW_ONLY, Scope, ScopedAdmin

SOURCES = ("console", "command", "manifest", "api", "system")
COLOURS = {"added": "success", "changed": "info", "removed": "danger", "did": "warning"}

# Django's own log of its admin is not written any more: the audit log says what it said, and more.
if admin.site.is_registered(LogEntry):
    admin.site.unregister(LogEntry)


class SourceFilter(admin.SimpleListFilter):
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
    list_filter = (SourceFilter, "action", "object_type")
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
