"""Rules as rows: rate limits, budgets and routing rules, in the one shape of ``rules.shape``."""

from typing import Any, ClassVar

from django.core.exceptions import ValidationError
from django.db import models

from accounts.acting import actor
from accounts.changes import Announced, AnnouncedQuerySet
from accounts.models import Team, slug_validator
from rules import shape

RULE_KIND = "rules.rule"
"""What the change feed calls a rule, of whatever kind."""
LIMIT_FORMS = tuple(form.name for form in shape.FORMS.values() if form.kind == "limit")
BUDGET_FORMS = tuple(form.name for form in shape.FORMS.values() if form.kind == "budget")
ROUTING_FORMS = tuple(form.name for form in shape.FORMS.values() if form.kind == "routing")


class Rule(Announced):
    """What is done with calls that ``when`` fits: limited, charged to a budget, or sent elsewhere.

    ``form`` is the type of manifest that it is written as. Rules of a ``gateway-*`` manifest share its name as
    ``group`` and are tried in the order of ``position``, and the first that fits counts; the others are single and
    all that fit must allow. ``version`` grows with every save;
    ``counted_version`` is the one that a budget's counters were last summed for.
    """

    form = models.CharField("type", max_length=40, choices=[(name, name) for name in shape.FORMS])
    group = models.CharField(
        "configuration",
        max_length=64,
        blank=True,
        help_text="The configuration it belongs to, of a gateway-* type.",
    )
    name = models.CharField(max_length=100, help_text="Its id in refusals, headers and records.")
    position = models.IntegerField(default=0, help_text="Rules of one configuration are tried in this order.")
    enabled = models.BooleanField(default=True)
    mode = models.CharField(
        max_length=16,
        default="enforce",
        choices=[("enforce", "Enforce"), ("audit", "Audit"), ("soft_enforce", "Soft enforce")],
        help_text="Audit counts and shows, and never blocks. Soft enforce blocks unless another budget allows.",
    )
    team = models.ForeignKey(
        Team, models.CASCADE, null=True, blank=True, related_name="rules", help_text="The team whose budget it is."
    )
    when = models.JSONField(default=dict, blank=True)
    effect = models.JSONField(default=dict)
    version = models.IntegerField(default=0, editable=False)
    counted_version = models.IntegerField(default=-1, editable=False)
    changed_by = models.CharField(max_length=254, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    announced_as: ClassVar[str] = RULE_KIND

    class Meta:
        ordering = ["form", "group", "position", "name"]
        constraints = [models.UniqueConstraint(fields=["form", "group", "name"], name="one_rule_of_a_name")]

    @property
    def kind(self) -> str:
        """``limit``, ``budget`` or ``routing``; empty for a type that is not known."""
        return shape.FORMS[self.form].kind if self.form in shape.FORMS else ""

    def clean(self) -> None:
        faults: dict[str, list[str]] = {}
        for path, problem in shape.faults_of(self.form, self.mode, self.when, self.effect):
            field, _, rest = path.partition(".")
            column = field.partition("[")[0]
            faults.setdefault(column, []).append(f"{rest}: {problem}" if rest else problem)
        for column, problem in self._place_faults():
            faults.setdefault(column, []).append(problem)
        if faults:
            raise ValidationError(faults)
        self.when = shape.normal_when(self.when)
        self.effect = shape.normal_effect(self.effect)

    def _place_faults(self) -> list[tuple[str, str]]:
        form = shape.FORMS.get(self.form)
        if form is None:
            return []
        faults = []
        if form.first and not self.group:
            faults.append(("group", "Name the configuration that this rule belongs to."))
        if not form.first:
            self.group = ""
        if form.team != (self.team_id is not None):
            fault = "A team budget needs its team." if form.team else f"A {form.name} belongs to no team."
            faults.append(("team", fault))
        if form.team and isinstance(self.when, dict) and _names_teams(self.when):
            faults.append(("when", "A team budget is for that team's calls; it can't name teams."))
        try:
            slug_validator(self.group or "a")
        except ValidationError as error:
            faults.append(("group", str(error.message)))
        return faults

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.version += 1
        self.changed_by = actor().name[:254] or actor().source
        super().save(*args, **kwargs)

    def audit_name(self) -> str:
        return f"{self.group}/{self.name}" if self.group else self.name

    def audit_place(self) -> tuple[str, str]:
        return "", self.team.name if self.team else ""

    def __str__(self) -> str:
        return self.audit_name()


def _names_teams(when: dict[str, Any]) -> bool:
    subjects = when.get("subjects")
    named = [name for names in subjects.values() for name in names] if isinstance(subjects, dict) else []
    return any(isinstance(name, str) and name.startswith("team:") for name in named)


class RulesOf(models.Manager.from_queryset(AnnouncedQuerySet)):  # type: ignore[misc]
    """The rules of one kind, by their types of manifest."""

    def __init__(self, forms: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.forms = forms

    def get_queryset(self) -> Any:
        return super().get_queryset().filter(form__in=self.forms)


class RateLimit(Rule):
    """The rate limits among the rules: a page of their own."""

    objects = RulesOf(LIMIT_FORMS)  # type: ignore[misc]  # narrower than all rules

    class Meta:
        proxy = True
        verbose_name = "rate limit"


class Budget(Rule):
    """The budgets among the rules: a page of their own."""

    objects = RulesOf(BUDGET_FORMS)  # type: ignore[misc]  # narrower than all rules

    class Meta:
        proxy = True
        verbose_name = "budget"


class RoutingRule(Rule):
    """The routing rules: a page of their own."""

    objects = RulesOf(ROUTING_FORMS)  # type: ignore[misc]  # narrower than all rules

    class Meta:
        proxy = True
        verbose_name = "routing rule"


ROWS: dict[str, type[Rule]] = {"limit": RateLimit, "budget": Budget, "routing": RoutingRule}
"""The class that rows of a kind are written as, for the audit log's sake."""


class BudgetCounter(models.Model):
    """What the ledger holds of one budget, period and entity: the sum of its usage records, to the last digit.

    ``key`` is ``rule id:period:first day:entity``, as ``rules.spending`` makes it. The cost is ``cost_high`` million
    pico-dollars and ``cost_low`` pico-dollars, so that sums stay within 64 bits. ``version`` grows with every write.
    """

    key = models.CharField(max_length=64, unique=True)
    rule_id = models.BigIntegerField(db_index=True)
    period = models.CharField(max_length=16)
    start = models.DateField()
    entity = models.CharField(max_length=400)
    cost_high = models.BigIntegerField()
    cost_low = models.BigIntegerField()
    tokens = models.BigIntegerField()
    version = models.BigIntegerField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["updated_at"], name="budget_counter_updated")]

    def __str__(self) -> str:
        return f"{self.rule_id} {self.period} {self.start} {self.entity}"
