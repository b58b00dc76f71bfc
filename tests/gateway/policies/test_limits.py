"""Rate limits and budgets at the front door: the customer's SDK, real server processes, a real Redis."""

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from tests.support.calls import chat
from tests.support.chat_examples import user
from tests.support.fixtures import CHAT, USER, InstallationMaker
from tests.support.installation import Gateway, Installation
from tests.support.manifests import chat_model, provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

OTHER = "bob@example.com"
PROXIED = "evil/gpt-4o-mini"
MINUTE = {"requests_per_minute": 3}


def limit(
    name: str = "few", limits: dict[str, Any] | None = None, per: str = "per-user", **fields: Any
) -> dict[str, Any]:
    return {
        "type": "tenant-rate-limit-config/model",
        "name": name,
        "limits": limits or MINUTE,
        "applies_to": {"type": per},
        "mode": "enforce",
        **fields,
    }


def budget(
    name: str = "small", limits: dict[str, Any] | None = None, per: str = "aggregate", **fields: Any
) -> dict[str, Any]:
    return {**limit(name, limits or {"cost_per_day": 0.001}, per, **fields), "type": "tenant-budget-config"}


def call(gateway: Gateway, token: str, **more: Any) -> Any:
    return gateway.post(token, "/v1/chat/completions", chat(**more))


def ready(gateway: Gateway) -> Any:
    return gateway.http.get(f"{gateway.origin}/readyz").json()["checks"]["limits"]


CHATS = {"when": {"models": {"in": [CHAT]}}}


def test_a_limit_refuses_in_openais_shape_and_counts_users_apart(make_installation: InstallationMaker) -> None:
    installation = make_installation()
    installation.apply(limit(**CHATS), limit("day", {"tokens_per_day": 100_000}, "aggregate", **CHATS))
    gateway = installation.gateway()
    token, other = gateway.token("a", user=USER), gateway.token("b", user=OTHER)
    with gateway.sdk(token) as sdk:
        answers = [sdk.chat.completions.with_raw_response.create(model=CHAT, messages=user("hi")) for _ in range(3)]
        left = [answer.headers["x-ratelimit-remaining-requests"] for answer in answers]
        assert left == ["2", "1", "0"]
        assert answers[0].headers["x-ratelimit-limit-requests"] == "3"
        assert json.loads(answers[0].headers["x-tfy-applied-rules"]) == {"rate_limit": ["day", "few"]}
        assert int(answers[0].headers["x-ratelimit-remaining-tokens"]) < 100_000
        with pytest.raises(openai.RateLimitError) as caught:
            sdk.chat.completions.create(model=CHAT, messages=user("hi"))
    error: Any = caught.value
    assert error.status_code == 429
    assert error.code == "rate_limit_exceeded"
    assert error.body["type"] == "rate_limit_error"
    assert error.body["limit"] == {"rule": "few", "limit": 3, "used": 3, "unit": "requests_per_minute"}
    assert 1 <= int(error.response.headers["retry-after"]) <= 61
    assert json.loads(error.response.headers["x-tfy-applied-rules"]) == {"rate_limit": ["few"]}
    assert error.response.headers["x-ratelimit-remaining-requests"] == "0"
    assert call(gateway, other).status_code == 200
    record = installation.records(1, status=429)[0]
    assert record["cost_pico"] == 0
    refused = [row for row in record["decision"]["limits"] if row.get("refused")]
    assert [(row["rule"], row["for"]) for row in refused] == [("few", [USER])]


def test_tokens_are_corrected_by_what_a_call_used(make_installation: InstallationMaker) -> None:
    """Streams too: the estimate is the bound on the output, and most of it comes back."""
    installation = make_installation()
    installation.apply(limit("tokens", {"tokens_per_hour": 2000}, "aggregate", **CHATS))
    gateway = installation.gateway()
    token = gateway.token("a", user=USER)
    for _ in range(3):
        assert call(gateway, token, max_tokens=1500, stream=True).status_code == 200
    used = sum(one["input_tokens"] + one["output_tokens"] for one in installation.records(3))
    left = call(gateway, token, max_tokens=1500)
    assert left.status_code == 200
    assert 0 < 2000 - 1500 - int(left.headers["x-ratelimit-remaining-tokens"]) <= used + 100
    large = call(gateway, token, max_tokens=5000)
    assert large.status_code == 429
    assert "this call alone" in large.json()["message"]
    assert "retry-after" not in large.headers
    assert large.headers["x-should-retry"] == "false"


def test_calls_at_once_end_with_their_streams(make_installation: InstallationMaker) -> None:
    installation = make_installation()
    installation.apply(limit("two", {"concurrent_requests": 2}, "aggregate", **CHATS))
    gateway = installation.gateway()
    token = gateway.token("a", user=USER)
    with gateway.sdk(token) as sdk:
        slow = [sdk.chat.completions.create(model=CHAT, messages=user("[sandbox: delay=2]"), stream=True, timeout=20)]
        slow.append(sdk.chat.completions.create(model=CHAT, messages=user("hi there"), stream=True))
        refused = call(gateway, token)
        assert refused.status_code in (200, 429)
        for stream in slow:
            for _ in stream:
                pass
    wait_until(lambda: call(gateway, token).status_code == 200)


def test_an_audited_limit_is_seen_and_blocks_nothing(make_installation: InstallationMaker) -> None:
    installation = make_installation()
    installation.apply(limit(mode="audit", **CHATS))
    gateway = installation.gateway()
    token = gateway.token("a", user=USER)
    answers = [call(gateway, token) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert "x-ratelimit-limit-requests" not in answers[0].headers
    records = sorted(installation.records(5), key=lambda one: one["created_at"])
    assert [bool(one["decision"]["limits"][0].get("exceeded")) for one in records] == [False] * 3 + [True] * 2


def test_a_change_is_obeyed_within_a_second_and_no_rule_leaves_no_trace(make_installation: InstallationMaker) -> None:
    installation = make_installation()
    gateway = installation.gateway()
    token = gateway.token("a", user=USER)
    plain = call(gateway, token)
    assert "x-tfy-applied-rules" not in plain.headers
    assert "x-ratelimit-limit-requests" in plain.headers  # the provider's own
    assert installation.records(1)[0]["decision"] == {}
    installation.apply(limit(limits={"requests_per_minute": 1}, **CHATS))
    wait_until(lambda: call(gateway, token).status_code == 429, 3)
    installation.apply(limit(limits={"requests_per_minute": 1}, enabled=False, **CHATS))
    wait_until(lambda: call(gateway, token).status_code == 200, 3)


# --- budgets ---


def spent(installation: Installation) -> int:
    return sum(one["cost_pico"] or 0 for one in installation.records())


def race(gateways: list[Gateway], token: str, calls: int, **more: Any) -> list[int]:
    """Send calls at once, in turn to each server; return the statuses."""

    async def all_at_once() -> list[int]:
        clients = [gateway.async_sdk(token, timeout=60) for gateway in gateways]

        async def one(number: int) -> int:
            try:
                client = clients[number % len(clients)]
                await client.chat.completions.create(model=CHAT, messages=user("hi"), **more)
            except openai.APIStatusError as error:
                return error.status_code
            return 200

        try:
            return await asyncio.gather(*(one(number) for number in range(calls)))
        finally:
            for client in clients:
                await client.close()

    return asyncio.run(all_at_once())


PICO = 10**12


@pytest.mark.parametrize("replicas", [1, 2])
def test_two_hundred_calls_at_the_last_dollar(
    make_installation: InstallationMaker, redis_url: str, replicas: int
) -> None:
    """Every call is bounded, so that nothing may pass the budget at all: on one worker in memory, on two in Redis."""
    installation = make_installation({"REDIS_URL": redis_url} if replicas > 1 else {})
    installation.apply(budget(limits={"cost_per_day": 0.001}))
    gateways = [installation.gateway() for _ in range(replicas)]
    token = gateways[0].token("a", user=USER)
    for gateway in gateways:
        wait_until(lambda gateway=gateway: call(gateway, token, max_tokens=1).status_code == 200)  # type: ignore[misc]
    statuses = race(gateways, token, 200, max_tokens=100)
    assert set(statuses) <= {200, 429}
    assert statuses.count(200) >= 10
    # Until nothing fits any more: each small call costs a little.
    wait_until(lambda: 429 in race(gateways, token, 20, max_tokens=100), 60)
    time.sleep(1.5)
    assert 0 < spent(installation) <= 0.001 * PICO
    checked = installation.do("manage", "check_budgets")
    assert "1 counter agrees" in checked, checked


def test_an_exhausted_budget_says_how_much_and_until_when(make_installation: InstallationMaker) -> None:
    installation = make_installation()
    installation.apply(budget(limits={"cost_per_month": 0.00005}))
    gateway = installation.gateway()
    token = gateway.token("a", user=USER)
    refused = call(gateway, token, max_tokens=4000)
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error["type"] == "insufficient_quota"
    assert error["code"] == "budget_exceeded"
    assert error["message"].startswith(f"Budget exceeded for model: {CHAT} with rule: small.")
    assert error["budget"]["limit"] == 0.00005
    assert error["budget"]["spent"] == 0
    assert error["budget"]["period"] == "month"
    assert error["budget"]["resets_at"].endswith("-01T00:00:00Z")
    assert int(refused.headers["retry-after"]) > 0
    assert refused.headers["x-should-retry"] == "false"
    assert call(gateway, token, max_tokens=5).status_code == 200  # a smaller one fits


def test_a_new_budget_knows_what_was_spent_before_and_a_restart_forgets_nothing(
    make_installation: InstallationMaker,
) -> None:
    installation = make_installation()
    gateway = installation.gateway()
    token = gateway.token("a", user=USER)
    for _ in range(4):
        assert call(gateway, token, max_tokens=50).status_code == 200
    installation.records(4)
    before = spent(installation)
    installation.apply(budget(limits={"cost_per_day": before / PICO}))
    wait_until(lambda: call(gateway, token, max_tokens=1).status_code == 429, 5)
    gateway.stop()
    again = installation.gateway()
    refused = call(again, token, max_tokens=1)
    assert refused.status_code == 429
    assert refused.json()["error"]["budget"]["spent"] == spent(installation) / PICO >= before / PICO


def test_a_call_without_a_price_is_refused_under_a_budget_of_money(
    make_installation: InstallationMaker, upstream: SandboxProcess
) -> None:
    for setting, status in (("refuse", 403), ("allow", 200), ("assume", 200)):
        installation = make_installation({"GATEHOUSE_UNPRICED_CALLS": setting})
        cost = {"metric": "per_minute_of_audio", "value": {"input": "0.1"}}  # which says nothing about a chat's tokens
        unpriced = chat_model("no-price", model_id="gpt-4o-mini", cost=cost)
        proxied = provider("evil", upstream.url, models=["gpt-4o-mini"], proxy_paths=["v1/chat/*"])
        installation.apply(provider("other", upstream.url, models=[unpriced]), proxied)
        installation.apply(budget(limits={"cost_per_day": 5}, when={"models": {"in": ["other/no-price", PROXIED]}}))
        gateway = installation.gateway()
        token = gateway.token("a", user=USER)
        answer = gateway.post(token, "/v1/chat/completions", chat(model="other/no-price"))
        assert answer.status_code == status, answer.text
        if status == 403:
            assert answer.json()["error"]["code"] == "model_unpriced"
        else:
            decision = installation.records(1)[0]["decision"]
            assert ("reserved_pico" in decision) == (setting == "assume")
        headers = {"x-tfy-provider-name": "evil"}
        answer = gateway.post(token, "/v1/proxy/v1/chat/completions", chat(model="gpt-4o-mini"), headers=headers)
        assert answer.status_code == status, answer.text
        if status == 403:
            assert answer.json()["error"]["code"] == "model_unpriced"
        else:
            record = next(each for each in installation.records(2) if each["operation"] == "proxy")
            assert (record["model_resolved"], record["cost_pico"]) == (PROXIED, None)
            assert ("reserved_pico" in record["decision"]) == (setting == "assume")


def test_a_name_that_no_one_listed_passes_no_rule_for_its_model(
    make_installation: InstallationMaker, upstream: SandboxProcess
) -> None:
    installation = make_installation()
    named = {"when": {"models": {"in": ["open/gpt-4o"]}}}
    installation.apply(provider("open", upstream.url, models=[], any_model=True), limit(**named))
    installation.apply(budget("of-one", {"cost_per_day": 1}, **named))
    gateway = installation.gateway()
    token = gateway.token("a", user=USER)
    answers = [call(gateway, token, model=f"open/{name}") for name in ("my/gpt-4o", "~gpt-4o", "gpt-4o-fast")]
    assert [(one.status_code, one.json()["error"]["code"]) for one in answers] == [(403, "model_unpriced")] * 3
    statuses = [call(gateway, token, model=f"open/{name}").status_code for name in ("GPT-4o", "gpt-4o", "gpt-4o")]
    assert statuses[1:] == [200, 200]
    assert call(gateway, token, model="open/gpt-4o-2024-08-06").status_code == 429
    assert call(gateway, token, model="open/gpt-4o-mini").status_code == 200


def test_images_that_are_paid_by_their_tokens_are_reserved(
    make_installation: InstallationMaker, upstream: SandboxProcess
) -> None:
    installation = make_installation()
    installation.apply(provider("draw", upstream.url, models=["gpt-image-1"]), budget(limits={"cost_per_day": 0.012}))
    gateway = installation.gateway()
    token = gateway.token("a", user=USER)
    asked = {"model": "draw/gpt-image-1", "prompt": "a ship", "quality": "low", "size": "1024x1024"}
    refused = gateway.post(token, "/v1/images/generations", {**asked, "quality": "high"})
    assert refused.status_code == 429, refused.text
    assert refused.json()["error"]["code"] == "budget_exceeded"
    assert gateway.post(token, "/v1/images/generations", asked).status_code == 200
    record = installation.records(1, status=200)[0]
    assert record["cost_pico"] <= record["decision"]["reserved_pico"] < 0.012 * PICO


# --- Redis unavailable ---


def test_without_redis_each_worker_takes_its_share_and_says_so(
    make_installation: InstallationMaker, redis_url: str
) -> None:
    installation = make_installation({"REDIS_URL": redis_url})
    installation.apply(limit(limits={"requests_per_hour": 10}, per="aggregate", **CHATS))
    gateways = [installation.gateway(), installation.gateway()]
    token = gateways[0].token("a", user=USER)
    wait_until(lambda: all(gateway.get(token, "/v1/models").status_code == 200 for gateway in gateways))
    assert ready(gateways[0]) == {"state": "ok"}
    statuses = race(gateways, token, 12)
    assert statuses.count(200) == 10


def test_parallel_calls_of_threads_hold_a_limit(make_installation: InstallationMaker) -> None:
    installation = make_installation()
    installation.apply(limit(limits={"requests_per_hour": 7}, per="aggregate", **CHATS))
    gateway = installation.gateway()
    token = gateway.token("a", user=USER)
    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(lambda _: call(gateway, token).status_code, range(30)))
    assert statuses.count(200) == 7
    assert statuses.count(429) == 23
