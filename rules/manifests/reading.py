"""From manifests to rules: each manifest becomes one or more rules in the one shape of ``rules.shape``."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from providers.manifests.place import Place
from rules import shape
from rules.manifests import schema

Columns = dict[str, Any]


@dataclass(slots=True)
class WantedRule:
    """A rule that a manifest asks for: columns of ``rules.models.Rule``, and the name of its team."""

    where: Place
    fields: Columns
    team: str = ""


@dataclass(slots=True)
class WantedRules:
    """What one manifest asks for. ``group`` is its name where it has several rules."""

    where: Place
    form: str
    group: str
    rules: list[WantedRule]


def read_gateway(form: str, place: Place, manifest: Any) -> tuple[str, WantedRules]:
    """Return the rules of a ``gateway-*`` manifest, in their order."""
    rules: dict[str, WantedRule] = {}
    for number, rule in enumerate(manifest.rules):
        where = place.get("rules", number)
        if rule.id in rules and rule.id:
            where.get("id").fault(f"{rule.id!r} appears twice in this configuration. Keep one of them.")
        rules[rule.id] = WantedRule(where, _gateway_rule(form, manifest.name, number, rule, where))
    return manifest.name, WantedRules(place, form, manifest.name, list(rules.values()))


def _gateway_rule(form: str, group: str, position: int, rule: Any, where: Place) -> Columns:
    limits = {unit: float(amount) for unit, amount in rule.limits.items()}
    if rule.unit and rule.limit_to is not None:
        limits[rule.unit] = float(rule.limit_to)
    elif rule.limit_to is not None or rule.unit or not limits:
        missing = "limit_to" if rule.limit_to is None else "unit"
        where.get(missing).fault("is missing.")
    budget = isinstance(rule, schema.GatewayBudget)
    per = rule.budget_applies_per if budget else rule.rate_limit_applies_per
    effect = _effect(limits, per, rule.overrides, rule)
    mode = rule.mode or ("audit" if budget and rule.audit_mode else "enforce")
    return {
        "form": form,
        "group": group,
        "name": rule.id,
        "position": position,
        "enabled": rule.enabled,
        "mode": mode,
        "when": when_of(rule.when, (rule.when.subjects if rule.when else None) or {}),
        "effect": effect,
    }


def read_tenant(form: str, place: Place, manifest: Any) -> tuple[str, WantedRules]:
    """Return the one rule of a ``tenant-*`` or ``team-*`` manifest."""
    subjects: dict[str, list[str]] = {}
    if manifest.when is not None and manifest.when.subjects is not None:
        subjects = _joined(manifest.when.subjects)
    per, overrides = [], []
    if manifest.applies_to is not None:
        per = [_dimension(one, manifest.applies_to, place) for one in manifest.applies_to.type if one]
        per = [one for one in per if one]
        overrides = manifest.applies_to.overrides
    elif form != "tenant-rate-limit-config/model":
        place.get("applies_to").fault("is missing. Write {type: aggregate} to count all calls together.")
    fields = {
        "form": form,
        "group": "",
        "name": manifest.name,
        "enabled": manifest.enabled,
        "mode": manifest.mode or "enforce",
        "when": when_of(manifest.when, subjects),
        "effect": _effect({unit: float(n) for unit, n in manifest.limits.items()}, per, overrides, manifest),
    }
    team = manifest.team_name if isinstance(manifest, schema.TeamBudget) else ""
    rule = WantedRule(place, fields, team)
    return manifest.name, WantedRules(place, form, "", [rule])


def _dimension(kind: str, applies_to: Any, place: Place) -> str:
    if kind == schema.AGGREGATE:
        return ""
    if kind != "metadata":
        return schema.APPLIES_TO[kind][0]
    if not applies_to.metadata:
        place.get("applies_to", "metadata").fault("is missing: name the key.")
        return ""
    return f"{shape.METADATA}{applies_to.metadata}"


def _joined(subjects: Any) -> dict[str, list[str]]:
    """Return users, teams and virtual accounts as one list of subjects a side: any of those that are named."""
    sides: dict[str, list[str]] = {}
    for field, prefix in (("users", "user"), ("teams", "team"), ("virtual_accounts", "virtualaccount")):
        choice = getattr(subjects, field, None)
        for side, names in (choice or {}).items():
            sides.setdefault(side, []).extend(f"{prefix}:{name}" for name in names)
    return sides


def when_of(when: Any, subjects: dict[str, list[str]]) -> dict[str, Any]:
    """Return a manifest's ``when`` as rules have it; its subjects come in one list a side."""
    parts: dict[str, Any] = {"subjects": subjects} if subjects else {}
    if when is None:
        return parts
    for field, part in (("models", "models"), ("provider_accounts", "accounts")):
        choice = getattr(when, field)
        if choice:
            parts[part] = choice
    metadata = {key: choice for key, choice in when.metadata.items() if choice}
    return {**parts, "metadata": metadata} if metadata else parts


def _effect(limits: dict[str, float], per: Iterable[str], overrides: Iterable[Any], rule: Any) -> dict[str, Any]:
    effect: dict[str, Any] = {"limits": {unit: shape.plain(amount) for unit, amount in limits.items()}}
    apart = [one for one in per if one]
    if apart:
        effect["per"] = apart
    if made := [_override(one, apart) for one in overrides]:
        effect["overrides"] = made
    alerts = getattr(rule, "alerts", None)
    if alerts is not None:
        effect["alerts"] = _alerts(alerts)
    if made := [_raise(one) for one in getattr(rule, "raises", [])]:
        effect["raises"] = made
    cheaper = getattr(rule, "cheaper", None)
    if cheaper is not None:
        share = shape.plain(cheaper.from_percent) if cheaper.from_percent is not None else None
        effect["cheaper"] = {"from_percent": share, "target": cheaper.target}
    return effect


def _numbers(limits: dict[str, Decimal]) -> dict[str, int | float]:
    return {unit: shape.plain(amount) for unit, amount in limits.items()}


def _override(override: Any, per: list[str]) -> dict[str, Any]:
    values = [name for _, field in schema.APPLIES_TO.values() for name in getattr(override, field) if name]
    lowered = [name.strip().lower() for name in values] if per[:1] == ["user"] else values
    return {"values": lowered, "limits": _numbers(override.limits)}


def _raise(one: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"limits": _numbers(one.limits), "until": one.until}
    return {**made, "values": [value for value in one.values if value]} if one.values else made


def _alerts(alerts: Any) -> dict[str, Any]:
    targets = []
    for target in alerts.notification_target:
        made: dict[str, Any] = {"type": target.type}
        if target.notification_channel:
            made["notification_channel"] = target.notification_channel
        made |= {name: getattr(target, name) for name in ("to_emails", "channels") if getattr(target, name)}
        targets.append(made)
    return {"thresholds": [shape.plain(one) for one in alerts.thresholds], "notification_target": targets}
