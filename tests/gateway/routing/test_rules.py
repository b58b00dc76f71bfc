"""Rules that send calls elsewhere than they ask for, with the SDK, against a server with upstreams that tests play."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from openai import InternalServerError, OpenAI, RateLimitError

from tests.gateway.routing.conftest import NAMES
from tests.support.fixtures import USER
from tests.support.installation import Gateway, Installation
from tests.support.manifests import ACCESS, chat_model, provider
from tests.support.stage import Stage, Turn, completion

RESPONSE = {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [], "usage": None}
MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]
SPREAD = {
    "type": "gateway-load-balancing-config",
    "name": "spread",
    "rules": [
        {
            "id": "audited",
            "mode": "audit",
            "type": "priority-based-routing",
            "when": {"models": ["one/moved"]},
            "load_balance_targets": [{"target": "three/m"}],
        },
        {
            "id": "moves",
            "type": "priority-based-routing",
            "when": {"models": ["one/moved"], "metadata": {"env": "prod"}},
            "load_balance_targets": [
                {"target": "three/m", "priority": 0, "metadata_match": {"never": "so"}},
                {"target": "two/m", "priority": 1, "override_params": {"temperature": 0.5}},
                {"target": "one/m", "priority": 2},
            ],
        },
        {
            "id": "nowhere",
            "type": "weight-based-routing",
            "when": {"models": ["one/lost"]},
            "load_balance_targets": [{"target": "nobody/m", "weight": 1}],
        },
    ],
}
FALLBACK = {
    "type": "gateway-fallback-config",
    "name": "backup",
    "rules": [
        {
            "id": "limits",
            "when": {"models": ["one/kept"], "response_status_codes": ["429"]},
            "fallback_models": [{"target": "two/m", "override_params": {"temperature": 0.25}}],
        },
        {
            "id": "faults",
            "when": {"models": ["one/kept"], "response_status_codes": [429, 500]},
            "fallback_models": [{"target": "nobody/m"}, {"target": "three/m"}],
        },
        {
            "id": "virtual",
            "when": {"models": ["one/through"], "response_status_codes": ["503"]},
            "fallback_models": [{"target": "smart/chaos", "override_params": {"seed": 5}}],
        },
    ],
}


def budget(name: str, models: list[str], cheaper: str, limit: float, mode: str = "enforce") -> dict[str, Any]:
    """A budget of each user that sends calls to a cheaper model from half of it on. A call costs 5 µ$ or more."""
    return {
        "type": "tenant-budget-config",
        "name": name,
        "when": {"models": {"in": models}},
        "limits": {"cost_per_day": limit},
        "applies_to": {"type": "per-user"},
        "mode": mode,
        "cheaper": {"from_percent": 50, "target": cheaper},
    }


BUDGETS = [
    budget("thrifty", ["one/dear"], "one/cheap", 0.02),
    budget("small", ["one/tiny"], "one/cheap", 0.02),
    budget("foreign", ["one/strange"], "two/m", 0.0001),
    {**budget("hedges", ["smart/hedged"], "one/cheap", 0.01), "cheaper": None},
    budget("watching", ["one/watched"], "one/cheap", 0.0001, mode="audit"),
]


def virtual(name: str, *targets: str, **fields: Any) -> dict[str, Any]:
    """A model of the account ``smart`` over ``targets``, by priority."""
    kind = fields.pop("kind", "priority-based-routing")
    listed: list[dict[str, Any]] = [{"target": target} for target in targets]
    if kind == "priority-based-routing":
        listed = [{**target, "priority": number} for number, target in enumerate(listed)]
    routing = {"type": kind, "load_balance_targets": listed, **fields}
    types = ["chat", "responses"]
    return {"type": "integration/model/virtual", "name": name, "model_types": types, "routing_config": routing}


SMART = {
    "type": "provider-account/virtual-model",
    "name": "smart",
    "collaborators": [{"subject": f"user:{USER}", "role_id": ACCESS}],
    "integrations": [
        virtual("mirrored", "one/m", mirror={"target": "three/m", "percent": 100, "override_params": {"seed": 7}}),
        virtual("chaos", "one/chaos", "two/chaos", "three/chaos"),
        virtual("cheapest", "one/costly", "two/m", kind="cost-based-routing"),
        virtual("hedged", "one/h", "two/h", "three/h", hedge={"percentile": 95, "pays_twice": True}),
        virtual("capped", "one/m", mirror={"target": "three/kept", "percent": 100}),
    ],
}
MIRROR_BUDGET = {
    **budget("shadows", ["three/kept"], "one/cheap", 0.0001),
    "when": {
        "models": {"in": ["three/kept"]},
        "subjects": {"virtual_accounts": {"in": ["gatehouse/mirror"]}},
    },
    "applies_to": {"type": "aggregate"},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, stages: list[Stage]) -> Iterator[Gateway]:
    """Three accounts, of which callers may use the first."""
    with Installation(tmp_path_factory.mktemp("rules") / "data", migrated_data) as installation:
        names = (
            "m",
            "moved",
            "lost",
            "kept",
            "dear",
            "cheap",
            "tiny",
            "strange",
            "watched",
            "h",
            "costly",
            "chaos",
            "through",
        )
        models = [
            chat_model(
                name,
                model_types=["chat", "responses"],
                model_id="gpt-4o" if name in ("tiny", "costly") else "gpt-4o-mini",
            )
            for name in names
        ]
        accounts = [
            provider(name, stage.url, models=models, access=(f"user:{USER}",) if name == "one" else ())
            for name, stage in zip(NAMES, stages, strict=True)
        ]
        installation.apply(*accounts, SPREAD, FALLBACK, *BUDGETS, SMART, MIRROR_BUDGET)
        yield installation.gateway()


@pytest.fixture(scope="module")
def client(server: Gateway) -> Iterator[OpenAI]:
    with server.sdk(server.token("ruled", user=USER), max_retries=0) as sdk:
        yield sdk


@pytest.fixture(autouse=True)
def _all_answer(stages: list[Stage]) -> None:
    for name, stage in zip(NAMES, stages, strict=True):
        stage.play(lambda turn, name=name: turn.answer(completion(name, 5, 7)))


def refuse(status: int) -> Any:
    return lambda turn: turn.answer({"error": {"message": "no", "type": "server_error", "code": None}}, status)


def asked(client: OpenAI, model: str, **options: Any) -> tuple[str, Any]:
    """Return who answered, and the answer's headers."""
    raw = client.chat.completions.with_raw_response.create(model=model, messages=MESSAGES, **options)
    return raw.parse().choices[0].message.content or "", raw.headers


def test_a_rule_sends_what_it_fits_to_its_targets(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    assert asked(client, "one/moved")[0] == "one"
    prod = {"extra_headers": {"x-tfy-metadata": '{"env": "prod"}'}}
    who, headers = asked(client, "one/moved", **prod)
    assert who == "two"
    assert headers["x-tfy-resolved-model"] == "two/m"
    assert msgspec.json.decode(headers["x-tfy-applied-rules"]) == {"routing": ["spread/moves"]}
    assert msgspec.json.decode(stages[1].turns[0].body)["temperature"] == 0.5
    stages[1].play(refuse(503))
    who, headers = asked(client, "one/moved", **prod)
    assert who == "one"
    records = server.installation.records(2, request_id=headers["x-request-id"])
    assert [(each["model_asked"], each["model_resolved"]) for each in records] == [
        ("one/moved", "two/m"),
        ("one/moved", "one/m"),
    ]


def test_a_rule_without_a_target_that_is_there_says_so(client: OpenAI) -> None:
    with pytest.raises(InternalServerError) as caught:
        asked(client, "one/lost")
    assert caught.value.code == "no_target_available"
    assert "the rule 'spread/nowhere'" in caught.value.message
    assert "nobody/m: is not there" in caught.value.message


@pytest.mark.parametrize(("status", "who"), [(429, "two"), (500, "three")])
def test_the_first_fallback_with_the_status_answers(client: OpenAI, stages: list[Stage], status: int, who: str) -> None:
    stages[0].play(refuse(status))
    said, headers = asked(client, "one/kept")
    assert said == who
    assert msgspec.json.decode(headers["x-tfy-applied-rules"]) == {"routing": ["backup/limits", "backup/faults"]}
    assert len(stages[0].turns) == 1


def test_a_fallback_may_be_a_virtual_model(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    stages[0].play(refuse(503))
    said, headers = asked(client, "one/through")
    assert said == "two"
    assert msgspec.json.decode(stages[1].turns[0].body)["seed"] == 5
    records = server.installation.records(3, request_id=headers["x-request-id"])
    assert [(each["model_resolved"], each["decision"].get("via", "")) for each in records] == [
        ("one/through", ""),
        ("one/chaos", "smart/chaos"),
        ("two/chaos", "smart/chaos"),
    ]


def test_other_statuses_are_the_calls_answer(client: OpenAI, stages: list[Stage]) -> None:
    stages[0].play(refuse(503))
    with pytest.raises(InternalServerError):
        asked(client, "one/kept")
    assert not stages[1].turns
    assert not stages[2].turns


def test_a_fallback_stays_with_its_rule(client: OpenAI, stages: list[Stage]) -> None:
    """What was chosen for a 429 and fails with a 500 does not go on to the rule for a 500."""
    stages[0].play(refuse(429))
    stages[1].play(refuse(500))
    with pytest.raises(InternalServerError):
        asked(client, "one/kept")
    assert msgspec.json.decode(stages[1].turns[0].body)["temperature"] == 0.25
    assert not stages[2].turns


def test_an_address_that_names_its_account_stays_there(server: Gateway) -> None:
    answer = server.post(
        server.token("bound", user=USER),
        "/v1/accounts/one/chat/completions",
        {"model": "moved", "messages": MESSAGES},
        headers={"x-tfy-metadata": '{"env": "prod"}'},
    )
    assert answer.json()["choices"][0]["message"]["content"] == "one"


def test_the_cheapest_target_that_does_well_answers(client: OpenAI, stages: list[Stage]) -> None:
    """gpt-4o costs sixteen times as much as gpt-4o-mini."""
    assert {asked(client, "smart/cheapest")[0] for _ in range(8)} == {"two"}
    stages[1].play(refuse(503))
    assert asked(client, "smart/cheapest")[0] == "one"


def test_callers_see_nothing_of_targets_that_fail_in_turn(client: OpenAI, stages: list[Stage]) -> None:
    """Two of three fail at any time, each in its own way: by status, by hanging up, by a stream that begins with an
    error. Calls are whole and streamed in turn."""

    def hangs_up(turn: Turn) -> None:
        turn.begin_answer(100)

    def breaks(turn: Turn) -> None:
        turn.begin_stream()
        turn.event({"error": {"message": "overloaded", "type": "server_error", "code": None}})

    faults = [refuse(503), hangs_up, breaks, refuse(429), refuse(500), refuse(401)]
    answered = set()
    for number in range(12):
        up = number % 3
        for place, stage in enumerate(stages):
            stage.play(faults[(number + place) % len(faults)])
        ways = (answer_of(NAMES[up]), story(NAMES[up]))
        stages[up].play(lambda turn, ways=ways: ways[b'"stream":true' in turn.body](turn))
        for _ in range(2):
            answered.add(asked(client, "smart/chaos")[0])
            answered.add(streamed(client, "smart/chaos"))
    assert answered == set(NAMES)


def answer_of(name: str) -> Any:
    return lambda turn: turn.answer(completion(name, 5, 7))


def test_why_and_explain_say_it(server: Gateway, client: OpenAI) -> None:
    _, headers = asked(client, "one/moved", extra_headers={"x-tfy-metadata": '{"env": "prod"}'})
    server.installation.records(1, request_id=headers["x-request-id"])
    why = server.installation.command("why", headers["x-request-id"]).stdout
    assert "routing: spread/audited (audit); spread/moves" in why
    assert "skipped: three/m: is for other metadata" in why
    _, headers = asked(client, "one/kept")
    server.installation.records(1, request_id=headers["x-request-id"])
    assert "skipped: nobody/m: is not there" in server.installation.command("why", headers["x-request-id"]).stdout
    explain = server.installation.command("explain", "--as", USER, "--model", "smart/mirrored").stdout
    assert "priority-based-routing over one/m; copies of 100% of the calls go to three/m" in explain
    explain = server.installation.command("explain", "--as", USER, "--model", "one/kept").stdout
    assert "fallback rule backup/limits (enforce): after 429 goes on to two/m" in explain


def test_from_a_share_of_the_budget_on_calls_go_to_the_cheaper_target(server: Gateway, client: OpenAI) -> None:
    """20 m$ a day; a call reserves 6 m$ (10,000 tokens of output at 0.6 µ$), and costs some µ$ in the end."""
    options = {"max_tokens": 10_000}
    _, headers = asked(client, "one/dear", **options)
    assert headers["x-tfy-resolved-model"] == "one/dear"
    _, headers = asked(client, "one/dear", max_tokens=20_000)  # with its reservation of 12 m$ more than half is used
    assert headers["x-tfy-resolved-model"] == "one/dear"
    _, headers = asked(client, "one/dear", **options)
    assert headers["x-tfy-resolved-model"] == "one/cheap"
    assert "thrifty" in headers["x-tfy-applied-rules"]
    (record,) = server.installation.records(1, request_id=headers["x-request-id"])
    assert (record["model_asked"], record["model_resolved"]) == ("one/dear", "one/cheap")
    assert record["decision"]["cheaper"] == "thrifty moved it from one/dear to one/cheap at 60% of cost_per_day"


def test_what_the_budget_has_no_room_for_moves_at_once(server: Gateway, client: OpenAI) -> None:
    """gpt-4o could cost 50 m$ of the 20, gpt-4o-mini 3."""
    _, headers = asked(client, "one/tiny", max_tokens=5_000)
    assert headers["x-tfy-resolved-model"] == "one/cheap"
    (record,) = server.installation.records(1, request_id=headers["x-request-id"])
    assert record["decision"]["cheaper"] == "small moved it from one/tiny to one/cheap without room in cost_per_day"


def test_who_may_not_use_the_cheaper_target_is_refused_as_before(client: OpenAI) -> None:
    with pytest.raises(RateLimitError) as caught:
        asked(client, "one/strange")
    assert caught.value.code == "budget_exceeded"


def test_an_audit_only_says_what_it_would_do(server: Gateway, client: OpenAI) -> None:
    for _ in range(2):
        _, headers = asked(client, "one/watched")
        assert headers["x-tfy-resolved-model"] == "one/watched"
    (record,) = server.installation.records(1, request_id=headers["x-request-id"])
    assert record["decision"]["cheaper"].endswith("(audit)")


def test_a_mirror_gets_a_copy_that_is_recorded_apart(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    who, headers = asked(client, "smart/mirrored", max_tokens=50)
    assert who == "one"
    sent = [msgspec.json.decode(stage.turn().body) for stage in (stages[0], stages[2])]
    assert sent[1] == {**sent[0], "seed": 7}
    (record,) = server.installation.records(1, request_id=headers["x-request-id"])
    model, _, shadow_id = record["decision"]["mirrored"].partition(" as ")
    assert (record["account"], model) == ("one", "three/m")
    (shadow,) = server.installation.records(1, request_id=shadow_id)
    assert (shadow["subject_type"], shadow["subject_name"]) == ("virtualaccount", "gatehouse/mirror")
    assert (shadow["model_asked"], shadow["model_resolved"], shadow["status"]) == ("three/m", "three/m", 200)
    assert shadow["cost_pico"] == record["cost_pico"] > 0
    assert shadow["decision"]["mirror_of"] == headers["x-request-id"]


def test_no_caller_waits_for_a_mirror_or_sees_it_fail(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    stages[2].play(lambda turn: turn.wait_until_left(2.0))
    began = time.monotonic()
    assert asked(client, "smart/mirrored")[0] == "one"
    assert time.monotonic() - began < 1.5
    stages[2].turn()
    stages[2].play(refuse(500))
    _, headers = asked(client, "smart/mirrored")
    (record,) = server.installation.records(1, request_id=headers["x-request-id"])
    (shadow,) = server.installation.records(1, request_id=record["decision"]["mirrored"].partition(" as ")[2])
    assert shadow["status"] == 500
    assert asked(client, "smart/mirrored", extra_body={"background": "dark"})[0] == "one"


def test_a_stream_is_mirrored_as_one(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    def story(turn: Turn) -> None:
        turn.begin_stream()
        turn.text("a")
        turn.text("", finish_reason="stop")
        turn.usage(5, 7)
        turn.event("[DONE]")

    stages[0].play(story)
    stages[2].play(story)
    stream = client.chat.completions.create(model="smart/mirrored", messages=MESSAGES, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == "a"
    shadows = {"subject_name": "gatehouse/mirror", "stream": True}
    (shadow,) = server.installation.records(1, **shadows)
    assert (shadow["output_tokens"], shadow["ttft_us"] is not None) == (7, True)


def test_what_would_happen_twice_is_not_mirrored(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    """A mirror must neither act, nor leave a stored response behind."""
    for stage in stages:
        stage.play(lambda turn: turn.answer(RESPONSE))
    client.responses.create(model="smart/mirrored", input="hi", tools=[{"type": "web_search"}])
    client.responses.create(model="smart/mirrored", input="hi")
    assert msgspec.json.decode(stages[2].turn().body)["store"] is False
    assert "store" not in msgspec.json.decode(stages[0].turn(1).body)
    assert len(stages[2].turns) == 1


def test_a_budget_of_the_mirrors_own_bounds_it(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    who, headers = asked(client, "smart/capped")
    assert who == "one"
    (record,) = server.installation.records(1, request_id=headers["x-request-id"])
    (shadow,) = server.installation.records(1, request_id=record["decision"]["mirrored"].partition(" as ")[2])
    assert (shadow["status"], shadow["error_class"], shadow["attempt_number"]) == (429, "budget_exceeded", 0)
    assert not stages[2].turns


@pytest.fixture(scope="module")
def quick(client: OpenAI, stages: list[Stage]) -> None:
    """The first target is known to be quick, whole and streamed, by more answers than the tests make slow ones."""
    stages[0].play(lambda turn: turn.answer(completion("one", 5, 7)))
    for _ in range(30):
        assert asked(client, "smart/hedged", max_tokens=1)[0] == "one"
    stages[0].play(story("one"))
    for _ in range(30):
        streamed(client)


def story(name: str) -> Any:
    def play(turn: Turn) -> None:
        turn.begin_stream()
        turn.text(name)
        turn.text("", finish_reason="stop")
        turn.usage(5, 7)
        turn.event("[DONE]")

    return play


def streamed(client: OpenAI, model: str = "smart/hedged") -> str:
    stream = client.chat.completions.create(model=model, messages=MESSAGES, stream=True, max_tokens=1)
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def slowly(script: Any, seconds: float = 0.6) -> Any:
    def play(turn: Turn) -> None:
        if turn.wait_until_left(seconds) is None:
            script(turn)

    return play


@pytest.mark.usefixtures("quick")
def test_a_slow_answer_gets_company_and_the_first_one_counts(
    server: Gateway, client: OpenAI, stages: list[Stage]
) -> None:
    stages[0].play(slowly(lambda turn: turn.answer(completion("one", 5, 7)), 5.0))
    stages[1].play(lambda turn: turn.answer(completion("two", 5, 7)))
    began = time.monotonic()
    who, headers = asked(client, "smart/hedged", max_tokens=10)
    assert (who, headers["x-tfy-resolved-model"]) == ("two", "two/h")
    assert time.monotonic() - began < 2.0
    assert stages[0].ended().left_at is not None, "the slow one was not given up"
    records = server.installation.records(2, request_id=headers["x-request-id"])
    lost, won = sorted(records, key=lambda each: str(each["attempt_number"]))
    assert (lost["account"], won["account"], lost["attempt_number"], won["attempt_number"]) == ("one", "two", 1, 2)
    assert (lost["error_class"], lost["estimated"], lost["client_gone"]) == ("", True, False)
    assert lost["cost_pico"] > 0, "the provider may bill it"
    assert won["cost_pico"] > lost["cost_pico"]
    assert lost["decision"]["hedge"] == "another target answered first"
    assert won["decision"]["hedge"].startswith("second request, ")
    why = server.installation.command("why", headers["x-request-id"]).stdout
    assert "attempt 1 at one/h" in why
    assert "attempt 2 at two/h" in why
    assert server.installation.command("check_budgets").returncode == 0  # nothing differs


@pytest.mark.usefixtures("quick")
def test_a_stream_is_taken_from_who_begins_first(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    stages[0].play(slowly(story("one"), 5.0))
    stages[1].play(story("two"))
    assert streamed(client) == "two"
    stages[0].play(slowly(story("one"), 0.3))
    stages[1].play(slowly(story("two"), 5.0))
    assert streamed(client) == "one"
    assert stages[1].ended().left_at is not None


@pytest.mark.usefixtures("quick")
def test_a_second_request_that_fails_leaves_the_first(client: OpenAI, stages: list[Stage]) -> None:
    stages[0].play(slowly(lambda turn: turn.answer(completion("one", 5, 7))))
    stages[1].play(refuse(503))
    assert asked(client, "smart/hedged", max_tokens=10)[0] == "one"
    assert len(stages[1].turns) == 1
    stages[0].play(slowly(refuse(503), 0.3))
    stages[1].play(slowly(lambda turn: turn.answer(completion("two", 5, 7))))
    stages[2].play(refuse(503))
    assert asked(client, "smart/hedged", max_tokens=10)[0] == "two"


@pytest.mark.usefixtures("quick")
def test_what_a_budget_has_no_room_for_is_not_asked_twice(client: OpenAI, stages: list[Stage]) -> None:
    """10 m$ a day: a reservation of 6 m$ fits once."""
    stages[0].play(slowly(lambda turn: turn.answer(completion("one", 5, 7)), 0.4))
    stages[1].play(lambda turn: turn.answer(completion("two", 5, 7)))
    assert asked(client, "smart/hedged", max_tokens=10_000)[0] == "one"
    assert not stages[1].turns


@pytest.mark.usefixtures("quick")
def test_what_must_not_happen_twice_is_not_hedged(client: OpenAI, stages: list[Stage]) -> None:
    stages[0].play(slowly(lambda turn: turn.answer(RESPONSE), 0.4))
    client.responses.create(model="smart/hedged", input="hi", max_output_tokens=16)  # a stored one
    search: Any = [{"type": "web_search"}]
    client.responses.create(model="smart/hedged", input="hi", max_output_tokens=16, store=False, tools=search)
    assert len(stages[0].turns) == 2
    assert not stages[1].turns
