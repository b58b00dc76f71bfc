"""Which rules are for a call: an index that finds the same ones as looking at each, however many there are."""

import itertools
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.asked import Asked, asked_by
from rules.compiled import CompiledRule, RuleIndex, RuleSet, compile_rule, load
from rules.models import Rule
from rules.names import ModelNames

USERS = ["a@x.com", "b@x.com"]
TEAMS = ["eng", "ops"]
MODELS = ["m/one", "m/two", "n/one"]
ACCOUNTS = ["m", "n"]
ENVS = ["prod", "test", ""]
SUBJECTS = [*(f"user:{name}" for name in USERS), *(f"team:{name}" for name in TEAMS), "team:everyone"]


def rule(number: int = 1, form: str = "tenant-rate-limit-config/model", **columns: Any) -> Rule:
    effect = columns.pop("effect", {"limits": {"requests_per_minute": 5}})
    return Rule(pk=number, form=form, name=f"rule-{number}", effect=effect, **columns)


def call(user: str = "a@x.com", teams: tuple[str, ...] = (), model: str = "m/one", **metadata: str) -> Asked:
    account = model.partition("/")[0]
    return asked_by("user", user, teams, token="gh-1", models=(model,), accounts=(account,), metadata=metadata)


def choices(names: list[str]) -> st.SearchStrategy[dict[str, list[str]]]:
    some = st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True)
    return st.fixed_dictionaries({}, optional={"in": some, "not_in": some}).filter(bool)


WHENS = st.fixed_dictionaries(
    {},
    optional={
        "subjects": choices(SUBJECTS),
        "models": choices(MODELS),
        "accounts": choices(ACCOUNTS),
        "metadata": st.fixed_dictionaries({"env": choices(ENVS[:2])}),
    },
)


def fits(when: dict[str, Any], asked: Asked) -> bool:
    """The meaning of ``when``, in the plainest words."""
    seen = {
        "subjects": set(asked.subjects),
        "models": set(asked.models),
        "accounts": {asked.account},
    }
    for part, names in seen.items():
        choice = when.get(part, {})
        if "in" in choice and not names & set(choice["in"]):
            return False
        if names & set(choice.get("not_in", [])):
            return False
    env = asked.metadata.get("env", "")
    choice = when.get("metadata", {}).get("env", {})
    return ("in" not in choice or env in choice["in"]) and env not in choice.get("not_in", [])


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"models": {"in": ["new/one"]}}, True),
        ({"models": {"in": ["old/one"]}}, True),
        ({"models": {"not_in": ["old/one"]}}, False),
        ({"models": {"in": ["old/two"]}}, False),
        ({"accounts": {"in": ["old"]}}, True),
        ({"accounts": {"not_in": ["old"]}}, False),
        ({"accounts": {"in": ["other"]}}, False),
    ],
)
def test_a_rule_holds_under_a_former_name(when: dict[str, Any], expected: bool) -> None:
    asked = asked_by(
        *("user", "a@x.com", ()),
        token="gh-1",
        models=("new/one", "old/one"),
        accounts=("new", "old"),
        metadata={},
    )
    assert bool(RuleIndex([compile_rule(rule(when=when))]).fitting(asked)) is expected


@given(st.lists(WHENS, max_size=8))
def test_the_index_finds_what_looking_at_each_finds(whens: list[dict[str, Any]]) -> None:
    index = RuleIndex(compile_rule(rule(number, when=when), number) for number, when in enumerate(whens, 1))
    for user, teams, model, env in itertools.product(USERS, [(), ("eng",), ("eng", "ops")], MODELS, ENVS):
        asked = call(user, teams, model, **({"env": env} if env else {}))
        found = [one.id for one in index.fitting(asked)]
        assert found == [number for number, when in enumerate(whens, 1) if fits(when, asked)]


def test_of_a_configuration_the_first_that_fits_decides_and_all_are_charged() -> None:
    form = "gateway-budget-config"
    effect = {"limits": {"cost_per_day": 1}}
    rows = [
        rule(1, form, group="a", effect=effect, when={"models": {"in": ["m/two"]}}),
        rule(2, form, group="a", effect=effect),
        rule(3, form, group="a", effect=effect),
        rule(4, form, group="b", effect=effect),
        rule(5, "tenant-budget-config", effect=effect),
        rule(6, "tenant-budget-config", effect=effect),
    ]
    budgets = load(rows, known=ModelNames()).budgets
    assert [one.id for one in budgets.deciding(call())] == [2, 4, 5, 6]
    assert [one.id for one in budgets.fitting(call())] == [2, 3, 4, 5, 6]


def test_what_is_counted_apart() -> None:
    def entities(*per: str, **columns: Any) -> list[tuple[str, ...]]:
        effect = {"limits": {"requests_per_minute": 5}, "per": list(per)}
        return compile_rule(rule(effect=effect, **columns)).entities(call(teams=("eng", "ops"), env="prod"))

    assert entities() == [()]
    assert entities("user") == [("a@x.com",)]
    assert entities("virtualaccount") == []
    assert entities("team", "model") == [("eng", "m/one"), ("ops", "m/one")]
    assert entities("metadata.env", "metadata.none") == [("prod", "")]


def test_overrides_and_raises() -> None:
    effect = {
        "limits": {"cost_per_day": 1, "tokens_per_day": 10},
        "per": ["user"],
        "overrides": [{"values": ["vip@x.com"], "limits": {"cost_per_day": 2.5}}],
        "raises": [{"limits": {"tokens_per_day": 99}, "until": "2027-01-01T00:00:00Z", "values": ["a@x.com"]}],
    }
    one: CompiledRule = compile_rule(rule(form="tenant-budget-config", effect=effect))
    end = 1_798_761_600.0
    assert one.limits_of(("b@x.com",), end - 1) == {"cost_per_day": 10**12, "tokens_per_day": 10}
    assert one.limits_of(("vip@x.com",), end - 1)["cost_per_day"] == 25 * 10**11
    assert one.limits_of(("a@x.com",), end - 1)["tokens_per_day"] == 99
    assert one.limits_of(("a@x.com",), end)["tokens_per_day"] == 10


def test_ten_thousand_rules_cost_no_more_than_ten() -> None:
    """Each for a user or a model of its own, so that a call has one or two of them in either case."""

    def index(count: int) -> RuleIndex:
        whens = [
            {"subjects": {"in": [f"user:{n}@x.com"]}} if n % 2 else {"models": {"in": [f"m/{n}"]}} for n in range(count)
        ]
        return RuleIndex(compile_rule(rule(n + 1, when=when), n) for n, when in enumerate(whens))

    def seconds(index: RuleIndex) -> float:
        asked = call("3@x.com", model="m/4")
        assert [one.id for one in index.fitting(asked)] == [4, 5]
        best = float("inf")
        for _ in range(7):
            began = time.perf_counter()
            for _ in range(300):
                index.fitting(asked)
            best = min(best, time.perf_counter() - began)
        return best

    assert seconds(index(10_000)) < 2 * seconds(index(10))


BY_MODEL: list[tuple[dict[str, Any], bool]] = [
    ({}, False),
    ({"when": {"models": {"in": ["m/one"]}}}, True),
    ({"when": {"models": {"in": ["n/one"]}}}, False),
    ({"when": {"models": {"not_in": ["m/one"]}}}, True),
    ({"when": {"models": {"in": ["m/one"]}, "subjects": {"in": ["user:b@x.com"]}}}, False),
    ({"when": {"models": {"in": ["m/one"]}}, "mode": "audit"}, False),
    ({"effect": {"limits": {"requests_per_minute": 5}, "per": ["model"]}}, True),
    ({"effect": {"limits": {"requests_per_minute": 5}, "per": ["user"]}}, False),
]


@pytest.mark.parametrize(("columns", "expected"), BY_MODEL, ids=str)
def test_a_limit_that_a_call_without_a_model_could_escape(columns: dict[str, Any], expected: bool) -> None:
    rules = RuleSet([compile_rule(rule(**columns))], (1,))
    asked = asked_by("user", "a@x.com", (), token="gh-1", models=("",), accounts=("m",), metadata={})
    assert (rules.by_model(asked) is not None) is expected
