"""The contract's legacy manifests of routing, ``gateway-load-balancing-config`` and ``gateway-fallback-config``: read
into rules, and written from them.

What a virtual model says for one name, they say for all calls that a rule fits.
"""

from decimal import Decimal
from itertools import groupby
from typing import Annotated, Any, Final

from providers.manifests.place import Place, escape
from providers.manifests.schema import PassedOver
from providers.manifests.values import AS_LIST, Fields, Flag, Required, String, one_of
from rules import routes, shape
from rules.manifests.reading import Columns, WantedRule, WantedRules, when_of
from rules.manifests.schema import ELSEWHERE, When
from rules.manifests.writing import Manifest, when_written
from rules.models import Rule

MODE = one_of(shape.MODES["routing"])
OTHERS: Final = ("timeout_ms", "max_failures", "cooldown_seconds")
"""Fields of targets that files of others have, and the contract does not."""


class SpreadRule(Fields):
    """A rule of ``gateway-load-balancing-config``."""

    id: Required
    when: When | None = None
    type: String = ""
    load_balance_targets: Any = None
    sticky_routing: Any = None
    classification_strategy: Any = None
    mirror: Any = None
    hedge: Any = None
    retry_budget: Any = None
    enabled: Flag = True
    mode: Annotated[String, MODE] = "enforce"
    max_failures: Annotated[Any, ELSEWHERE] = None
    cooldown_seconds: Annotated[Any, ELSEWHERE] = None


class Spread(Fields):
    """``type: gateway-load-balancing-config``."""

    type: Any
    name: Required
    rules: Annotated[list[SpreadRule], AS_LIST] = []
    model_configs: Annotated[
        Any, PassedOver("the health of targets is the gateway's own, as docs/routing.md says.")
    ] = None


class FallbackWhen(When):
    """Which calls a fallback is for, and after which status codes."""

    response_status_codes: Any = None


class FallbackRule(Fields):
    """A rule of ``gateway-fallback-config``."""

    id: Required
    when: FallbackWhen | None = None
    fallback_models: Any = None
    enabled: Flag = True
    mode: Annotated[String, MODE] = "enforce"


class Fallback(Fields):
    """``type: gateway-fallback-config``."""

    type: Any
    name: Required
    rules: Annotated[list[FallbackRule], AS_LIST] = []


SCHEMAS: Final[dict[str, Any]] = {routes.SPREAD: Spread, routes.FALLBACK: Fallback}


def read(form: str, place: Place, manifest: Any) -> tuple[str, WantedRules]:
    """Return the rules of a manifest of routing, in their order."""
    rules: dict[str, WantedRule] = {}
    for number, rule in enumerate(manifest.rules):
        where = place.get("rules", number)
        if rule.id in rules and rule.id:
            where.get("id").fault(f"{rule.id!r} appears twice in this configuration. Keep one of them.")
        columns: Columns = {
            "form": form,
            "group": manifest.name,
            "name": rule.id,
            "position": number,
            "enabled": rule.enabled,
            "mode": rule.mode or "enforce",
            "when": when_of(rule.when, (rule.when.subjects if rule.when else None) or {}),
            "effect": _spread(rule, where) if form == routes.SPREAD else _fallback(rule),
        }
        rules[rule.id] = WantedRule(where, columns)
    return manifest.name, WantedRules(place, form, manifest.name, list(rules.values()))


def _spread(rule: SpreadRule, where: Place) -> dict[str, Any]:
    targets = _json(rule.load_balance_targets)
    for number, target in enumerate(targets if isinstance(targets, list) else []):
        for name in OTHERS:
            if isinstance(target, dict) and name in target:
                del target[name]
                where.get("load_balance_targets", number, name).note(f"passed over: {ELSEWHERE.why}")
    routing = {"type": rule.type, "load_balance_targets": targets}
    for name in ("sticky_routing", "classification_strategy", "mirror", "hedge", "retry_budget"):
        if (value := getattr(rule, name)) is not None:
            routing[name] = _json(value)
    return {"routing": routing}


def _fallback(rule: FallbackRule) -> dict[str, Any]:
    fallback: dict[str, Any] = {"models": _json(rule.fallback_models)}
    if rule.when is not None and rule.when.response_status_codes:
        codes = _json(rule.when.response_status_codes)
        fallback["statuses"] = [str(code) for code in codes] if isinstance(codes, list) else codes
    return {"fallback": fallback}


def _json(value: Any) -> Any:
    """Return a manifest's value as JSON has it: decimals as numbers."""
    if isinstance(value, Decimal):
        return shape.plain(value)
    if isinstance(value, dict):
        return {str(name): _json(each) for name, each in value.items()}
    return [_json(each) for each in value] if isinstance(value, list) else value


def export(form: str) -> list[Manifest]:
    """Return the manifests of routing of this type."""
    rows = Rule.objects.filter(form=form).order_by("group", "position", "name")
    return [
        {"type": form, "name": group, "rules": [_written(rule) for rule in rules]}
        for group, rules in groupby(rows, key=lambda rule: rule.group)
    ]


def _written(rule: Rule) -> Manifest:
    made: Manifest = {"id": escape(rule.name)}
    when = when_written(rule)
    if rule.form == routes.SPREAD:
        does = _escaped(rule.effect["routing"])
    else:
        fallback = rule.effect["fallback"]
        when |= {"response_status_codes": fallback["statuses"]} if "statuses" in fallback else {}
        does = {"fallback_models": _escaped(fallback["models"])}
    made |= ({"when": when} if when else {}) | does
    if not rule.enabled:
        made["enabled"] = False
    return made | ({"mode": rule.mode} if rule.mode != "enforce" else {})


def _escaped(value: Any) -> Any:
    """Return a JSON value with its strings written so that nothing in them is filled in."""
    if isinstance(value, dict):
        return {name: _escaped(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    if isinstance(value, float):
        return Decimal(repr(value))
    return escape(value) if isinstance(value, str) else value
