"""Which limits count a call: by the model it asked for, the one that answers, and the virtual models between."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from accounts.caller import Caller
from gateway.call.call import Call
from gateway.call.headers import Options
from gateway.call.plan import Plan, PlannedTarget
from gateway.limits.matching import Matches
from gateway.objects.deferred import kept_for_charge
from gateway.objects.operations import CHAT
from providers.snapshot import Target
from rules.compiled import RuleSet, compile_rule
from rules.models import Rule
from tests.support.snapshots import account, model

LIMITS = {"limits": {"requests_per_hour": 1}}


class Who(SimpleNamespace):
    """A caller: matches are remembered by it."""

    __hash__ = object.__hash__


CALLER = Who(key="user:1", subject_type="user", subject_name="a@x.com", teams=("eng",), prefix="gh-1", tags={})
TARGET = Target(account(), model("m"))


def counted(rules: RuleSet, via: tuple[str, ...], matches: Matches | None = None) -> set[str]:
    call = Call(cast(Caller, CALLER), CHAT, Options(), "req_1")
    call.model_asked = "smart/outer"
    matched = (matches or Matches()).of(rules, call, PlannedTarget(TARGET, via=via))
    return {check.rule.name for check in matched.checks}


def rule(number: int, form: str = "tenant-rate-limit-config/model", **when: Any) -> Rule:
    effect = LIMITS if "rate" in form else {"limits": {"cost_per_day": 1}}
    return Rule(pk=number, form=form, name=f"r{number}", when=when, effect=effect)


@pytest.mark.parametrize("form", ["tenant-rate-limit-config/model", "tenant-budget-config"])
def test_rules_of_a_virtual_model_count_calls_that_it_leads_on(form: str) -> None:
    """However the rule is filed: under its model, a subject with it, a subject alone, or nothing."""
    inner = {"in": ["smart/inner"]}
    whens: list[dict[str, Any]] = [
        {"models": inner},
        {"models": inner, "subjects": {"in": ["team:eng"]}},
        {"models": {"in": ["acme/m"]}},
        {"models": {"in": ["smart/outer"]}},
        {"models": {"not_in": ["smart/inner"]}},
    ]
    rules = RuleSet([compile_rule(rule(n, form, **when), n) for n, when in enumerate(whens, 1)], (0, 0, 0))
    matches = Matches()  # one memory: what another way had must not be given again
    assert counted(rules, ("smart/inner",), matches) == {"r1", "r2", "r3", "r4"}
    assert counted(rules, (), matches) == {"r3", "r4", "r5"}
    assert counted(rules, ("smart/between", "smart/inner"), matches) == {"r1", "r2", "r3", "r4"}


@pytest.mark.parametrize(("routed", "said"), [(True, "smart/outer -> smart/inner"), (False, None)])
def test_what_is_charged_later_keeps_the_way(routed: bool, said: str | None) -> None:
    call = Call(cast(Caller, CALLER), CHAT, Options(), "req_1")
    call.model_asked = "smart/outer"
    call.plan = Plan((PlannedTarget(TARGET),), routed=routed)
    call.decision = {"via": "smart/inner"} if routed else {}
    assert kept_for_charge(call).get("via") == said
