"""What a call is counted with before it is made: never less output than its request lets a provider bill."""

from typing import Any, cast

import msgspec
import pytest

from accounts.caller import Caller
from gateway.call.body import Body
from gateway.call.call import Call
from gateway.call.headers import Options
from gateway.call.operation import Operation
from gateway.call.plan import Plan, PlannedTarget
from gateway.limits.estimate import Estimate, estimate_of
from gateway.objects.operations import CHAT, COMPLETION, GENERATE, MESSAGES, RESPONSE
from providers.pricing.current import fixed_prices
from providers.pricing.private import private_sheet
from providers.snapshot import Target
from tests.gateway.limits.test_memory import asks
from tests.support.snapshots import account, model

MODEL_BOUND = 1000
PRICES = private_sheet({"input_mtok": "1", "output_mtok": "2", "output_audio_mtok": "50"})


def raw(fields: dict[str, Any]) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}


def estimated(operation: Operation, fields: dict[str, Any], params: dict[str, Any] | None = None) -> Estimate:
    call = Call(cast(Caller, None), operation, Options(), "req_1")
    call.body = Body(b"x" * 40, raw(fields))
    target = Target(account(), model("m", max_output_tokens=MODEL_BOUND, prices=fixed_prices(PRICES)))
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
        (CHAT, {"max_tokens": 10, "n": 2.0}, 1280, 1280),
        (CHAT, {"max_tokens": None}, 0, MODEL_BOUND),
        (CHAT, {"max_tokens": 10, "max_completion_tokens": 500}, 500, 500),
        (CHAT, {"max_output_tokens": 1}, 0, MODEL_BOUND),
        (CHAT, {"generationConfig": {"maxOutputTokens": 1}}, 0, MODEL_BOUND),
        (CHAT, {"max_tokens": 10, "prompt": ["a", "b"]}, 10, 10),
        (MESSAGES, {"max_tokens": 10}, 10, 10),
        (RESPONSE, {"max_output_tokens": 10}, 10, 10),
        (RESPONSE, {"max_tokens": 1}, 0, MODEL_BOUND),
        (RESPONSE, {"max_output_tokens": 10, "prompt": {"id": "pmpt_1"}}, 10, 10),
        (GENERATE, {"generationConfig": {"maxOutputTokens": 10, "candidateCount": 3}}, 30, 30),
        (GENERATE, {"generation_config": {"max_output_tokens": 10}}, 10, 10),
        (GENERATE, {"generationConfig": "x", "max_tokens": 1}, 0, MODEL_BOUND),
        (COMPLETION, {"max_tokens": 10, "prompt": "a"}, 10, 10),
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
