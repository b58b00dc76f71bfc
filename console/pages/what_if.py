"""What a rule or a virtual model would have done to the calls of the last days, before it is saved."""

from datetime import timedelta
from typing import Any, Final

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_POST

from console.pages.base import page
from gateway.simulation.recorded import replay_recorded
from gateway.simulation.replay import Replayed
from gateway.simulation.words import SHOWN, routed_lines
from providers.models import Model
from rules import compiled
from rules.models import Budget, RateLimit, RoutingRule, Rule
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


def routing(request: HttpRequest) -> HttpResponse:
    """Say what the routing rule in the form would have done."""
    return _what_if(request, RoutingRule)


@require_POST
def virtual_model(request: HttpRequest) -> HttpResponse:
    """Say what the virtual model in the form would have done to calls of it."""
    form = _form(request, Model)
    if not form.is_valid():
        return _faulty(request, form)
    model: Model = form.instance
    if not model.routing:
        raise Http404
    since = timezone.now() - timedelta(days=DAYS)
    found = replay_recorded(compiled.load([]), since, MOST_CALLS, virtual=[model])
    everyone = bool(getattr(request.user, "is_superuser", False))  # whose calls others make is not a manager's to learn
    return _said(request, found, {"rule": model.public_name, "routes": True}, callers=everyone)


def _faulty(request: HttpRequest, form: Any) -> HttpResponse:
    faults = [(form.fields[name].label if name in form.fields else "", found) for name, found in form.errors.items()]
    return page(request, "console/what_if.html", "What if", {"faults": faults}, status=422)


def _said(request: HttpRequest, found: Replayed, said: dict[str, Any], *, callers: bool = True) -> HttpResponse:
    said |= {"days": DAYS, "cut": MOST_CALLS if found.calls == MOST_CALLS else 0, "calls": found.calls}
    said["lines"] = list(routed_lines(found.routed, callers=callers))
    return page(request, "console/what_if.html", f"What if: {said['rule']}", said)


@require_POST
def _what_if(request: HttpRequest, kind: type[Rule]) -> HttpResponse:
    form = _form(request, kind)
    if not form.is_valid():
        return _faulty(request, form)
    rule: Rule = form.instance
    rule.pk = rule.pk or 1  # of a row that is not stored: counters are named by it
    found = replay_recorded(compiled.load([rule]), timezone.now() - timedelta(days=DAYS), MOST_CALLS)
    label = str(rule)
    said: dict[str, Any] = {
        "rule": label,
        "routes": rule.kind == "routing",
        "audits": rule.mode == "audit",
        "counted": found.matched[label],
        "refused": found.audited[label] if rule.mode == "audit" else found.by_rule[label],
        "moved": found.moved[label],
        "saved": money_of_pico(found.saved),
        "callers": found.by_caller.most_common(SHOWN),
    }
    return _said(request, found, said)


def _form(request: HttpRequest, kind: type[Rule] | type[Model]) -> Any:
    """Return the form of the row's own page with what was entered. Raises for what the person may not edit."""
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
