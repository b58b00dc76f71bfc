"""Routing over two server processes that share a Redis: what one of them does and sees holds for the other."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openai import OpenAI, RateLimitError

from tests.gateway.routing.conftest import NAMES
from tests.gateway.routing.test_rules import MESSAGES, budget, refuse, virtual
from tests.support import servers
from tests.support.fixtures import USER
from tests.support.installation import Gateway, Installation, promised
from tests.support.manifests import ACCESS, chat_model, provider
from tests.support.stage import Stage, Turn, completion

SMART = {
    "type": "provider-account/virtual-model",
    "name": "smart",
    "collaborators": [{"subject": f"user:{USER}", "role_id": ACCESS}],
    "integrations": [
        virtual("ejected", "one/ejected", "two/ejected"),
        virtual("hedged", "one/hedged", "two/hedged", hedge={"percentile": 95, "pays_twice": True}),
        virtual("mirrored", "one/m", mirror={"target": "three/mirrored", "percent": 100}),
        virtual("busy", "one/busy", "two/busy", kind="least-busy-routing"),
    ],
}
BUDGETS = [
    budget("thrifty", ["one/dear"], "one/cheap", 0.02),
    {**budget("hedges", ["smart/hedged"], "one/cheap", 0.01), "cheaper": None},
    {
        **budget("shadows", ["three/mirrored"], "one/cheap", 0.01),
        "when": {"models": {"in": ["three/mirrored"]}, "subjects": {"virtual_accounts": {"in": ["gatehouse/mirror"]}}},
        "applies_to": {"type": "aggregate"},
        "cheaper": None,
    },
]
"""A token of output costs 0.6 µ$, so 10,000 are 6 m$."""


class Workers(NamedTuple):
    """Two processes of one installation, with a client of the same caller for each."""

    installation: Installation
    gateways: tuple[Gateway, Gateway]
    one: OpenAI
    two: OpenAI


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, stages: list[Stage]) -> Iterator[Workers]:
    env = {"REDIS_URL": servers.redis_url()}
    with Installation(tmp_path_factory.mktemp("two-workers") / "data", migrated_data, env) as installation:
        names = ("m", "ejected", "hedged", "mirrored", "busy", "dear", "cheap")
        models = [chat_model(name, model_id="gpt-4o-mini") for name in names]
        accounts = [
            provider(name, stage.url, models=models, access=(f"user:{USER}",) if name == "one" else ())
            for name, stage in zip(NAMES, stages, strict=True)
        ]
        installation.apply(*accounts, SMART, *BUDGETS)
        token = installation.do("token", "ruled", user=USER)
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.map(lambda _: installation.gateway(), range(2))
        with first.sdk(token, max_retries=0) as one, second.sdk(token, max_retries=0) as two:
            yield Workers(installation, (first, second), one, two)


@pytest.fixture(autouse=True)
def _all_answer(stages: list[Stage]) -> None:
    for name, stage in zip(NAMES, stages, strict=True):
        stage.play(answers(name))


def answers(name: str, output: int = 7) -> Callable[[Turn], None]:
    return lambda turn: turn.answer(completion(name, 5, output))


def asked(client: OpenAI, model: str, **options: Any) -> tuple[str, Any]:
    """Return who answered, and the answer's headers."""
    raw = client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES, **options)
    return raw.parse().choices[0].message.content or "", raw.headers


def held(name: str) -> tuple[Callable[[Turn], None], threading.Event]:
    """Return a script that waits for an event before it answers, and the event."""
    free = threading.Event()

    def play(turn: Turn) -> None:
        free.wait(20)
        turn.answer(completion(name, 5, 7))

    return play, free


@pytest.fixture
def aside() -> Iterator[Callable[..., Future[Any]]]:
    """What calls something in a thread."""
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


def test_what_one_sees_fail_rests_for_the_other_within_a_second(workers: Workers, stages: list[Stage]) -> None:
    stages[0].play(refuse(401))
    assert asked(workers.one, "smart/ejected")[0] == "two"
    log = workers.gateways[1]
    servers.wait_until(lambda: "another worker saw it fail with 401" in log.log, seconds=promised(1))
    assert [asked(workers.two, "smart/ejected")[0] for _ in range(3)] == ["two"] * 3
    assert len(stages[0].turns) == 1


def test_a_second_request_counts_with_what_the_other_worker_reserved(
    workers: Workers, stages: list[Stage], aside: Callable[..., Future[Any]]
) -> None:
    """Each worker knows how quick targets are by itself. What a second request may cost, it asks of all."""
    for _ in range(30):
        assert asked(workers.two, "smart/hedged", max_tokens=1)[0] == "one"
    slow, free = held("one")
    stages[0].play(slow)
    who, headers = asked(workers.two, "smart/hedged", max_tokens=10)
    free.set()
    assert who == "two"
    lost, won = workers.installation.records(2, request_id=headers["x-request-id"])
    assert {lost["attempt_number"], won["attempt_number"]} == {1, 2}
    slow, free = held("one")
    stages[0].play(slow)
    other = aside(asked, workers.one, "smart/hedged", max_tokens=8_000)  # 4.8 m$ of 10
    stages[0].turn()
    own = aside(asked, workers.two, "smart/hedged", max_tokens=5_000)  # 3 m$, and 3 more for a second request
    stages[0].turn(1)
    assert not free.wait(0.4), "longer than any answer took"
    free.set()
    assert (other.result()[0], own.result()[0]) == ("one", "one")
    assert len(stages[1].turns) == 1, "only of the call before"
    who, _ = asked(workers.two, "smart/hedged", max_tokens=5_000)
    assert who == "one"


def test_mirrors_of_both_are_bound_by_one_budget(workers: Workers, stages: list[Stage]) -> None:
    stages[2].play(answers("three", output=10_000))
    shadows = []
    for client in (workers.one, workers.two):
        _, headers = asked(client, "smart/mirrored", max_tokens=10_000)
        (record,) = workers.installation.records(1, request_id=headers["x-request-id"])
        (shadow,) = workers.installation.records(1, request_id=record["decision"]["mirrored"].partition(" as ")[2])
        shadows.append((shadow["status"], shadow["error_class"], shadow["cost_pico"] > 0))
    assert shadows == [(200, "", True), (429, "budget_exceeded", False)]
    assert len(stages[2].turns) == 1


def test_what_one_spends_sends_the_others_calls_to_the_cheaper_target(workers: Workers, stages: list[Stage]) -> None:
    def went(client: OpenAI, **options: Any) -> str:
        return str(asked(client, "one/dear", **{"max_tokens": 1, **options})[1]["x-tfy-resolved-model"])

    stages[0].play(answers("one", output=20_000))  # 12 m$ of 20
    assert went(workers.one, max_tokens=20_000) == "one/dear"
    stages[0].play(answers("one"))
    assert went(workers.two) == "one/dear", "its first call learns how full the budget is"
    servers.wait_until(lambda: went(workers.two) == "one/cheap")
    (record,) = workers.installation.records(1, model_asked="one/dear", model_resolved="one/cheap")
    assert record["decision"]["cheaper"].startswith("thrifty moved it from one/dear to one/cheap at 6")
    stages[0].play(answers("one", output=10_000))
    assert went(workers.two, max_tokens=10_000) == "one/cheap"  # 18 m$ now
    with pytest.raises(RateLimitError) as refused:
        went(workers.one, max_tokens=14_000)
    assert refused.value.code == "budget_exceeded"


def test_each_sends_calls_where_it_has_fewest_under_way(
    workers: Workers, stages: list[Stage], aside: Callable[..., Future[Any]]
) -> None:
    """How many that are is each worker's own count."""
    scripts = [held(name) for name in NAMES[:2]]
    for stage, (script, _) in zip(stages, scripts, strict=False):
        stage.play(script)
    for client in (workers.one, workers.two):
        before = len(stages[0].turns), len(stages[1].turns)
        calls = [aside(asked, client, "smart/busy")]
        servers.wait_until(lambda before=before: len(stages[0].turns) + len(stages[1].turns) == sum(before) + 1)
        calls.append(aside(asked, client, "smart/busy"))
        servers.wait_until(lambda before=before: len(stages[0].turns) + len(stages[1].turns) == sum(before) + 2)
        assert (len(stages[0].turns), len(stages[1].turns)) == (before[0] + 1, before[1] + 1)
    for _, free in scripts:
        free.set()


def test_the_counters_are_the_ledger_in_the_end(workers: Workers) -> None:
    done = workers.installation.command("check_budgets")
    assert done.returncode == 0, done.stdout + done.stderr
