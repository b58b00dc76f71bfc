"""The console's pages for alerts, channels and incidents: superusers'."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.db.models import Count, Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html_join
from unfold.decorators import action, display

from accounts import audit
from accounts.scoped_admin import VIEW_ONLY, ScopedAdmin
from alerts import delivery
from alerts.channels import CHANNELS
from alerts.forms import AlertForm, ChannelForm
from alerts.kinds import KINDS
from alerts.models import SECRET_COLUMNS, Alert, Channel, Incident
from batches.models import Notice

DELIVERIES = 10


@admin.register(Channel)
class ChannelAdmin(ScopedAdmin):
    """Where notices go."""

    form = ChannelForm
    list_display = ("name", "kind_name", "enabled", "updated_at")
    list_filter = ("enabled",)
    search_fields = ("name",)
    search_help_text = "Name"
    secret_lookups = SECRET_COLUMNS
    actions_detail = ("send_test",)
    readonly_fields = ("deliveries", "updated_at")
    add_fieldsets = ((None, {"fields": ("name", "kind", "address", "secret", "enabled")}),)
    fieldsets = (*add_fieldsets, ("State", {"fields": readonly_fields}))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Channel]:
        # No page needs them, and one that another key encrypted must not take the page down.
        return super().get_queryset(request).defer(*SECRET_COLUMNS)

    @display(description="kind", ordering="kind")
    def kind_name(self, channel: Channel) -> str:
        return CHANNELS[channel.kind].label if channel.kind in CHANNELS else channel.kind

    @display(description="last notices")
    def deliveries(self, channel: Channel) -> str:
        rows = Notice.objects.filter(to=channel.name).order_by("-id")[:DELIVERIES]
        said = ((f"{timezone.localtime(row.created_at):%m-%d %H:%M:%S}", _state(row)) for row in rows)
        return format_html_join("", "{} {}<br>", said) or "none"

    @action(description="Send a test", url_path="test", icon="send")
    def send_test(self, request: HttpRequest, object_id: str) -> HttpResponse:
        channel = self.get_object(request, object_id)
        if channel is None or not self.has_change_permission(request, channel):
            raise Http404
        page = reverse("admin:alerts_channel_change", args=[channel.pk])
        if request.method != "POST":
            context = {
                **self.admin_site.each_context(request),
                "title": f"Test {channel}",
                "opts": self.opts,
                "question": f"Send a test message to {channel} now?",
                "button": "Send it",
                "back": page,
            }
            return TemplateResponse(request, "console/confirm.html", context)
        fault = delivery.send_test(channel)
        audit.note(channel, "sent a test")
        if fault:
            messages.error(request, f"It was not accepted: {fault}.")
        else:
            messages.success(request, "It was accepted.")
        return HttpResponseRedirect(page)


def _state(notice: Notice) -> str:
    if notice.delivered_at:
        return "accepted"
    return f"{notice.fault or 'waits'}{'' if notice.due_at else ', given up'} (tries: {notice.attempts})"


@admin.register(Alert)
class AlertAdmin(ScopedAdmin):
    """What is watched."""

    form = AlertForm
    list_display = ("name", "kind", "limit", "per", "severity", "sent_to", "state", "silenced_until", "enabled")
    list_filter = ("kind", "severity", "enabled")
    search_fields = ("name",)
    search_help_text = "Name"
    actions = ("silence_hour", "silence_day", "end_silence")
    fieldsets = (
        (None, {"fields": ("name", "kind", "threshold", "severity", "enabled")}),
        ("Which calls", {"fields": ("minutes", "least_calls", "per", "only")}),
        ("Who hears of it", {"fields": ("channels", "silenced_until")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Alert]:
        return super().get_queryset(request).annotate(open=Count("incidents", filter=Q(incidents__ended_at=None)))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """Return what goes with the alerts. Their incidents do, though no one deletes those by themselves."""
        found, counts, _, protected = super().get_deleted_objects(objs, request)
        return found, counts, set(), protected

    @display(description="threshold", ordering="threshold")
    def limit(self, alert: Alert) -> str:
        return f"{alert.threshold:g} {KINDS[alert.kind].unit}"

    @display(description="channels")
    def sent_to(self, alert: Alert) -> str:
        return ", ".join(alert.channels) or "none"

    @display(description="state", label={"fine": "success", "silent": "info"})
    def state(self, alert: Any) -> str:
        if alert.open:
            return f"{alert.open} open"
        return "silent" if alert.is_silent(timezone.now()) else "fine"

    @admin.action(description="Silence for an hour", permissions=["change"])
    def silence_hour(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._silence(request, queryset, timedelta(hours=1))

    @admin.action(description="Silence for a day", permissions=["change"])
    def silence_day(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._silence(request, queryset, timedelta(days=1))

    @admin.action(description="End the silence", permissions=["change"])
    def end_silence(self, request: HttpRequest, queryset: QuerySet[Alert]) -> None:
        self._silence(request, queryset, None)

    def _silence(self, request: HttpRequest, queryset: QuerySet[Alert], span: timedelta | None) -> None:
        until = timezone.now() + span if span else None
        count = Alert.objects.filter(pk__in=list(queryset.values_list("pk", flat=True))).update(silenced_until=until)
        said = f"silent until {until:%Y-%m-%d %H:%M} UTC" if until else "not silent any more"
        messages.success(request, f"{count} {'alert is' if count == 1 else 'alerts are'} {said}.")


@admin.register(Incident)
class IncidentAdmin(ScopedAdmin):
    """What alerts have found, newest first."""

    rights = VIEW_ONLY
    superuser_rights = VIEW_ONLY
    list_display = ("alert", "subject", "said", "opened_at", "ended_at", "announced_at")
    list_filter = (("ended_at", admin.EmptyFieldListFilter), "alert")
    search_fields = ("subject",)
    search_help_text = "Subject"
    list_select_related = ("alert",)
    fields = ("alert", "subject", "said", "value", "opened_at", "seen_at", "announced_at", "ended_at")
    show_full_result_count = False
