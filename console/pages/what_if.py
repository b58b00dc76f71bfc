"""What a rate limit or a budget would have done to the calls of the last days, before it is saved."""

from datetime import timedelta
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from console.pages.base import page
from gateway.limits.recorded import SHOWN, replay_recorded
from rules import compiled
from rules.models import Budget, RateLimit, Rule
from usage.words import money_of_pico

DAYS: Final = 7
MOST_CALLS: Final = 20_000
"""The console shares its process with calls; manage.py simulate looks at all that there are."""


def rate_limit(request: HttpRequest) -> HttpResponse:
    """Say what the rate limit in the form would have done."""
    return _what_if(request, RateLimit)


def budget(request: HttpRequest) -> HttpResponse:
    """Say what the budget in the form would have done."""
    return _what_if(request, Budget)


@require_POST
def _what_if(request: HttpRequest, kind: type[Rule]) -> HttpResponse:
    form = _form(request, kind)
    if not form.is_valid():
        faults = [
            (form.fields[name].label if name in form.fields else "", found) for name, found in form.errors.items()
        ]
        return page(request, "console/what_if.html", "What if", {"faults": faults}, status=422)
    rule: Rule = form.instance
    rule.pk = rule.pk or 1  # of a row that is not stored: counters are named by it
    found = replay_recorded(compiled.load([rule]), timezone.now() - timedelta(days=DAYS), MOST_CALLS)
    label = str(rule)
    said: dict[str, Any] = {
        "rule": label,
        "audits": rule.mode == "audit",
        "counted": found.matched[label],
        "refused": found.audited[label] if rule.mode == "audit" else found.by_rule[label],
        "moved": found.moved[label],
        "saved": money_of_pico(found.saved),
        "callers": found.by_caller.most_common(SHOWN),
        "days": DAYS,
        "cut": MOST_CALLS if found.calls == MOST_CALLS else 0,
    }
    return page(request, "console/what_if.html", f"What if: {label}", said)


def _form(request: HttpRequest, kind: type[Rule]) -> Any:
    """Return the form of the rule's own page with what was entered. Raises for what the person may not edit."""
    pages: Any = admin.site.get_model_admin(kind)
    number = request.GET.get("rule", "")
    row = None
    if number:
        row = pages.get_object(request, number)
        if row is None:
            raise Http404
    if not (pages.has_change_permission(request, row) if row is not None else pages.has_add_permission(request)):
        raise PermissionDenied
    form = pages.get_form(request, row, change=row is not None)
    return form(request.POST, instance=row)
