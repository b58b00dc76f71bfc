"""The console's pages for rate limits, budgets and routing rules.

A team's manager sees and sets the budgets of that team.
"""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from unfold.decorators import display

from accounts.scoped_admin import Scope, ScopedAdmin, choices_for, once
from rules import routes
from rules.forms import TEAM_FORM, BudgetForm, RateLimitForm, RoutingForm
from rules.models import Budget, RateLimit, RoutingRule, Rule
from rules.references import Names, missing_of


@choices_for(Rule)
def budget_choices(scope: Scope, source: Any, targets: QuerySet[Any]) -> QuerySet[Any]:
    """A team's manager makes budgets of the teams they manage."""
    return targets.filter(pk__in=scope.teams)


class RuleAdmin(ScopedAdmin):
    """What the pages share. ``what_if`` names the page that tries a rule on what was recorded."""

    what_if = ""
    change_form_after_template = "console/what_if_button.html"

    list_display: tuple[str, ...] = ("rule_name", "form", "mode", "enabled", "limits", "changed_by", "updated_at")
    list_filter = ("enabled", "mode")
    search_fields = ("name", "group")
    search_help_text = "Name or configuration"
    ordering = ("form", "group", "position", "name")
    readonly_fields = ("changed_by", "updated_at", "unknown_names")
    choosing = ("subjects_in", "subjects_not_in", "models_in", "models_not_in", "accounts_in", "accounts_not_in")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        row = kwargs.get("obj")
        if self.what_if and self.allows(request, "change" if row is not None else "add", row):
            number = f"?rule={row.pk}" if row is not None else ""
            context["what_if"] = reverse(f"admin:{self.what_if}") + number
        return super().render_change_form(request, context, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        found = missing_of(obj, Names())
        if found is not None:
            messages.warning(request, str(found))

    @display(description="name", ordering="name")
    def rule_name(self, rule: Rule) -> str:
        return str(rule)

    @display(description="limits")
    def limits(self, rule: Rule) -> str:
        per = ", ".join(rule.effect.get("per", []))
        amounts = ", ".join(f"{amount} {unit}" for unit, amount in rule.effect.get("limits", {}).items())
        return f"{amounts} per {per}" if per else amounts

    @display(description="names that are not there")
    @once
    def unknown_names(self, rule: Rule) -> str:
        found = missing_of(rule, Names()) if rule.pk else None
        return str(found) if found is not None else "None"


@admin.register(RateLimit)
class RateLimitAdmin(RuleAdmin):
    """Superusers' page: rate limits hold for everyone."""

    form = RateLimitForm
    what_if = "what_if_rate_limit"
    fieldsets = (
        (None, {"fields": ("name", "form", "group", "position", "enabled", "mode")}),
        ("Which calls", {"fields": (*RuleAdmin.choosing, "metadata")}),
        ("Limits", {"fields": ("limits", "per", "overrides")}),
        ("State", {"fields": RuleAdmin.readonly_fields}),
    )
    add_fieldsets = fieldsets[:-1]


@admin.register(Budget)
class BudgetAdmin(RuleAdmin):
    """Budgets; the managers of a team make and edit that team's, within the others that hold for its calls."""

    rights = frozenset({"view", "add", "change", "delete"})
    form = BudgetForm
    what_if = "what_if_budget"
    list_display = (*RuleAdmin.list_display[:2], "team", *RuleAdmin.list_display[2:])
    list_select_related = ("team",)
    autocomplete_fields = ("team",)
    fieldsets = (
        (None, {"fields": ("name", "form", "team", "group", "position", "enabled", "mode")}),
        ("Which calls", {"fields": (*RuleAdmin.choosing, "metadata")}),
        ("Limits", {"fields": ("limits", "per", "overrides", "raises", "cheaper", "alerts")}),
        ("State", {"fields": RuleAdmin.readonly_fields}),
    )
    add_fieldsets = fieldsets[:-1]

    def concerns(self, scope: Scope) -> bool:
        return bool(scope.teams)

    def narrow(self, queryset: QuerySet[Any], scope: Scope) -> QuerySet[Any]:
        return queryset.filter(team__in=scope.teams)

    def get_form(self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        scope = self.scope(request)
        form.sends_anywhere = scope.everything
        if "team" in form.base_fields and not scope.everything:  # else it would vanish from its maker's own list
            form.base_fields["team"].required = True
        return form

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        sets = super().get_fieldsets(request, obj)
        if self.scope(request).sees_all:
            return sets
        left_out = {"form", "group", "position"}
        return [
            (title, {**options, "fields": [name for name in options["fields"] if name not in left_out]})
            for title, options in sets
        ]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {**super().get_changeform_initial_data(request), "form": TEAM_FORM}


@admin.register(RoutingRule)
class RoutingRuleAdmin(RuleAdmin):
    """Superusers' page: rules that send calls to other targets than they name."""

    form = RoutingForm
    what_if = "what_if_routing"
    list_display = ("rule_name", "form", "mode", "enabled", "targets", "changed_by", "updated_at")
    fieldsets = (
        (None, {"fields": ("name", "form", "group", "position", "enabled", "mode")}),
        ("Which calls", {"fields": (*RuleAdmin.choosing, "metadata")}),
        ("Where to", {"fields": ("routing", "fallback")}),
        ("State", {"fields": RuleAdmin.readonly_fields}),
    )
    add_fieldsets = fieldsets[:-1]

    @display(description="targets")
    def targets(self, rule: Rule) -> str:
        return ", ".join(routes.target_names(rule.effect))
