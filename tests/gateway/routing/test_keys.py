"""An account with several keys: calls go on with the next one while one is refused or at its limit."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openai import AuthenticationError, OpenAI, RateLimitError

from gateway.routing import keys
from gateway.routing.health import Event, Health
from providers.snapshot import AccountSnapshot, ModelSnapshot, Target
from tests.gateway.routing.test_virtual_models import MESSAGES, target, virtual
from tests.support.fixtures import USER
from tests.support.installation import Gateway, Installation
from tests.support.manifests import ACCESS, chat_model, provider
from tests.support.snapshots import account as account_snapshot
from tests.support.snapshots import with_keys
from tests.support.stage import Stage, Turn, completion

NAMES = ("first", "second", "third")
KEYS = {name: f"sk-canary-{name}" for name in NAMES}
LIMITED = {"error": {"message": "Slow down.", "type": "requests", "code": "rate_limit_exceeded"}}
UNKNOWN = {"error": {"message": "Incorrect API key.", "type": "invalid_request_error", "code": "invalid_api_key"}}


class Vendor:
    """What the provider says to each key, and which it was asked with."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.refuses: dict[str, int] = {}

    def play(self, **refuses: int) -> None:
        self.refuses = refuses
        self.stage.play(self._answer)

    def _answer(self, turn: Turn) -> None:
        key = turn.headers["authorization"].rpartition("-")[2]
        status = self.refuses.get(key, 200)
        if status != 200:
            turn.answer(UNKNOWN if status == 401 else LIMITED, status)
        elif json.loads(turn.body).get("stream"):
            turn.begin_stream()
            turn.text(key, finish_reason="stop")
            turn.usage(5, 7)
            turn.event("[DONE]")
        else:
            turn.answer(completion(key, 5, 7))

    @property
    def asked(self) -> list[str]:
        return [turn.headers["authorization"].rpartition("-")[2] for turn in self.stage.turns]


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with Stage() as stage:
        yield Vendor(stage)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, vendor: Vendor) -> Iterator[Gateway]:
    models = [chat_model(name, model_id=f"gpt-{name}") for name in "abcdefgh"]
    smart = {
        "type": "provider-account/virtual-model",
        "name": "smart",
        "collaborators": [{"subject": f"user:{USER}", "role_id": ACCESS}],
        "integrations": [virtual("chat", {**target(0), "target": "pool/h"}, {**target(1), "target": "other/m"})],
    }
    with Installation(tmp_path_factory.mktemp("keys") / "data", migrated_data) as installation:
        pool = provider("pool", vendor.stage.url, models=models, auth_data={"type": "api-keys", "keys": KEYS})
        other = provider("other", vendor.stage.url, models=[chat_model("m")], key="sk-canary-other")
        installation.apply(smart, pool, other)
        yield installation.gateway()


@pytest.fixture(scope="module")
def client(server: Gateway) -> Iterator[OpenAI]:
    with server.sdk(server.token("pool", user=USER)) as sdk:
        yield sdk


def said(client: OpenAI, model: str, **options: Any) -> str:
    return client.chat.completions.create(model=model, messages=MESSAGES, **options).choices[0].message.content or ""


def test_a_caller_stays_with_one_key(client: OpenAI, vendor: Vendor) -> None:
    vendor.play()
    assert len({said(client, "pool/a") for _ in range(4)}) == 1


def test_a_limit_moves_to_the_next_key_for_that_model(server: Gateway, client: OpenAI, vendor: Vendor) -> None:
    vendor.play()
    mine = said(client, "pool/b")
    vendor.play(**{mine: 429})
    raw = client.chat.completions.with_raw_response.create(model="pool/b", messages=MESSAGES)
    assert raw.status_code == 200
    following = raw.parse().choices[0].message.content
    assert vendor.asked == [mine, following]
    assert said(client, "pool/b") == following
    assert vendor.asked == [mine, following, following], "it rests"
    vendor.play()
    assert said(client, "pool/c") == mine, "the limit is that of another model"
    records = server.installation.records(2, request_id=raw.headers["x-request-id"])
    assert [(each["attempt_number"], each["status"], each["decision"]["key"]) for each in records] == [
        (1, 429, mine),
        (2, 200, following),
    ]
    assert "canary" not in str(records)


def test_a_stream_moves_on_too(client: OpenAI, vendor: Vendor) -> None:
    vendor.play()
    mine = said(client, "pool/d")
    vendor.play(**{mine: 429})
    chunks = list(client.chat.completions.create(model="pool/d", messages=MESSAGES, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text in NAMES
    assert text != mine


def test_all_at_their_limit_is_said_and_each_is_asked_once(client: OpenAI, vendor: Vendor) -> None:
    vendor.play(**dict.fromkeys(NAMES, 429))
    with pytest.raises(RateLimitError):
        said(client, "pool/e")
    assert sorted(vendor.asked) == sorted(NAMES)
    with pytest.raises(RateLimitError):
        said(client, "pool/e")
    assert len(vendor.asked) == 4, "all rest: only the one that rests shortest is tried"


def test_a_virtual_models_target_is_well_while_one_of_its_keys_is(
    server: Gateway, client: OpenAI, vendor: Vendor
) -> None:
    vendor.play()
    mine = said(client, "smart/chat")
    vendor.play(**{mine: 429})
    assert all(said(client, "smart/chat") in NAMES for _ in range(4))
    assert "pool/h of virtual models rests" not in server.log
    vendor.play(**dict.fromkeys(NAMES, 429))
    assert said(client, "smart/chat") == "other"


def test_a_key_that_is_unknown_rests_for_every_model(client: OpenAI, vendor: Vendor, server: Gateway) -> None:
    vendor.play()
    mine = said(client, "pool/f")
    vendor.play(**{mine: 401})
    assert said(client, "pool/f") != mine
    vendor.play()
    assert said(client, "pool/g") != mine
    server.installation.do("change_keys", "pool", {mine: f"sk-new-{mine}"})
    deadline = time.monotonic() + 20
    while said(client, "pool/g") != mine:
        assert time.monotonic() < deadline, "a key that was entered again is tried again"
        time.sleep(0.1)


def test_one_key_is_refused_as_ever(client: OpenAI, vendor: Vendor) -> None:
    vendor.play(other=401)
    with pytest.raises(AuthenticationError):
        said(client, "other/m")
    assert vendor.asked == ["other"]


# --- by itself ---


@pytest.fixture
def health(monkeypatch: pytest.MonkeyPatch) -> Health:
    fresh = Health()
    monkeypatch.setattr(keys, "health", fresh)
    return fresh


@pytest.fixture
def pool() -> Target:
    return Target(with_keys(account_snapshot(), *NAMES), ModelSnapshot("main", "m", "gpt", frozenset()))


def test_callers_spread_over_the_keys(health: Health, pool: Target) -> None:
    chosen = [keys.choose(pool, f"user:{number}")[0].account.key for number in range(300)]
    assert all(chosen.count(name) > 60 for name in NAMES)


def test_what_other_workers_saw_counts(health: Health, pool: Target) -> None:
    reported: list[Event] = []
    health.report = reported.append
    first, spare = keys.choose(pool, "user:1")
    assert spare
    keys.refused(first, 429, 60.0)
    other = Health()
    other.hear(reported[0], time.monotonic())
    assert keys.choose(pool, "user:1")[0].account.key != first.account.key
    health._keys.clear()
    assert keys.choose(pool, "user:1")[0].account.key == first.account.key
    health._keys = other._keys
    assert keys.choose(pool, "user:1")[0].account.key != first.account.key


def test_a_forbidden_call_moves_on_and_its_key_does_not_rest(health: Health, pool: Target) -> None:
    first, _ = keys.choose(pool, "user:1")
    keys.refused(first, 403, None)
    assert keys.choose(pool, "user:1")[0].account.key == first.account.key
    assert keys.choose(pool, "user:1", [first.account.key])[0].account.key != first.account.key


def test_a_rest_ends(health: Health, pool: Target) -> None:
    first, _ = keys.choose(pool, "user:1")
    keys.refused(first, 429, 0.05)
    assert keys.choose(pool, "user:1")[0].account.key != first.account.key
    time.sleep(0.06)
    assert keys.choose(pool, "user:1")[0].account.key == first.account.key


def test_an_account_with_one_key_costs_nothing(pool: Target) -> None:
    single: AccountSnapshot = account_snapshot()
    plain = Target(single, pool.model)
    assert keys.choose(plain, "user:1") == (plain, False)
