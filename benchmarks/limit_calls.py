"""The calls of :mod:`benchmarks.limits`, in a module of its own: its imports need Django set up."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

from accounts.caller import Caller
from gateway.body.json import decode_fields
from gateway.call.body import Body
from gateway.call.call import Call, CallAttempt
from gateway.call.headers import Options
from gateway.call.plan import Plan, PlannedTarget
from gateway.limits.limiter import Limiter
from gateway.limits.shared import SharedCounters
from gateway.objects.operations import CHAT
from gateway.policies import limits
from gateway.state import state
from providers.pricing.current import fixed_prices
from providers.pricing.private import private_sheet
from providers.snapshot import ModelSnapshot, Target
from rules.compiled import load
from rules.models import Rule
from usage.records import AttemptRecord

ROUNDS, CALLS = 7, 2000
EFFECTS = (
    ("tenant-rate-limit-config/model", {"limits": {"requests_per_minute": 10**9}, "per": ["user"]}),
    ("tenant-rate-limit-config/model", {"limits": {"tokens_per_hour": 10**12}, "per": ["user", "model"]}),
    ("tenant-rate-limit-config/model", {"limits": {"concurrent_requests": 10**6}}),
    ("tenant-budget-config", {"limits": {"cost_per_month": 10**6}, "per": ["user"]}),
    ("tenant-budget-config", {"limits": {"tokens_per_day": 10**12}}),
)
BODY = b'{"model":"openai-main/gpt-4o-mini","max_tokens":100,"messages":[{"role":"user","content":"Hello there"}]}'


async def measure(redis_url: str) -> None:
    """Print how long each row takes; with the address of Redis also there."""
    state.limiter = Limiter(lambda: state.directory.rules, lambda: True)
    call = _call()
    rows: list[tuple[str, Any]] = [
        ("no rule", None),
        ("3 limits, 2 budgets", _rules(0)),
        ("among 10,000", _rules(10_000)),
    ]
    for name, rules in rows:
        state.directory.rules = rules
        print(f"{name}: {await _microseconds(call):.1f} us")
    if not redis_url:
        return
    state.limiter.shared = SharedCounters(redis_url, asyncio.get_running_loop(), list)
    state.directory.rules = rows[1][1]
    print(f"3 limits, 2 budgets in Redis: {await _microseconds(call):.1f} us of CPU here")
    took = sorted([await _wall(call) for _ in range(CALLS)])
    print(f"added by the round trip: p50 {took[len(took) // 2]:.0f} us, p99 {took[len(took) * 99 // 100]:.0f} us")
    await state.limiter.shared.stop()


def _rules(others: int) -> Any:
    rows = [Rule(pk=n, form=form, name=f"r{n}", effect=effect) for n, (form, effect) in enumerate(EFFECTS, 1)]
    for number in range(others):
        when = {"subjects": {"in": [f"user:{number}@example.com"]}, "models": {"in": ["openai-main/gpt-4o-mini"]}}
        form, effect = EFFECTS[number % len(EFFECTS)]
        rows.append(Rule(pk=number + 10, form=form, name=f"o{number}", effect=effect, when=when))
    return load(rows)


def _call() -> Callable[[], Awaitable[None]]:
    caller = Caller(1, "gh-bench", "user", 1, "ada@example.com", frozenset(), False, (), (), {}, None, "active", None)
    prices = fixed_prices(private_sheet({"input_mtok": "0.15", "output_mtok": "0.6"}))
    model = ModelSnapshot("openai-main", "gpt-4o-mini", "gpt-4o-mini", frozenset({"chat"}), prices=prices)
    account: Any = SimpleNamespace(name="openai-main", discount_bp=0)
    target = Target(account, model)
    fields = decode_fields(BODY)
    plan = Plan((PlannedTarget(target),))
    number = 0

    async def call() -> None:
        nonlocal number
        number += 1
        made = Call(caller, CHAT, Options(), f"req_{number}")
        made.model_asked = "openai-main/gpt-4o-mini"
        made.plan = plan
        made.body = Body(BODY, fields)
        await limits.admit(made)
        record = AttemptRecord(
            f"attempt-{number}", made.request_id, 0, input_tokens=30, output_tokens=9, cost_pico=9_900_000
        )
        limits.settle(made, cast(CallAttempt, SimpleNamespace(target=target, record=record)))
        limits.release(made)
        state.limiter._stored((), (record.attempt_id,))

    return call


async def _microseconds(call: Callable[[], Awaitable[None]]) -> float:
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.process_time()
        for _ in range(CALLS):
            await call()
        best = min(best, (time.process_time() - began) / CALLS * 1e6)
    return best


async def _wall(call: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await call()
    return (time.perf_counter() - began) * 1e6
