"""From rules to manifests: what the reading reads as the same rules, in the contract's form wherever it has one."""

from decimal import Decimal
from itertools import groupby
from typing import Any

from providers.manifests.place import escape
from rules import shape
from rules.manifests import schema
from rules.models import Rule

Manifest = dict[str, Any]
PER = {"gateway-rate-limiting-config": "rate_limit_applies_per", "gateway-budget-config": "budget_applies_per"}
TYPES = {dimension: (name, field) for name, (dimension, field) in schema.APPLIES_TO.items()}
SUBJECT_FIELDS = {"user": "users", "team": "teams", "virtualaccount": "virtual_accounts"}


def export_gateway(form: str) -> list[Manifest]:
    """Return the ``gateway-*`` manifests of this type."""
    rows = Rule.objects.filter(form=form).order_by("group", "position", "name")
    return [
        {"type": form, "name": group, "rules": [_gateway_rule(rule) for rule in rules]}
        for group, rules in groupby(rows, key=lambda rule: rule.group)
    ]


def _gateway_rule(rule: Rule) -> Manifest:
    made: Manifest = {"id": escape(rule.name)}
    if when := when_written(rule):
        made["when"] = when
    limits = rule.effect["limits"]
    if len(limits) == 1:
        (unit, amount), *_ = limits.items()
        made |= {"limit_to": _number(amount), "unit": unit}
    else:
        made["limits"] = _numbers(limits)
    if rule.effect.get("per"):
        made[PER[rule.form]] = [escape(one) for one in rule.effect["per"]]
    if rule.effect.get("overrides"):
        made["overrides"] = _overrides(rule)
    made |= _rest(rule)
    if rule.kind == "budget" and rule.mode == "audit":
        made["audit_mode"] = True
    elif rule.mode != "enforce":
        made["mode"] = rule.mode
    return made


def when_written(rule: Rule) -> Manifest:
    """Return a rule's ``when`` as ``gateway-*`` manifests write it."""
    return _when(rule.when, _side_list(rule.when.get("subjects")))


def export_tenant(form: str) -> list[Manifest]:
    """Return the ``tenant-*`` or ``team-*`` manifests of this type."""
    return [_tenant(rule) for rule in Rule.objects.filter(form=form).select_related("team").order_by("name")]


def _tenant(rule: Rule) -> Manifest:
    made: Manifest = {"type": rule.form, "name": escape(rule.name)}
    if rule.team is not None:
        made["team_name"] = rule.team.name
    if when := _when(rule.when, _split(rule.when.get("subjects", {}))):
        made["when"] = when
    made["limits"] = _numbers(rule.effect["limits"])
    made["applies_to"] = _applies_to(rule)
    made["mode"] = rule.mode
    return made | _rest(rule)


def _applies_to(rule: Rule) -> Manifest:
    per = rule.effect.get("per", [])
    kinds = ["metadata" if one.startswith(shape.METADATA) else TYPES[one][0] for one in per] or [schema.AGGREGATE]
    made: Manifest = {"type": kinds[0] if len(kinds) == 1 else kinds}
    keys = [one.removeprefix(shape.METADATA) for one in per if one.startswith(shape.METADATA)]
    if keys:
        made["metadata"] = escape(keys[0])
    if rule.effect.get("overrides"):
        made["overrides"] = _overrides(rule)
    return made


def _overrides(rule: Rule) -> list[Manifest]:
    first = rule.effect["per"][0]
    field = "metadata_values" if first.startswith(shape.METADATA) else TYPES[first][1]
    return [
        {field: [escape(value) for value in one["values"]], "limits": _numbers(one["limits"])}
        for one in rule.effect["overrides"]
    ]


def _rest(rule: Rule) -> Manifest:
    made: Manifest = {}
    if alerts := rule.effect.get("alerts"):
        targets = [
            {name: _escaped(value) for name, value in target.items()} for target in alerts["notification_target"]
        ]
        thresholds = [_number(one) for one in alerts["thresholds"]]
        made["alerts"] = {"thresholds": thresholds, "notification_target": targets}
    if rule.effect.get("raises"):
        made["raises"] = [
            {
                **one,
                "limits": _numbers(one["limits"]),
                **({"values": _escaped(one["values"])} if "values" in one else {}),
            }
            for one in rule.effect["raises"]
        ]
    if cheaper := rule.effect.get("cheaper"):
        made["cheaper"] = {"from_percent": _number(cheaper["from_percent"]), "target": escape(cheaper["target"])}
    if not rule.enabled:
        made["enabled"] = False
    return made


def _when(when: Manifest, subjects: Any) -> Manifest:
    made: Manifest = {"subjects": subjects} if subjects else {}
    for part, field in (("models", "models"), ("accounts", "provider_accounts")):
        if part in when:
            made[field] = _sides(when[part])
    if "metadata" in when:
        made["metadata"] = {key: _single(choice) for key, choice in when["metadata"].items()}
    return made


def _side_list(choice: Manifest | None) -> Any:
    """Return a plain list where only ``in`` is given, as the contract's first form writes it."""
    return None if choice is None else _escaped(choice["in"]) if set(choice) == {"in"} else _sides(choice)


def _sides(choice: Manifest) -> Manifest:
    return {side: _escaped(names) for side, names in choice.items()}


def _single(choice: Manifest) -> Any:
    return escape(choice["in"][0]) if set(choice) == {"in"} and len(choice["in"]) == 1 else _sides(choice)


def _split(choice: Manifest) -> Manifest:
    made: Manifest = {}
    for side, names in choice.items():
        for name in names:
            kind, _, rest = name.partition(":")
            made.setdefault(SUBJECT_FIELDS[kind], {}).setdefault(side, []).append(escape(rest))
    return made


def _escaped(value: Any) -> Any:
    return [escape(one) for one in value] if isinstance(value, list) else escape(value)


def _number(amount: float) -> int | Decimal:
    return amount if isinstance(amount, int) else Decimal(repr(amount))


def _numbers(limits: dict[str, Any]) -> dict[str, int | Decimal]:
    return {unit: _number(amount) for unit, amount in limits.items()}
