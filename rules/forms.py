"""The console's forms for rate limits, budgets and routing rules: lists as lines, limits as ``unit: amount``, the rest
as JSON."""

from collections.abc import Collection
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminExpandableTextareaWidget, UnfoldAdminTextInputWidget

from accounts.fields import LinesField, PairsField
from rules import shape
from rules.models import Budget, RateLimit, RoutingRule
from rules.recipients import others_among

SUBJECTS_HELP = "One a line: user:EMAIL, team:NAME, virtualaccount:NAME or team:everyone. Empty: all."
MODELS_HELP = "One account/model a line. Empty: all."
# Form field: part of ``when``, side, help.
CHOICES: dict[str, tuple[str, str, str]] = {
    "subjects_in": ("subjects", "in", SUBJECTS_HELP),
    "subjects_not_in": ("subjects", "not_in", "Those who are left out."),
    "models_in": ("models", "in", MODELS_HELP),
    "models_not_in": ("models", "not_in", "Models that are left out."),
    "accounts_in": ("accounts", "in", "One provider account a line. Empty: all."),
    "accounts_not_in": ("accounts", "not_in", "Provider accounts that are left out."),
}
TEAM_FORM = "team-budget-config"


def _json(help_text: str) -> forms.JSONField:
    return forms.JSONField(required=False, widget=UnfoldAdminExpandableTextareaWidget, help_text=help_text)


class RuleForm(forms.ModelForm):
    """What all rules share: which calls they are for. The rule's own validation (``rules.shape``) judges what comes
    out."""

    subjects_in = LinesField(required=False, label="Subjects", help_text=SUBJECTS_HELP)
    subjects_not_in = LinesField(required=False, label="Not these subjects", help_text=CHOICES["subjects_not_in"][2])
    models_in = LinesField(required=False, label="Models", help_text=MODELS_HELP)
    models_not_in = LinesField(required=False, label="Not these models", help_text=CHOICES["models_not_in"][2])
    accounts_in = LinesField(required=False, label="Provider accounts", help_text=CHOICES["accounts_in"][2])
    accounts_not_in = LinesField(required=False, label="Not these accounts", help_text=CHOICES["accounts_not_in"][2])
    metadata = _json('As JSON: {"env": {"in": ["prod"]}}.')

    kind: shape.Kind
    effect_fields: tuple[str, ...] = ()
    """The parts of the effect that are written as JSON."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        when, effect = self.instance.when or {}, self.instance.effect or {}
        for name, (part, side, _) in CHOICES.items():
            self.initial.setdefault(name, when.get(part, {}).get(side, []))
        self.initial.setdefault("metadata", when.get("metadata"))
        for name in self.effect_fields:
            self.initial.setdefault(name, effect.get(name))
        valid: dict[str, Collection[str]] = {
            "form": {name for name, form in shape.FORMS.items() if form.kind == self.kind},
            "mode": shape.MODES[self.kind],
        }
        for name in self.fields.keys() & valid:
            field: Any = self.fields[name]
            field.choices = [choice for choice in field.choices if choice[0] in valid[name]]

    def made_effect(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        """Return the effect that the fields say."""
        return {name: cleaned[name] for name in self.effect_fields if cleaned.get(name)}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        when: dict[str, Any] = {}
        for name, (part, side, _) in CHOICES.items():
            if cleaned.get(name):
                when.setdefault(part, {})[side] = cleaned[name]
        if cleaned.get("metadata"):
            when["metadata"] = cleaned["metadata"]
        effect = self.made_effect(cleaned)
        self.instance.when, self.instance.effect = when, effect
        self._note_faults(cleaned, when, effect)
        return cleaned

    def _note_faults(self, cleaned: dict[str, Any], when: Any, effect: Any) -> None:
        form = cleaned.get("form", self.instance.form)
        for path, problem in shape.faults_of(form, cleaned.get("mode", self.instance.mode), when, effect):
            if path.startswith(("when", "effect")):
                self.add_error(_field_of(path, self.fields), f"{path}: {problem}")

    def _update_errors(self, errors: Any) -> None:
        # The model says again what is said beside the right field already; what has no field here is said on top.
        faults = {name: found for name, found in errors.update_error_dict({}).items() if name not in ("when", "effect")}
        for name, found in faults.items():
            self.add_error(name if name in self.fields else None, found)


class CountingForm(RuleForm):
    """What limits and budgets share."""

    limits = PairsField(help_text="")
    per = forms.CharField(
        required=False,
        widget=UnfoldAdminTextInputWidget,
        label="Counted apart by",
        help_text=f"At most two of {', '.join(shape.DIMENSIONS)} and metadata.KEY, with a comma. Empty: all together.",
    )
    overrides = _json('Other limits for some, as JSON: [{"values": ["vip@example.com"], "limits": {...}}].')

    kind: shape.Kind = "limit"
    effect_fields: tuple[str, ...] = ("overrides",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["limits"].help_text = f"One 'unit: amount' a line. Units: {', '.join(shape.UNITS[self.kind])}."
        effect = self.instance.effect or {}
        self.initial.setdefault("limits", {unit: str(amount) for unit, amount in effect.get("limits", {}).items()})
        self.initial.setdefault("per", ", ".join(effect.get("per", [])))

    def made_effect(self, cleaned: dict[str, Any]) -> dict[str, Any]:
        return {
            "limits": {unit: _number(amount) for unit, amount in (cleaned.get("limits") or {}).items()},
            "per": [name.strip() for name in cleaned.get("per", "").split(",") if name.strip()],
            **super().made_effect(cleaned),
        }


def _number(written: str) -> Any:
    """Return the number that was written; what is not a number stays as it is, for the validation to name."""
    try:
        return shape.plain(float(written))
    except (ValueError, OverflowError):
        return written


def _field_of(path: str, fields: Any) -> str | None:
    head, _, rest = path.partition(".")
    parts = rest.replace("[", ".").split(".")
    for name in ("_".join(parts[:2]), f"{parts[0]}_in", parts[0], head):
        if name in fields:
            return name
    return None


class RateLimitForm(CountingForm):
    """Edits a rate limit."""

    class Meta:
        model = RateLimit
        fields = ("form", "group", "name", "position", "enabled", "mode")


class BudgetForm(CountingForm):
    """Edits a budget. ``sends_anywhere`` says that its alerts may go to all channels and addresses: a superuser's."""

    sends_anywhere = False

    kind = "budget"
    effect_fields = ("overrides", "alerts", "raises", "cheaper")
    alerts = _json('As JSON: {"thresholds": [75, 100], "notification_target": [{"type": "webhook"}]}.')
    cheaper = _json(
        'Where calls go from how many percent on, as JSON: {"from_percent": 80, "target": "account/model"}. '
        "Only those who may use that model move."
    )
    raises = _json('More until a moment: [{"limits": {"cost_per_day": 20}, "until": "2027-01-31T00:00:00Z"}].')

    class Meta:
        model = Budget
        fields = ("form", "group", "name", "position", "enabled", "mode", "team")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "form" not in self.fields and self.instance.pk is None:
            self.instance.form = TEAM_FORM  # a team's manager can make no other

    def clean(self) -> dict[str, Any]:
        before = (self.instance.effect or {}).get("alerts")  # the shared part replaces it
        cleaned = super().clean()
        if not self.sends_anywhere and "alerts" not in self.errors:
            for fault in others_among(cleaned.get("alerts"), before):
                self.add_error("alerts", fault)
        return cleaned


class RoutingForm(RuleForm):
    """Edits a routing rule."""

    kind = "routing"
    effect_fields = ("routing", "fallback")
    routing = _json(
        "Of a gateway-load-balancing-config, as in a virtual model's routing: "
        '{"type": "weight-based-routing", "load_balance_targets": [{"target": "account/model", "weight": 1}]}.'
    )
    fallback = _json(
        "Of a gateway-fallback-config: who answers, in order, after which statuses: "
        '{"models": [{"target": "account/model"}], "statuses": ["429", "500"]}.'
    )

    class Meta:
        model = RoutingRule
        fields = ("form", "group", "name", "position", "enabled", "mode")
