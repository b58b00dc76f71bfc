"""How a provider account does, on its page: the last test of its credentials, its calls, its newest errors in the
provider's words, and targets that rest.
"""

from datetime import timedelta
from time import monotonic
from typing import Any

from django.db.models import Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.audit import AuditEntry
from gateway.routing.health import health
from providers.admin_views import TESTED
from providers.models import ProviderAccount
from usage import spend as figures
from usage import words
from usage.links import request_link
from usage.models import UsageRecord

SAMPLE = 500
"""The last hour is summed up from at most so many of its newest attempts."""
NEWEST_ERRORS = 5


def health_of(account: ProviderAccount) -> SafeString:
    """Return the account's state as a part of its page. It asks no provider."""
    now = timezone.now()
    records = UsageRecord.objects.filter(account=account.name)
    hour = records.filter(created_at__gte=now - timedelta(hours=1)).order_by("-created_at")
    endings = list(hour.values_list("error_class", "status")[:SAMPLE])
    failed = sum(bool(error) and not 400 <= status < 500 for error, status in endings)
    calls = figures.narrowed(figures.ALL, Q(account=account.name), "account")
    week = figures.totals(figures.last(168, now), calls)
    context = {
        "test": _last_test(account),
        "test_link": reverse("admin:providers_provideraccount_test_credentials", args=[account.pk]),
        "calls": len(endings),
        "most": len(endings) == SAMPLE,
        "failed": failed,
        "rate": f"{failed / len(endings) * 100:.1f}" if endings else "",
        "refused": sum(400 <= status < 500 for _, status in endings),
        "resting": health.resting(account.name, monotonic()),
        "errors": _errors(records, now - timedelta(days=1)),
        "week": week,
        "cost": words.short_money(week.cost),
        "exact": words.money(week.cost),
        "requests_link": f"{reverse('admin:usage_usagerecord_changelist')}?{urlencode({'account': account.name})}",
    }
    return SafeString(render_to_string("console/account_health.html", context))


def _last_test(account: ProviderAccount) -> AuditEntry | None:
    kind = ProviderAccount._meta.label_lower
    of_account = AuditEntry.objects.filter(object_type=kind, object_id=str(account.pk), note__startswith=TESTED)
    return of_account.order_by("-id").first()


def _errors(records: Any, since: Any) -> list[dict[str, Any]]:
    """Return the newest attempts that the provider did not answer as asked, with what it said."""
    rows = records.filter(created_at__gte=since).exclude(error_class="").order_by("-created_at")
    columns = ("request_id", "created_at", "model_asked", "status", "error_class", "error_message", "upstream_status")
    return [
        {
            "at": row.created_at,
            "what": f"{row.status or ''} {row.error_class.replace('_', ' ')}".strip(),
            "model": row.model_asked,
            "said": row.error_message,
            "link": request_link(row),
        }
        for row in rows.only(*columns)[:NEWEST_ERRORS]
    ]
