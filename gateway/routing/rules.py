"""Routing rules: calls that they fit go to their targets, or have fallbacks behind those that they asked for.

The caller must have access to what the call names; the rule's targets are reached through it. A call whose address
names its account stays there.
"""

from collections.abc import Iterator

from msgspec.structs import replace

from gateway.call.call import Call
from gateway.call.plan import Plan, PlannedTarget
from gateway.limits.asked import asked_of
from gateway.objects import ownership
from gateway.routing.plan import note_skipped, plan_of_routing, planned_target, planned_targets, target_of, unfit
from providers.routing.shape import MODEL_TYPES
from providers.snapshot import Target
from rules.compiled import CompiledRule, RuleSet
from rules.routes import Route

AUDIT = "audit"


async def plan_by_rules(call: Call, target: Target, plan: Plan, rules: RuleSet) -> Plan:
    """Return what routing rules make of the ``plan`` of a call that asked for ``target``.

    The first spreading rule that fits decides, for models that are not virtual; of fallbacks, the first whose status
    codes have the failure's. Raises :class:`~gateway.call.errors.Unavailable` when a rule leaves no target.
    """
    if call.account_binds or call.operation.model_type not in MODEL_TYPES or not target.model.name:
        return plan
    fitting = rules.routes.fitting(asked_of(rules, call, target))
    applied: list[CompiledRule] = []
    for rule in fitting:
        if rule.route is None or rule.route.routing is None or plan.routed:
            continue
        _note(call, rule)
        if rule.mode != AUDIT:
            plan = await plan_of_routing(call, rule.route.routing, f"the rule {rule.label!r}")
            applied.append(rule)
            break
    fallbacks = [rule for rule in fitting if rule.route is not None and rule.route.fallbacks]
    if fallbacks:
        plan, used = await _with_fallbacks(call, plan, fallbacks)
        applied += used
    return replace(plan, rules=tuple(rule.label for rule in applied)) if applied else plan


async def _with_fallbacks(call: Call, plan: Plan, rules: list[CompiledRule]) -> tuple[Plan, list[CompiledRule]]:
    home = await ownership.home_of(call)
    planned = list(plan.targets)
    taken = {each.target.model.public_name for each in planned}
    used, skipped, seen = list[CompiledRule](), list[str](), frozenset[int]()
    for rule in rules:
        route = rule.route
        assert route is not None  # the caller looked
        _note(call, rule)
        if rule.mode == AUDIT:
            continue
        used.append(rule)
        statuses, seen = route.statuses - seen, seen | route.statuses
        for made in _fallbacks(call, route, home, skipped):
            if made.target.model.public_name not in taken:
                taken.add(made.target.model.public_name)
                planned.append(replace(made, stage=rule.label, failover_statuses=statuses))
    note_skipped(call, skipped)
    return replace(plan, targets=tuple(planned)), used


def _fallbacks(call: Call, route: Route, home: str, skipped: list[str]) -> Iterator[PlannedTarget]:
    """Yield the fallbacks that can take the call, of a virtual model all of its targets in its order; the others go to
    ``skipped``."""
    for routed in route.fallbacks:
        if routed.inner is not None:
            yield from planned_targets(call, routed.inner, home, skipped)
            continue
        target = target_of(routed)
        reason = unfit(call, routed, target, home)
        if target is None or reason:
            skipped.append(f"{routed.way}: {reason}")
        else:
            yield planned_target(call, routed, target)


def _note(call: Call, rule: CompiledRule) -> None:
    said = call.decision.get("routing", ())
    word = f"{rule.label} (audit)" if rule.mode == AUDIT else rule.label
    call.decision = {**call.decision, "routing": [*said, word]}
