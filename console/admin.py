"""The console's log of what was changed in it, for superusers."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.decorators import display

from accounts.scoped_admin import VIEW_ONLY, ScopedAdmin


@admin.register(LogEntry)
class LogEntryAdmin(ScopedAdmin):
    """Who changed what; nobody changes the log."""

    superuser_rights = VIEW_ONLY
    list_display = ("action_time", "user", "what_was_done", "content_type", "object_repr", "message")
    list_display_links = ("action_time",)
    list_filter = ("action_flag", "content_type")
    list_select_related = ("user", "content_type")
    search_fields = ("object_repr", "user__email", "change_message")
    search_help_text = "Object, person or message"
    ordering = ("-id",)
    fields = ("action_time", "user", "what_was_done", "content_type", "object_id", "object_repr", "message")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("user", "content_type")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        return super().render_change_form(request, {**context, "show_history": False}, **kwargs)

    @display(description="action", label={"added": "success", "changed": "info", "deleted": "danger"})
    def what_was_done(self, entry: LogEntry) -> str:
        return {1: "added", 2: "changed", 3: "deleted"}.get(entry.action_flag, "?")

    @display(description="message")
    def message(self, entry: LogEntry) -> str:
        return entry.get_change_message() or "–"
