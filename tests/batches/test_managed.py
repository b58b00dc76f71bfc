"""Batches that Gatehouse runs itself: for accounts without batches of their own, and on demand."""

import json
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.batch_inputs import ended, jsonl, line
from tests.support.fixtures import USER
from tests.support.installation import Gateway
from tests.support.manifests import chat_model, provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

ACCOUNT = "plain"
MODEL = "gpt-4o-mini"
ENDPOINT = "/v1/chat/completions"
BAD = "[[sandbox: status=400 message=no]]"
RULE = {
    "id": "always",
    "type": "weight-based-routing",
    "when": {"models": ["openai-main/gpt-4o"]},
    "load_balance_targets": [{"target": f"openai-main/{MODEL}", "weight": 1}],
}
BUDGET = {
    "type": "tenant-budget-config",
    "name": "thrifty",
    "when": {"models": {"in": ["openai-main/o4-mini"]}},
    "limits": {"cost_per_day": 10},
    "applies_to": {"type": "per-user"},
    "mode": "enforce",
    "cheaper": {"from_percent": 0.0001, "target": f"openai-main/{MODEL}"},
}


@pytest.fixture(scope="module")
def plain(quick: Gateway, quick_upstream: SandboxProcess) -> Gateway:
    """A gateway with an account of a vendor without batches."""
    manifest = provider(ACCOUNT, quick_upstream.url, models=[chat_model(MODEL)])
    manifest["integrations"] = [{**each, "type": "integration/model/groq"} for each in manifest["integrations"]]
    quick.installation.apply({**manifest, "type": "provider-account/groq"})
    return quick


def sdk(gateway: Gateway, name: str, account: str = ACCOUNT, **headers: str) -> OpenAI:
    token = gateway.token(f"managed-{name}", user=f"{name}@managed.example")
    client = gateway.sdk(token, default_headers={"x-tfy-provider-name": account, **headers})
    wait_until(lambda: f"{account}/{MODEL}" in [each.id for each in client.models.list()])
    return client


def begin(client: OpenAI, *prompts: str) -> Any:
    return begin_lines(client, (line(number, prompt) for number, prompt in enumerate(prompts)))


def begin_lines(client: OpenAI, lines: Iterable[dict[str, Any]]) -> Any:
    uploaded = client.files.create(file=("in.jsonl", jsonl(lines)), purpose="batch")
    assert uploaded.id.startswith("file-gh")
    return client.batches.create(
        input_file_id=uploaded.id, endpoint=ENDPOINT, completion_window="24h", metadata={"a": "b"}
    )


def read(client: OpenAI, file_id: str) -> list[dict[str, Any]]:
    return [json.loads(text) for text in client.files.content(file_id).read().splitlines()]


def test_an_account_without_batches(plain: Gateway) -> None:
    client = sdk(plain, "first")
    batch = begin(client, "Say hi in French.", BAD, "What is 6*7?")
    assert batch.id.startswith("batch_gh")
    batch = ended(client, batch.id)
    assert (batch.status, batch.metadata) == ("completed", {"a": "b"})
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (3, 2, 1)
    output, errors = read(client, batch.output_file_id), read(client, batch.error_file_id)
    assert [each["custom_id"] for each in output] == ["req-0", "req-2"]
    assert output[1]["response"]["body"]["choices"][0]["message"]["content"]
    assert [(each["custom_id"], each["response"]["status_code"]) for each in errors] == [("req-1", 400)]
    records = plain.installation.records(3, batch_key=f"{ACCOUNT}/{batch.id}")
    assert Counter(each["batch_line"] for each in records) == {"req-0": 1, "req-1": 1, "req-2": 1}
    assert {each["model_asked"] for each in records} == {f"{ACCOUNT}/{MODEL}"}
    assert batch.id in [each.id for each in client.batches.list()]
    listed = {each.id for each in client.files.list()}
    assert {batch.input_file_id, batch.output_file_id, batch.error_file_id} <= listed
    with pytest.raises(BadRequestError):
        client.batches.cancel(batch.id)
    assert client.files.delete(batch.output_file_id).deleted
    with pytest.raises(NotFoundError):
        client.files.content(batch.output_file_id)


def test_the_moments_and_the_expiry_of_a_batch(plain: Gateway) -> None:
    client = sdk(plain, "expiry")
    uploaded = client.files.create(file=("in.jsonl", jsonl([line(0), line(1, BAD)])), purpose="batch")
    batch = client.batches.create(
        input_file_id=uploaded.id,
        endpoint=ENDPOINT,
        completion_window="24h",
        output_expires_after={"anchor": "created_at", "seconds": 7200},
    )
    batch = ended(client, batch.id)
    assert batch.status == "completed"
    assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at
    for file_id in (batch.output_file_id, batch.error_file_id):
        made = client.files.retrieve(file_id)
        assert made.expires_at == made.created_at + 7200
        assert made.created_at >= batch.finalizing_at
    plain.installation.do("age_objects", 7201, object_id=batch.output_file_id)
    with pytest.raises(NotFoundError):
        client.files.content(batch.output_file_id)
    assert read(client, batch.error_file_id)


def test_on_demand_where_the_provider_has_batches(plain: Gateway) -> None:
    client = sdk(plain, "demand", "openai-main", **{"x-gatehouse-batch": "managed"})
    batch = ended(client, begin(client, "Say hi in French.").id)
    assert batch.status == "completed"
    (record,) = plain.installation.records(1, batch_key=f"openai-main/{batch.id}")
    assert record["cost_pico"] == record["input_tokens"] * 150_000 + record["output_tokens"] * 600_000
    headers = {"authorization": f"Bearer {client.api_key}", "range": "bytes=0-0"}
    part = httpx.get(f"{plain.origin}/v1/files/{batch.output_file_id}/content", headers=headers)
    assert (part.status_code, part.content) == (206, b"{")


def test_lines_go_where_their_batch_does(plain: Gateway) -> None:
    """Neither a routing rule nor a budget's cheaper target moves a line, as they do other calls of the same models."""
    plain.installation.apply({"type": "gateway-load-balancing-config", "name": "moves", "rules": [RULE]}, BUDGET)
    client = sdk(plain, "stays", "openai-main", **{"x-gatehouse-batch": "managed"})

    def answers(model: str) -> str | None:
        call = client.chat.completions.with_raw_response.create
        raw = call(model=f"openai-main/{model}", messages=[{"role": "user", "content": "hi"}])
        return raw.headers["x-tfy-resolved-model"]

    models = ("gpt-4o", "o4-mini")
    for model in models:
        wait_until(lambda model=model: answers(model) == f"openai-main/{MODEL}")
    batch = ended(client, begin_lines(client, (line(n, model=model) for n, model in enumerate(models))).id)
    assert batch.request_counts.completed == 2
    records = plain.installation.records(2, batch_key=f"openai-main/{batch.id}")
    assert {each["model_resolved"] for each in records} == {f"openai-main/{model}" for model in models}


def test_the_files_and_batches_have_an_owner(plain: Gateway) -> None:
    client, other = sdk(plain, "owner"), sdk(plain, "stranger")
    batch = ended(client, begin(client, "Say hi in French.").id)
    for act in (
        lambda: other.batches.retrieve(batch.id),
        lambda: other.batches.cancel(batch.id),
        lambda: other.files.content(batch.output_file_id),
        lambda: other.files.retrieve(batch.input_file_id),
        lambda: other.files.delete(batch.input_file_id),
        lambda: other.batches.create(input_file_id=batch.input_file_id, endpoint=ENDPOINT, completion_window="24h"),
    ):
        with pytest.raises(NotFoundError):
            act()


def test_other_purposes_are_refused(plain: Gateway) -> None:
    with pytest.raises(BadRequestError) as caught:
        sdk(plain, "purpose").files.create(file=("a.txt", b"x"), purpose="user_data")
    assert caught.value.code == "unsupported_by_provider"


def test_what_only_the_vendor_can_run_is_refused(plain: Gateway) -> None:
    client = sdk(plain, "edits")
    content = jsonl([line(0, "hi")])
    uploaded = client.files.create(file=("in.jsonl", content), purpose="batch")
    with pytest.raises(BadRequestError, match="Gatehouse can't run batches for"):
        client.batches.create(input_file_id=uploaded.id, endpoint="/v1/images/edits", completion_window="24h")


def test_a_cancelled_batch_keeps_what_is_done(plain: Gateway) -> None:
    client = sdk(plain, "cancel")
    batch = begin(client, *(f"[[sandbox: latency=300]] {number}" for number in range(200)))
    wait_until(lambda: client.batches.retrieve(batch.id).request_counts.completed, 20, 0.1)
    assert client.batches.cancel(batch.id).status == "cancelling"
    batch = ended(client, batch.id)
    assert batch.status == "cancelled"
    output, errors = read(client, batch.output_file_id), read(client, batch.error_file_id)
    assert 0 < len(output) < 200
    assert len(output) + len(errors) == 200
    assert {each["error"]["code"] for each in errors} == {"batch_cancelled"}


def test_a_revoked_token_ends_its_batches(plain: Gateway) -> None:
    client = sdk(plain, "revoked")
    batch = begin(client, *(f"[[sandbox: latency=300]] {number}" for number in range(200)))
    plain.installation.do("revoke", "managed-revoked")

    def state() -> str:
        (known,) = plain.installation.do("owned", object_id=batch.id)
        return str(known["state"])

    wait_until(lambda: state() == "failed", 30, 0.1)
    (known,) = plain.installation.do("owned", object_id=batch.id)
    assert known["data"]["body"]["errors"]["data"][0]["code"] == "access_ended"


def test_a_deleted_input_ends_its_batch(plain: Gateway) -> None:
    client = sdk(plain, "deleted")
    content = jsonl([line(1)])
    uploaded = client.files.create(file=("in.jsonl", content), purpose="batch")
    (plain.installation.data / "files" / uploaded.id[7:9] / uploaded.id).unlink()
    batch = client.batches.create(input_file_id=uploaded.id, endpoint=ENDPOINT, completion_window="24h")
    batch = ended(client, batch.id)
    assert batch.status == "failed"
    assert batch.errors.data[0].code == "input_file_missing"


def test_a_cancelled_batch_ends_without_its_input(plain: Gateway) -> None:
    client = sdk(plain, "forgotten")
    batch = begin(client, *(f"[[sandbox: latency=300]] {number}" for number in range(100)))
    wait_until(lambda: client.batches.retrieve(batch.id).request_counts.completed, 20, 0.1)
    assert client.files.delete(batch.input_file_id).deleted
    client.batches.cancel(batch.id)
    assert ended(client, batch.id).status == "cancelled"


@pytest.mark.parametrize("jobs", ["embedded", "brokered"], indirect=True)
def test_a_killed_runner_repeats_no_finished_line(jobs: Any, quick_upstream: SandboxProcess) -> None:
    total, delay = 80, 150
    token = jobs.gateway.token("managed-crash", user=USER)
    headers = {"x-tfy-provider-name": "openai-main", "x-gatehouse-batch": "managed"}
    client = jobs.gateway.sdk(token, default_headers=headers)
    batch = begin(client, *(f"[[sandbox: latency={delay}]] number {number}." for number in range(total)))

    def finished() -> list[int]:
        found: list[int] = jobs.installation.do("line_results", batch.id)
        return found

    wait_until(lambda: len(finished()) >= 20, 30)
    jobs.kill()
    before = set(finished())
    assert len(before) < total
    quick_upstream.clear()
    again = jobs.gateway.sdk(token, default_headers=headers)
    batch = ended(again, batch.id, 60)
    assert batch.status == "completed"
    assert [each["custom_id"] for each in read(again, batch.output_file_id)] == [f"req-{n}" for n in range(total)]
    asked = [each["body"].decode() for each in quick_upstream.requests("/v1/chat/completions")]
    assert len(asked) == total - len(before)
    assert not any(f"number {number - 1}." in text for number in before for text in asked)
    assert finished() == []
    assert_counted_once(jobs.installation, batch.id, total)


def assert_counted_once(installation: Any, batch_id: str, total: int) -> None:
    """What a kill interrupted is in the billing, but is not a line of its own."""

    def lines(error_class: str) -> int:
        found = installation.do("records", batch_key=f"openai-main/{batch_id}")
        return len({each["batch_line"] for each in found if each["error_class"] == error_class})

    wait_until(lambda: lines("") == total and lines("interrupted"), 40, 0.2)  # a kill may cost two answers
    (row,) = map(json.loads, installation.command("batches", "watch", batch_id, "--json").stdout.splitlines())
    assert (row["done"], row["charged_lines"], row["unpriced_lines"]) == (total, total, 0)


def test_a_provider_of_another_dialect(quick: Gateway, quick_upstream: SandboxProcess) -> None:
    """Anthropic's batches are not OpenAI's: Gatehouse runs the lines, each converted."""
    row = {**chat_model("claude-sonnet-4-5"), "type": "integration/model/anthropic"}
    manifest = provider("claude-plain", f"{quick_upstream.origin}/v1", models=[row])
    quick.installation.apply({**manifest, "type": "provider-account/anthropic"})
    token = quick.token("managed-claude", user="claude@managed.example")
    client = quick.sdk(token, default_headers={"x-tfy-provider-name": "claude-plain"})
    wait_until(lambda: "claude-plain/claude-sonnet-4-5" in [each.id for each in client.models.list()])
    content = jsonl([line(1, "Say hi in French.", "claude-sonnet-4-5")])
    uploaded = client.files.create(file=("in.jsonl", content), purpose="batch")
    batch = client.batches.create(input_file_id=uploaded.id, endpoint=ENDPOINT, completion_window="24h")
    batch = ended(client, batch.id)
    assert batch.request_counts is not None
    assert (batch.status, batch.request_counts.completed) == ("completed", 1)
    assert batch.output_file_id is not None
    (answered,) = read(client, batch.output_file_id)
    assert answered["response"]["body"]["choices"][0]["message"]["content"]
    records = quick.installation.records(1, account="claude-plain", model_served="claude-sonnet-4-5")
    assert records[0]["cost_pico"] > 0


def test_lines_count_in_the_owners_limits(plain: Gateway) -> None:
    owner = "limited@managed.example"
    rule = {
        "type": "tenant-rate-limit-config/model",
        "name": "two-lines",
        "when": {"subjects": {"users": {"in": [owner]}}, "models": {"in": [f"{ACCOUNT}/{MODEL}"]}},
        "limits": {"requests_per_day": 2},
        "applies_to": {"type": "per-user"},
        "mode": "enforce",
    }
    client = sdk(plain, "limited")
    plain.installation.apply(rule)
    wait_until(lambda: "two-lines" in plain.installation.do("manage", "export"))
    time.sleep(1)  # a change is obeyed within a second
    batch = ended(client, begin(client, "one", "two", "three", "four").id)
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 2)
    errors = [one["response"] for one in read(client, batch.error_file_id)]
    assert {one["status_code"] for one in errors} == {429}
    assert {one["body"]["error"]["limit"]["rule"] for one in errors} == {"two-lines"}
