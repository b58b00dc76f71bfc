"""The filters of the usage list.

Each walks an index; only the price filter goes through the records one by one, newest first.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from unfold.contrib.filters.admin import DropdownFilter, RangeDateTimeFilter, TextFilter

from accounts.admin_filters import NameFilter
from accounts.models import ApiToken
from usage.part_names import asked

PERIODS = {
    "1h": ("Last hour", 1),
    "24h": ("Last 24 hours", 24),
    "7d": ("Last 7 days", 168),
    "30d": ("Last 30 days", 720),
}
MOST_OWNERS = 20
NAMES = {
    "account": "account",
    "model_asked": "model",
    "subject_name": "who",
    "token": "token",
    "ended": "status",
    "priced": "price",
    "lines": "batch lines",
    "batch_key": "batch",
    "period": "period",
    "q": "id",
    "created_at_from_0": "from",
    "created_at_to_0": "to",
}
"""The parameters of the list's filters, as chips name them."""


class AccountFilter(NameFilter):
    title = "account (or a part)"
    parameter_name = "account"

    def names(self, request: HttpRequest, model_admin: Any) -> list[str]:
        found: list[str] = model_admin.admin_site.account_names(request)
        return found

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return _named(request, self.parameter_name, queryset)


class ModelFilter(TextFilter):
    """The public name, whole or a part of it."""

    title = "model as asked (or a part)"
    parameter_name = "model_asked"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return _named(request, self.parameter_name, queryset)


class SubjectFilter(TextFilter):
    """The e-mail address or virtual account's name, whole or a part of it."""

    title = "who (or a part)"
    parameter_name = "subject_name"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return _named(request, self.parameter_name, queryset)


class TokenFilter(TextFilter):
    """The visible beginning of a token, whole. Its owner is added, whose index the list then walks.

    Records of a token that is gone are found with the owner's name beside it.
    """

    title = "token (its first ten characters)"
    parameter_name = "token"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        prefix = self.value().strip().rstrip("….")
        if not request.GET.get("subject_name"):
            owners = ApiToken.objects.filter(prefix=prefix).values_list("user__email", "virtual_account__name")
            queryset = queryset.filter(subject_name__in=[email or name for email, name in owners[:MOST_OWNERS]])
        return queryset.filter(token_prefix=prefix)


class StatusFilter(DropdownFilter):
    """How it ended. All but the first walk the small index of what went wrong."""

    title = "status"
    parameter_name = "ended"
    went_wrong = ~Q(error_class="")
    rules = {
        "ok": Q(error_class=""),
        "error": went_wrong,
        "4xx": went_wrong & Q(status__gte=400, status__lt=500),
        "5xx": went_wrong & Q(status__gte=500),
        "none": went_wrong & Q(status=0),
        "gone": went_wrong & Q(client_gone=True),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("ok", "Answered"),
            ("error", "Any error"),
            ("4xx", "4xx"),
            ("5xx", "5xx"),
            ("none", "No answer"),
            ("gone", "Client left"),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        rule = self.rules.get(self.value() or "")
        return queryset.filter(rule) if rule else queryset


class LinesFilter(DropdownFilter):
    """Lines of batches. Where they are left out is for :func:`leaves_lines_out` to say."""

    title = "batch lines"
    parameter_name = "lines"
    all_option = ("", "Left out")

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("shown", "Shown"), ("only", "Nothing else")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.exclude(batch_key="") if self.value() == "only" else queryset


def leaves_lines_out(request: HttpRequest) -> bool:
    """Whether the list is without lines of batches: unless it is asked for them, one batch or one request."""
    return not any(request.GET.get(name) for name in ("lines", "batch_key", "q"))


class PriceFilter(DropdownFilter):
    title = "price"
    parameter_name = "priced"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "Unpriced"), ("gaps", "With a gap"), ("yes", "Priced"), ("estimated", "Estimated")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        match self.value():
            case "no":
                return queryset.filter(cost_pico=None)
            case "gaps":
                return queryset.exclude(price_gaps="")
            case "yes":
                return queryset.exclude(cost_pico=None)
            case "estimated":
                return queryset.filter(estimated=True)
        return queryset


class PeriodFilter(DropdownFilter):
    title = "period"
    parameter_name = "period"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("today", "Today (UTC)"), *((key, title) for key, (title, _) in PERIODS.items())]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        now = timezone.now()
        if self.value() == "today":
            return queryset.filter(created_at__gte=midnight(now))
        if self.value() in PERIODS:
            return queryset.filter(created_at__gte=now - timedelta(hours=PERIODS[self.value()][1]))
        return queryset


class TimeFilter(RangeDateTimeFilter):
    """From and to, in UTC. A day without a time of day counts whole."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        for end, lookup, default in (("from", "gte", "00:00:00"), ("to", "lte", "23:59:59.999999")):
            day, hour = (self.used_parameters.get(f"created_at_{end}_{part}") for part in (0, 1))
            try:
                moment = parse_datetime(f"{day}T{hour or default}") if day else None
            except ValueError:
                moment = None
            if moment:
                queryset = queryset.filter(**{f"created_at__{lookup}": timezone.make_aware(moment)})
        return queryset


def _named(request: HttpRequest, column: str, queryset: QuerySet[Any]) -> QuerySet[Any]:
    found = asked(request, column)
    return queryset.filter(found.condition) if found else queryset


def midnight(now: datetime) -> datetime:
    """Return the time at which the day of ``now`` began."""
    return now.replace(hour=0, minute=0, second=0, microsecond=0)
