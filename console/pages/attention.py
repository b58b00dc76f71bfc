"""What someone who manages something should look at: keys, models, prices, budgets and rules, each with a link."""

import heapq
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import islice
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode

from accounts.scoped_admin import Scope
from accounts.words import counted
from console.pages.spend import narrowed_to
from providers.models import Model, ProviderAccount
from rules.models import ROWS, Rule
from rules.references import Names, missing_of
from rules.used import Used, used_now
from usage import spend as figures
from usage import words
from usage.models import PICO, UsageRecord

RETIRES_WITHIN_DAYS: Final = 60
NEAR_PERCENT: Final = 80
"""A budget of which so much is used is near its end."""
FEW: Final = 10
SAID_NAMES: Final = 3
Row = dict[str, str]


def attention(scope: Scope) -> Iterator[Row]:
    """Yield what needs attention, of what the person manages, as ``text`` and ``link``."""
    if not scope.manages:
        return
    week = figures.last(168, timezone.now())
    accounts = (
        ProviderAccount.objects.all() if scope.sees_all else ProviderAccount.objects.filter(pk__in=scope.accounts)
    )
    by_model = figures.sums_by(week, "model", narrowed_to(scope))
    yield from _refused_keys(scope, accounts)
    yield from _budgets(scope)
    yield from _retiring(accounts, by_model)
    yield from islice(_vain_rules(scope), FEW)
    yield from _unpriced(by_model)


def records_of(scope: Scope) -> Q:
    """Return the condition for the records that a person may see."""
    if scope.sees_all:
        return Q()
    own = Q(subject_name=scope.user_name, subject_type="user", subject_id=scope.user_id)
    return Q(account__in=scope.accounts.values()) | own


def _refused_keys(scope: Scope, accounts: QuerySet[ProviderAccount]) -> Iterator[Row]:
    """Yield the accounts whose provider answered 401 within the last day."""
    since = timezone.now() - timedelta(days=1)
    rows = UsageRecord.objects.filter(
        records_of(scope) & ~Q(error_class=""), created_at__gte=since, upstream_status=401
    )
    for name in sorted(set(rows.order_by("-created_at").values_list("account", flat=True)[:200]) - {""})[:FEW]:
        pk = accounts.filter(name=name).values_list("pk", flat=True).first()
        link = reverse("admin:providers_provideraccount_change", args=[pk]) if pk else reverse("admin:index")
        yield {"text": f"{name}: the provider refuses the key", "link": link}


def _budgets(scope: Scope) -> Iterator[Row]:
    """Yield the budgets near their end, the fullest first."""
    mine = None if scope.sees_all else set(_rules(scope).values_list("pk", flat=True))
    near = (
        used
        for used in used_now(timezone.now().timestamp())
        if used.percent >= NEAR_PERCENT and (mine is None or used.rule.id in mine)
    )
    for used in heapq.nlargest(FEW, near, key=lambda used: used.percent):
        yield {"text": _of_budget(used), "link": reverse("admin:rules_budget_change", args=[used.rule.id])}


def _of_budget(used: Used) -> str:
    whom = f" of {' and '.join(used.entity)}" if used.entity else ""
    spent, limit = (
        words.short_money(amount * PICO) if used.money else f"{amount:,} tokens" for amount in (used.used, used.limit)
    )
    period = used.unit.rpartition("_")[2]
    return f"Budget {used.rule.label}{whom}: {used.percent:.0f} % used, {spent} of {limit} a {period}"


def _rules(scope: Scope) -> QuerySet[Rule]:
    rules = Rule.objects.filter(enabled=True)
    return rules if scope.sees_all else rules.filter(team__in=scope.teams)


def _vain_rules(scope: Scope) -> Iterator[Row]:
    """Yield the rules that can fit no call, since nothing that they name is there."""
    names = Names(suggests=False)
    for rule in _rules(scope):
        found = missing_of(rule, names)
        if found is not None and found.dead and rule.kind:
            said = ", ".join(found.problems[:SAID_NAMES])
            more = f" and {len(found.problems) - SAID_NAMES} more" if len(found.problems) > SAID_NAMES else ""
            link = reverse(f"admin:rules_{ROWS[rule.kind]._meta.model_name}_change", args=[rule.pk])
            yield {"text": f"Rule {rule} fits no call: there is no {said}{more}", "link": link}


def _retiring(accounts: QuerySet[ProviderAccount], by_model: dict[str, figures.Totals]) -> Iterator[Row]:
    """Yield the models in use that shut down."""
    until = date.today() + timedelta(days=RETIRES_WITHIN_DAYS)
    retiring: Any = Model.objects.filter(account__in=accounts, enabled=True, deprecated_on__lte=until)
    rows = retiring.values_list("account__name", "name", "deprecated_on")
    for account, name, day in [row for row in rows if f"{row[0]}/{row[1]}" in by_model][:FEW]:
        word = "shut down on" if day <= date.today() else "shuts down on"
        yield {
            "text": f"{account}/{name} {word} {day} and was called this week",
            "link": reverse("admin:model_drawer", args=[f"{account}/{name}"]),
        }


def _unpriced(by_model: dict[str, figures.Totals]) -> Iterator[Row]:
    """Yield the models that have calls without a price."""
    unpriced = [(sums.unpriced, model) for model, sums in by_model.items() if sums.unpriced > sums.errors]
    for number, model in sorted(unpriced, reverse=True)[:FEW]:
        if model != figures.NONE:
            query = urlencode({"model_asked": model, "priced": "no", "lines": "shown"})
            link = f"{reverse('admin:usage_usagerecord_changelist')}?{query}"
            yield {"text": f"{model}: {counted(number, 'call')} without a price this week", "link": link}
