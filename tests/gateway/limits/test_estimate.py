"""What a call is counted with before it is made: never less output than its request lets a provider bill."""

from typing import Any, cast

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.caller import Caller
from accounts.numbers import positive_whole
from gateway.access.accounts import no_model
from gateway.call.body import Body
from gateway.call.call import Call
from gateway.call.errors import Forbidden
from gateway.call.headers import Options
from gateway.call.operation import Operation
from gateway.call.plan import Plan, PlannedTarget
from gateway.limits.bounds import ANSWER_ROOM, MOST_TOKENS, outputs_of
from gateway.limits.estimate import Estimate, estimate_of
from gateway.objects.operations import CHAT, COMPLETION, GENERATE, MESSAGES, PROXY_WRITE, RESPONSE
from providers.dialects.families import BUDGETS
from providers.pricing.current import fixed_prices
from providers.pricing.private import private_sheet
from providers.snapshot import Target
from providers.vendors import VENDORS
from tests.gateway.limits.test_memory import asks
from tests.support.snapshots import account, model

MODEL_BOUND = 1000
BIG = 60000, 60000
PRICES = private_sheet({"input_mtok": "1", "output_mtok": "2", "output_audio_mtok": "50"})


def raw(fields: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}


PLAIN = Target(account(), model("m", max_output_tokens=MODEL_BOUND, prices=fixed_prices(PRICES)))


def estimated(
    operation: Operation, fields: dict[str, Any], params: dict[str, Any] | None = None, target: Target = PLAIN
) -> Estimate:
    call = Call(cast(Caller, None), operation, Options(), "req_1")
    call.body = Body(b"x" * 40, raw(fields))
    call.plan = Plan((PlannedTarget(target, params=raw(params or {})),))
    return estimate_of(call, [asks(1, 1, "cost_per_day", "b").check])


@pytest.mark.parametrize(
    ("operation", "fields", "output", "most"),
    [
        (CHAT, {}, 0, MODEL_BOUND),
        (CHAT, {"n": 3}, 0, 3 * MODEL_BOUND),
        (CHAT, {"max_tokens": 10}, 10, 10),
        (CHAT, {"max_tokens": 10, "n": 200}, 2000, 2000),
        (CHAT, {"max_tokens": 10, "n": None}, 10, 10),
        (CHAT, {"max_tokens": 10, "n": 2.0}, 20, 20),
        (CHAT, {"max_tokens": 10, "n": "8"}, 80, 80),
        (CHAT, {"max_tokens": 10, "n": -1}, 1280, 1280),
        (CHAT, {"max_tokens": 10, "N": 8}, 80, 80),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": 60000.0}, 60000, 60000),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": "60000"}, 60000, 60000),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": "6e4"}, 60000, 60000),
        (CHAT, {"max_tokens": 10, "MAX_TOKENS": 60000}, 60000, 60000),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": -1}, 10, MODEL_BOUND),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": 0}, 10, MODEL_BOUND),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": 99999999}, 10, MODEL_BOUND),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": True}, 10, MODEL_BOUND),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": [60000]}, 10, MODEL_BOUND),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": 10.5}, 10, MODEL_BOUND),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": None}, 10, 10),
        (CHAT, {"max_tokens": -1}, 0, MODEL_BOUND),
        (CHAT, {"MAX_TOKENS": 1}, 0, MODEL_BOUND),
        (CHAT, {"max_tokens": 10, "reasoning": {"max_tokens": 500}}, 1524, 1524),
        (CHAT, {"max_tokens": 10, "reasoning_effort": "high"}, 10, 10),
        (CHAT, {"max_tokens": None}, 0, MODEL_BOUND),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": 500}, 500, 500),
        (CHAT, {"max_output_tokens": 1}, 0, MODEL_BOUND),
        (CHAT, {"generationConfig": {"maxOutputTokens": 1}}, 0, MODEL_BOUND),
        (CHAT, {"max_tokens": 10, "prompt": ["a", "b"]}, 10, 10),
        (MESSAGES, {"max_tokens": 10}, 10, 10),
        (MESSAGES, {"max_completion_tokens": 10}, 0, MODEL_BOUND),
        (MESSAGES, {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}, 2000, 2000),
        (MESSAGES, {"max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 5000}}, 7000, 7000),
        (RESPONSE, {"max_output_tokens": 10}, 10, 10),
        (RESPONSE, {"max_tokens": 1}, 0, MODEL_BOUND),
        (RESPONSE, {"max_output_tokens": 10, "prompt": {"id": "pmpt_1"}}, 10, 10),
        (GENERATE, {"generationConfig": {"maxOutputTokens": 10, "candidateCount": 3}}, 30, 30),
        (GENERATE, {"generation_config": {"max_output_tokens": 10}}, 10, 10),
        (GENERATE, {"generationConfig": "x", "max_tokens": 1}, 0, MODEL_BOUND),
        (GENERATE, {"generationConfig": {"maxOutputTokens": 1}, "generation_config": {"maxOutputTokens": 60000}}, *BIG),
        (GENERATE, {"generationConfig": {"maxOutputTokens": 1}, "GenerationConfig": {"maxOutputTokens": 60000}}, *BIG),
        (GENERATE, {"generationConfig": {"maxOutputTokens": 1, "max_output_tokens": 60000.0}}, *BIG),
        (GENERATE, {"generationConfig": None, "generation_config": {"max_output_tokens": 60000}}, *BIG),
        (GENERATE, {"generationConfig": {"maxOutputTokens": 1}, "generation_config": {}}, 1, MODEL_BOUND),
        (GENERATE, {"generationConfig": {"maxOutputTokens": 9, "candidateCount": 1, "candidate_count": 8}}, 72, 72),
        (GENERATE, {"generationConfig": {"maxOutputTokens": 9, "thinkingConfig": {"thinkingBudget": -1}}}, 9, 9),
        (
            GENERATE,
            {"generationConfig": {"maxOutputTokens": 2000, "thinking_config": {"thinking_budget": 3000}}},
            5000,
            5000,
        ),
        (COMPLETION, {"max_tokens": 10, "prompt": "a"}, 10, 10),
        (COMPLETION, {"max_completion_tokens": 10, "prompt": "a"}, 0, MODEL_BOUND),
        (COMPLETION, {"max_tokens": 10, "prompt": ["a", "b", "c"]}, 30, 30),
        (COMPLETION, {"max_tokens": 10, "prompt": [[1, 2], [3]], "n": 2, "best_of": 5}, 100, 100),
        (COMPLETION, {"max_tokens": 10, "prompt": [1, 2, 3]}, 10, 10),
        (COMPLETION, {"max_tokens": 10, "prompt": []}, 10, 10),
    ],
)
def test_output(operation: Operation, fields: dict[str, Any], output: int, most: int) -> None:
    found = estimated(operation, fields)
    assert (found.output, found.most_output) == (output, most)
    assert found.cost_pico == found.input * 1_000_000 + most * 2_000_000


def test_parameters_of_a_target_count_like_the_callers() -> None:
    found = estimated(CHAT, {"max_tokens": 10}, {"max_tokens": 300, "n": 2})
    assert (found.output, found.most_output) == (600, 600)


def test_spoken_answers_are_reserved_at_the_price_of_audio() -> None:
    found = estimated(CHAT, {"max_tokens": 10, "audio": {"voice": "alloy", "format": "wav"}})
    assert found.cost_pico == found.input * 1_000_000 + 10 * 50_000_000


def test_a_member_that_comes_twice_counts_as_its_larger_one() -> None:
    twice = msgspec.Raw(b'{"maxOutputTokens": 60000, "maxOutputTokens": 1}')
    assert outputs_of("gemini", {"generationConfig": twice}).most(MODEL_BOUND) == 60000


def test_an_effort_makes_room_where_it_becomes_a_budget_of_thinking() -> None:
    """Older Claudes get a higher bound then, by the translation from chat."""
    claude = Target(
        account(vendor=VENDORS["anthropic"]), model("m", upstream_id="claude-sonnet-4-5", prices=fixed_prices(PRICES))
    )
    found = estimated(CHAT, {"max_tokens": 1, "reasoning_effort": "high"}, target=claude)
    assert found.most_output == BUDGETS["high"] + ANSWER_ROOM


BOUND_NAMES = ["max_tokens", "max_completion_tokens", "maxTokens", "MAX_COMPLETION_TOKENS", "max_output_tokens"]
READABLE = st.integers(1, MOST_TOKENS).flatmap(lambda n: st.sampled_from([n, float(n), str(n), f"{n}.0", f" {n}"]))
UNREADABLE = st.sampled_from([-1, 0, True, "", "x", [], [5], {}, 1.5, 10**8, "1e400", 10**30])


@given(st.dictionaries(st.sampled_from(BOUND_NAMES), READABLE | UNREADABLE | st.none()), READABLE | st.none())
def test_what_is_reserved_is_enough_for_the_largest_reading(bounds: dict[str, Any], n: Any) -> None:
    """However an upstream reads the body: by any of its bounds, or by none where one can't be read."""
    found = estimated(CHAT, {**bounds, "n": n})
    readings = [positive_whole(value, MOST_TOKENS) or MODEL_BOUND for value in bounds.values() if value is not None]
    assert found.most_output >= max(readings, default=MODEL_BOUND) * int(float(n or 1))
    assert found.cost_pico >= found.most_output * 2_000_000
    assert found.output <= found.most_output


@pytest.mark.parametrize(("setting", "mode", "cost"), [("refuse", "audit", 0), ("allow", "enforce", 0)])
def test_a_proxied_call_has_no_price_whatever_it_names(settings: Any, setting: str, mode: str, cost: int) -> None:
    settings.UNPRICED_CALLS = setting
    call = proxied()
    check = asks(1, 1, "cost_per_day", "b", mode=mode).check
    assert estimate_of(call, [check]).cost_pico == cost


def test_a_proxied_call_is_refused_or_assumed_where_money_is_counted(settings: Any) -> None:
    settings.UNPRICED_CALLS, settings.ASSUMED_PRICE, settings.BUDGET_OUTPUT_TOKENS = "refuse", 100, 4096
    with pytest.raises(Forbidden, match="through /proxy/") as caught:
        estimate_of(proxied(), [asks(1, 1, "cost_per_day", "b").check])
    assert caught.value.code == "model_unpriced"
    assert estimate_of(proxied(), [asks(1, 1, "tokens_per_day", "b").check]).cost_pico == 0
    settings.UNPRICED_CALLS = "assume"
    found = estimate_of(proxied(), [asks(1, 1, "cost_per_day", "b").check])
    assert found.cost_pico == (found.input + 4096) * 100_000_000


def proxied() -> Call:
    call = Call(cast(Caller, None), PROXY_WRITE, Options(), "req_1")
    call.body = Body(b"x" * 40, raw({"max_tokens": 1}))
    call.plan = Plan((PlannedTarget(Target(account(), no_model(account()))),))
    return call
