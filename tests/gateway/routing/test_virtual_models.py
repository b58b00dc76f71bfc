"""A virtual model, called with the SDK: it answers although some of its targets are down, and says who answered."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from openai import (
    APIError,
    APIStatusError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    PermissionDeniedError,
)

from tests.gateway.routing.conftest import NAMES
from tests.support.fixtures import USER
from tests.support.installation import Gateway, Installation
from tests.support.manifests import ACCESS, chat_model, provider
from tests.support.servers import wait_until
from tests.support.stage import Stage, Turn, completion

REST_SECONDS = 4
MESSAGES: list[Any] = [{"role": "user", "content": "hi"}]


def virtual(name: str, *targets: dict[str, Any], kind: str = "priority-based-routing", **fields: Any) -> dict[str, Any]:
    """A model of the account ``smart`` over ``targets``."""
    return {
        "type": "integration/model/virtual",
        "name": name,
        "model_types": fields.pop("model_types", ["chat"]),
        "routing_config": {"type": kind, "load_balance_targets": list(targets), **fields},
    }


def target(number: int, **fields: Any) -> dict[str, Any]:
    return {"target": f"{NAMES[number]}/m", "priority": number, **fields}


SMART = {
    "type": "provider-account/virtual-model",
    "name": "smart",
    "collaborators": [{"subject": f"user:{USER}", "role_id": ACCESS}],
    "integrations": [
        virtual("chat", target(0), target(1), target(2)),
        virtual("retried", target(0, retry_config={"attempts": 2, "delay": 1}), target(1)),
        virtual("strict", target(0, fallback_status_codes=["503"]), target(1)),
        virtual(
            "changed",
            target(
                0,
                override_params={"temperature": 0.25, "max_tokens": 7},
                headers_override={"set": {"x-team": "search"}, "remove": ["openai-beta"]},
            ),
            target(1, override_params={"temperature": 0.75}),
        ),
        virtual("thinking", target(0), target(1), model_types=["responses"]),
        virtual("prod", target(0, metadata_match={"env": "prod"})),
        virtual(
            "sticky",
            {"target": "one/m", "weight": 50},
            {"target": "two/m", "weight": 50},
            kind="weight-based-routing",
            sticky_routing={
                "ttl_seconds": 600,
                "session_identifiers": [{"source": "metadata", "key": "session"}],
            },
        ),
        virtual("vectors", target(0), {"target": "two/e", "priority": 1}, model_types=["embedding"]),
        virtual("mixed", {"target": "claude/c", "priority": 0}, target(1)),
        virtual(
            "outer",
            {
                "target": "smart/inner",
                "priority": 0,
                "override_params": {"temperature": 0.75},
                "headers_override": {"set": {"x-way": "outer"}},
            },
            target(2),
        ),
        virtual("inner", target(0, override_params={"temperature": 0.25, "seed": 3}), target(1)),
    ],
}
CLAUDES = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "c",
    "content": [{"type": "text", "text": "claude"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 5, "output_tokens": 7},
}
"""An answer in Anthropic's dialect."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, stages: list[Stage]) -> Iterator[Gateway]:
    """Three accounts that no one may use by themselves, and virtual models over them."""
    with Installation(tmp_path_factory.mktemp("routing") / "data", migrated_data) as installation:
        models = [
            chat_model("m", model_id="gpt-4o-mini", model_types=["chat", "responses"]),
            {"name": "e", "model_types": ["embedding"]},
        ]
        accounts = [
            provider(name, stage.url, models=models, access=()) for name, stage in zip(NAMES, stages, strict=True)
        ]
        claude = [chat_model("c", type="integration/model/anthropic")]
        accounts.append(provider("claude", stages[2].url, models=claude, access=(), type="provider-account/anthropic"))
        installation.apply(SMART, *accounts)  # its targets come behind it
        yield installation.gateway()


@pytest.fixture(scope="module")
def token(server: Gateway) -> str:
    return server.token("router", user=USER)


@pytest.fixture
def client(server: Gateway, token: str) -> Iterator[OpenAI]:
    with server.sdk(token, max_retries=0) as sdk:
        yield sdk


refused: list[int] = []
"""What targets were made to refuse with since the server started."""


@pytest.fixture(autouse=True)
def all_well(server: Gateway, stages: list[Stage]) -> None:
    """Every target answers with its name, and is known to be well: what a process knows of them is its own."""
    play_names(stages)
    if refused:
        refused.clear()
        server.kill()
        server.__enter__()


def play_names(stages: list[Stage]) -> None:
    for name, stage in zip(NAMES, stages, strict=True):
        stage.play(lambda turn, name=name: turn.answer(completion(name, 5, 7)))


def refuse(status: int, headers: dict[str, str] | None = None) -> Any:
    refused.append(status)
    error = {"error": {"message": "no", "type": "server_error", "code": None}}
    return lambda turn: turn.answer(error, status, headers)


def said(client: OpenAI, model: str, **options: Any) -> str:
    answer = client.chat.completions.create(model=f"smart/{model}", messages=MESSAGES, **options)
    return answer.choices[0].message.content or ""


def test_it_answers_although_two_of_three_are_down(
    server: Gateway, client: OpenAI, token: str, stages: list[Stage]
) -> None:
    assert said(client, "chat") == "one"
    stages[0].play(refuse(503))
    stages[1].play(refuse(401))
    raw = client.chat.completions.with_raw_response.create(model="smart/chat", messages=MESSAGES)
    assert raw.parse().choices[0].message.content == "three"
    assert raw.headers["x-tfy-resolved-model"] == "three/m"
    records = server.installation.records(3, request_id=raw.headers["x-request-id"])
    assert [(each["account"], each["status"], each["attempt_number"]) for each in records] == [
        ("one", 503, 1),
        ("two", 401, 2),
        ("three", 200, 3),
    ]
    assert {each["model_asked"] for each in records} == {"smart/chat"}
    assert records[2]["cost_pico"] > 0


def test_a_stream_goes_elsewhere_before_its_first_event(client: OpenAI, stages: list[Stage]) -> None:
    stages[0].play(refuse(500))

    def broken(turn: Turn) -> None:
        turn.begin_stream()
        turn.event({"error": {"message": "overloaded", "type": "server_error", "code": None}})

    def story(turn: Turn) -> None:
        turn.begin_stream()
        turn.text("thr")
        turn.text("ee")
        turn.text("", finish_reason="stop")
        turn.event("[DONE]")

    stages[1].play(broken)
    stages[2].play(story)
    chunks = list(client.chat.completions.create(model="smart/chat", messages=MESSAGES, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "three"


def test_a_response_that_failed_is_a_failed_attempt(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    """It comes with a 200, whole or as the first event of a stream."""
    refused.append(500)
    error = {"code": "server_error", "message": "The model broke."}

    def response(status: str, **fields: Any) -> dict[str, Any]:
        return {"id": f"resp_{status}", "object": "response", "status": status, "model": "m", "output": [], **fields}

    def broken(turn: Turn) -> None:
        turn.begin_stream()
        turn.event({"type": "response.failed", "sequence_number": 0, "response": response("failed", error=error)})

    def good(turn: Turn) -> None:
        turn.begin_stream()
        turn.event({"type": "response.completed", "sequence_number": 0, "response": response("completed")})

    stages[0].play(lambda turn: turn.answer(response("failed", error=error)))
    stages[1].play(lambda turn: turn.answer(response("completed")))
    answer = client.responses.with_raw_response.create(model="smart/thinking", input="hi")
    assert answer.parse().status == "completed"
    records = server.installation.records(2, request_id=answer.headers["x-request-id"])
    assert [(each["account"], each["error_class"], each["error_message"]) for each in records] == [
        ("one", "upstream_error", "The model broke."),
        ("two", "", ""),
    ]
    stages[0].play(broken)
    stages[1].play(good)
    events = list(client.responses.create(model="smart/thinking", input="hi", stream=True))
    assert [event.type for event in events] == ["response.completed"]


def test_what_failed_twice_is_not_asked_first(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    stages[0].play(refuse(500))
    assert [said(client, "chat") for _ in range(4)] == ["two"] * 4
    assert len(stages[0].turns) == 2
    raw = client.chat.completions.with_raw_response.create(model="smart/chat", messages=MESSAGES)
    (record,) = server.installation.records(1, request_id=raw.headers["x-request-id"])
    assert record["decision"]["resting"] == ["one/m: failed with 500"]


def test_all_down_is_the_last_ones_answer(client: OpenAI, stages: list[Stage]) -> None:
    for stage in stages:
        stage.play(refuse(503))
    with pytest.raises(InternalServerError) as failed:
        said(client, "chat")
    assert failed.value.status_code == 503
    assert [len(stage.turns) for stage in stages] == [1, 1, 1]


def test_retries_are_a_targets_own(client: OpenAI, stages: list[Stage]) -> None:
    stages[0].play(refuse(503))
    assert said(client, "retried") == "two"
    assert len(stages[0].turns) == 3


def test_a_status_that_is_not_listed_stands(client: OpenAI, stages: list[Stage]) -> None:
    stages[0].play(refuse(400))
    with pytest.raises(BadRequestError):
        said(client, "chat")
    assert not stages[1].turns
    stages[0].play(refuse(500))
    with pytest.raises(InternalServerError):
        said(client, "strict")
    assert not stages[1].turns


def test_what_a_provider_may_bill_is_not_paid_twice_where_the_rule_does_not_say_so(
    client: OpenAI, stages: list[Stage]
) -> None:
    """A connection that broke after the request had gone out counts as a 502, which this model does not list."""
    refused.append(502)
    stages[0].play(lambda turn: turn.begin_answer(100))
    with pytest.raises(InternalServerError) as broken:
        said(client, "strict")
    assert broken.value.status_code == 502
    assert (len(stages[0].turns), len(stages[1].turns)) == (1, 0)


def test_a_target_gets_its_own_parameters_and_headers(client: OpenAI, stages: list[Stage]) -> None:
    beta = {"OpenAI-Beta": "assistants=v2"}
    assert said(client, "changed", temperature=1, extra_headers=beta) == "one"
    body = json.loads(stages[0].turn().body)
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0.25, 7, "gpt-4o-mini")
    assert stages[0].turn().headers["x-team"] == "search"
    assert "openai-beta" not in stages[0].turn().headers
    stages[0].play(refuse(503))
    assert said(client, "changed", temperature=1, extra_headers=beta) == "two"
    body = json.loads(stages[1].turn().body)
    assert body["temperature"] == 0.75
    assert "max_tokens" not in body, "the first target's parameters are its own"
    assert stages[1].turn().headers["openai-beta"] == "assistants=v2"


def test_a_targets_headers_go_with_the_second_try_without_stream_options(client: OpenAI, stages: list[Stage]) -> None:
    def strict(turn: Turn) -> None:
        if b"stream_options" in turn.body:
            turn.answer({"error": {"message": "stream_options is not known", "type": "invalid_request_error"}}, 400)
            return
        turn.begin_stream()
        turn.text("one", finish_reason="stop")
        turn.event("[DONE]")

    stages[0].play(strict)
    chunks = list(client.chat.completions.create(model="smart/changed", messages=MESSAGES, stream=True))
    assert chunks[0].choices[0].delta.content == "one"
    assert [turn.headers.get("x-team") for turn in stages[0].turns] == ["search", "search"]


def test_a_fault_of_the_callers_does_not_make_a_target_rest(client: OpenAI, stages: list[Stage]) -> None:
    """Be it found here, or said by the target as the first event of a stream."""
    stages[2].play(lambda turn: turn.answer(CLAUDES))
    for _ in range(2):
        with pytest.raises(BadRequestError, match="logit_bias"):
            said(client, "mixed", logit_bias={"1": 1}, extra_headers={"x-gatehouse-strict": "true"})
    assert said(client, "mixed") == "claude"

    def too_long(turn: Turn) -> None:
        turn.begin_stream()
        turn.event({"error": {"message": "too long", "type": "invalid_request_error", "code": None}})

    stages[0].play(too_long)
    for _ in range(2):
        with pytest.raises(APIError, match="too long"):
            list(client.chat.completions.create(model="smart/chat", messages=MESSAGES, stream=True))
    play_names(stages)
    assert said(client, "chat") == "one"


def test_what_can_not_hold_the_text_is_skipped(client: OpenAI) -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "A" * 1_100_000, "format": "wav"}}
    heard: Any = [{"role": "user", "content": [audio]}]
    assert client.chat.completions.create(model="smart/chat", messages=heard).choices[0].message.content == "one"
    escaped = json.dumps({"model": "smart/chat", "messages": [{"role": "user", "content": "水" * 190_000}]}).encode()
    assert len(escaped) > 1_100_000
    headers = {"authorization": f"Bearer {client.api_key}", "content-type": "application/json"}
    answer = httpx.post(f"{client.base_url}chat/completions", content=escaped, headers=headers)
    assert answer.status_code == 200, answer.text
    with pytest.raises(APIStatusError, match="takes 128000 tokens at most"):
        client.chat.completions.create(model="smart/chat", messages=[{"role": "user", "content": "a" * 1_100_000}])


def test_metadata_chooses_and_nobody_left_is_said(client: OpenAI) -> None:
    headers = {"x-tfy-metadata": '{"env": "prod"}'}
    assert said(client, "prod", extra_headers=headers) == "one"
    with pytest.raises(APIStatusError) as refused:
        said(client, "prod")
    assert refused.value.status_code == 503
    assert refused.value.code == "no_target_available"
    assert "one/m: is for other metadata" in refused.value.message


def test_a_session_stays(client: OpenAI) -> None:
    seen = set()
    for session in range(12):
        headers = {"x-tfy-metadata": json.dumps({"session": f"s{session}"})}
        answers = {said(client, "sticky", extra_headers=headers) for _ in range(3)}
        assert len(answers) == 1
        seen |= answers
    assert seen == {"one", "two"}


def test_a_target_that_can_not_take_the_call_is_skipped(client: OpenAI, stages: list[Stage]) -> None:
    data = [{"object": "embedding", "index": 0, "embedding": [0.5]}]
    vector = {"object": "list", "data": data, "model": "e", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    stages[1].play(lambda turn: turn.answer(vector))
    assert client.embeddings.create(model="smart/vectors", input="hi").data[0].embedding == [0.5]
    assert not stages[0].turns
    with pytest.raises(BadRequestError, match="chat is not supported"):
        said(client, "vectors")
    with pytest.raises(BadRequestError, match="embedding is not supported"):
        client.embeddings.create(model="smart/chat", input="hi")


def test_the_targets_themselves_stay_closed(client: OpenAI) -> None:
    with pytest.raises(NotFoundError):
        client.chat.completions.create(model="one/m", messages=MESSAGES)


def test_it_is_listed_and_a_token_may_be_limited_to_it(server: Gateway, client: OpenAI) -> None:
    assert "smart/chat" in {model.id for model in client.models.list()}
    limited = server.token("narrow", limits=["smart/chat"], user=USER)
    with server.sdk(limited, max_retries=0) as narrow:
        assert said(narrow, "chat") == "one"
        with pytest.raises(NotFoundError):
            said(narrow, "sticky")


def test_calls_without_a_model_do_not_go_there(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="virtual models only"):
        client.files.list(extra_headers={"x-tfy-provider-name": "smart"})


def test_a_target_that_is_deleted_is_skipped_at_once(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    server.installation.apply(provider("gone", stages[0].url, models=[chat_model("m")], access=()))
    more = {**SMART, "integrations": [*SMART["integrations"], virtual("gone", {"target": "gone/m"}, target(1))]}
    server.installation.apply(more)
    wait_until(lambda: "smart/gone" in {model.id for model in client.models.list()})
    assert said(client, "gone") == "one"
    server.installation.do("delete_account", "gone")

    def is_skipped() -> bool:
        try:
            return said(client, "gone") == "two"
        except PermissionDeniedError as error:
            if error.code != "access_ended":  # else this call was under way when the news came
                raise
            return False

    wait_until(is_skipped)


def test_a_target_that_is_renamed_is_known_to_fail(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    server.installation.apply(provider("former", stages[0].url, models=[chat_model("m")], access=()))
    more = {**SMART, "integrations": [*SMART["integrations"], virtual("former", {"target": "former/m"}, target(1))]}
    server.installation.apply(more)
    server.installation.do("rename", "former", "present")
    wait_until(lambda: "smart/former" in {model.id for model in client.models.list()})
    raw = client.chat.completions.with_raw_response
    wait_until(
        lambda: raw.create(model="smart/former", messages=MESSAGES).headers["x-tfy-resolved-model"] == "present/m"
    )
    stages[0].play(refuse(500))
    assert [said(client, "former") for _ in range(4)] == ["two"] * 4
    assert len(stages[0].turns) == 2


def test_a_virtual_model_is_a_target_of_another(
    server: Gateway, client: OpenAI, stages: list[Stage], token: str
) -> None:
    raw = client.chat.completions.with_raw_response.create(model="smart/outer", messages=MESSAGES)
    assert raw.headers["x-tfy-resolved-model"] == "one/m"
    body = json.loads(stages[0].turn().body)
    assert (body["temperature"], body["seed"]) == (0.75, 3), "the outer one over the inner one"
    assert stages[0].turn().headers["x-way"] == "outer"
    stages[0].play(refuse(503))
    stages[1].play(refuse(503))
    raw = client.chat.completions.with_raw_response.create(model="smart/outer", messages=MESSAGES)
    records = server.installation.records(3, request_id=raw.headers["x-request-id"])
    assert [(each["model_resolved"], each["decision"].get("via")) for each in records] == [
        ("one/m", "smart/inner"),
        ("two/m", "smart/inner"),
        ("three/m", ""),
    ]
    why = server.installation.command("why", raw.headers["x-request-id"]).stdout
    assert "attempt 1 at one/m (via smart/inner): 503" in why
    assert "attempt 3 at three/m: 200" in why
    explain = server.installation.command("explain", "--as", USER, "--model", "smart/outer").stdout
    assert "virtual model smart/outer: priority-based-routing over smart/inner, three/m" in explain
    assert "\n  smart/inner: priority-based-routing over one/m, two/m\n" in explain


def test_a_limit_of_an_inner_virtual_model_holds_for_calls_of_the_outer_one(server: Gateway, token: str) -> None:
    """On its own calls, by metadata: the others of this server are not for it."""
    limit = {
        "type": "tenant-rate-limit-config/model",
        "name": "inner",
        "when": {"models": {"in": ["smart/inner"]}, "metadata": {"of": {"in": ["nested"]}}},
        "limits": {"requests_per_hour": 1},
        "applies_to": {"type": "aggregate"},
        "mode": "enforce",
    }
    server.installation.apply(limit)
    headers = {"x-tfy-metadata": json.dumps({"of": "nested"})}

    def status(model: str) -> int:
        body = {"model": model, "messages": MESSAGES}
        return server.post(token, "/v1/chat/completions", body, headers=headers).status_code

    wait_until(lambda: status("smart/outer") == 429)
    assert [status("smart/inner"), status("smart/outer")] == [429, 429]


def test_manifests_come_back_as_they_were(server: Gateway) -> None:
    done = server.installation.command("export", "--account", "smart")
    assert done.returncode == 0, done.stderr
    (exported,) = list(yaml.safe_load_all(done.stdout))
    wanted = {each["name"]: each["routing_config"] for each in SMART["integrations"]}
    found = {each["name"]: each["routing_config"] for each in exported["integrations"] if each["name"] in wanted}
    assert found == wanted
    assert {each["type"] for each in exported["integrations"]} == {"integration/model/virtual"}


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (virtual("x", {"target": "nowhere/m"}), "the provider account 'nowhere' does not exist"),
        (virtual("x", {"target": "one/other"}), "the account has no such model"),
        (virtual("x", {"target": "smart/x"}), "lead back to themselves: smart/x -> smart/x."),
        (virtual("x", {"target": "one/m", "weight": 1}), "weight: is not known"),
    ],
)
def test_bad_manifests(server: Gateway, model: dict[str, Any], words: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(json.dumps({**SMART, "integrations": [*SMART["integrations"], model]}))
    done = server.installation.command("apply", "-f", str(file))
    assert done.returncode != 0
    assert words in done.stdout + done.stderr


def test_a_probe_brings_a_target_back(server: Gateway, client: OpenAI, stages: list[Stage]) -> None:
    stages[0].play(refuse(429, {"retry-after": str(REST_SECONDS)}))
    began = time.monotonic()
    assert [said(client, "chat") for _ in range(3)] == ["two"] * 3
    asked = len(stages[0].turns)
    play_names(stages)
    deadline = time.monotonic() + REST_SECONDS + 10
    while said(client, "chat") != "one":
        assert time.monotonic() < deadline, "the target did not come back"
        time.sleep(0.3)
    assert asked == 2
    assert time.monotonic() - began >= REST_SECONDS
