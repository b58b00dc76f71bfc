"""Batches that run their lines, through the SDK; the files that come out are checked line by line."""

from typing import Any

import pytest
from openai import BadRequestError, ConflictError, NotFoundError, OpenAI

from tests.support.openapi import assert_valid
from tests.support.sandbox_jobs import (
    CHAT,
    MODEL,
    assert_valid_batch,
    chat_line,
    finished,
    jsonl,
    rows,
    submit,
    until,
    upload,
)
from tests.support.sandbox_process import KEY, SandboxProcess

ANSWERS = {
    "/v1/chat/completions": ({"messages": [{"role": "user", "content": "Say hi in French."}]}, MODEL),
    "/v1/completions": ({"prompt": "Say this is a test."}, "gpt-3.5-turbo-instruct"),
    "/v1/embeddings": ({"input": "hello"}, "text-embedding-3-small"),
    "/v1/moderations": ({"input": "I will kill you"}, "omni-moderation-latest"),
    "/v1/responses": ({"input": "Say hi in French."}, MODEL),
    "/v1/videos": ({"prompt": "A cat"}, "sora-2"),
}
SCHEMAS = {
    "/v1/chat/completions": "CreateChatCompletionResponse",
    "/v1/completions": "CreateCompletionResponse",
    "/v1/embeddings": "CreateEmbeddingResponse",
    "/v1/moderations": "CreateModerationResponse",
    "/v1/responses": "Response",
    "/v1/videos": "VideoResource",
}


def test_a_batch_from_its_making_to_its_output(client: OpenAI) -> None:
    lines = [chat_line("req-0", "Say hi in French."), chat_line("req-1", "Say hi in Japanese.")]
    batch = submit(client, jsonl(lines), metadata={"team": "red", "sandbox": "duration=0.3"})
    assert batch.status == "validating"
    assert batch.request_counts is not None
    assert batch.request_counts.total == 0
    assert batch.expires_at == batch.created_at + 86_400
    assert (batch.endpoint, batch.completion_window) == (CHAT, "24h")

    batch = finished(client, batch)

    assert batch.status == "completed"
    assert batch.metadata == {"team": "red", "sandbox": "duration=0.3"}
    assert batch.request_counts is not None
    assert batch.request_counts.to_dict() == {"total": 2, "completed": 2, "failed": 0}
    assert batch.in_progress_at is not None
    assert batch.finalizing_at is not None
    assert batch.completed_at is not None
    assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at
    assert batch.errors is batch.error_file_id is batch.failed_at is None
    assert batch.model == MODEL
    output = rows(client, batch.output_file_id)
    assert [set(line) for line in output] == [{"id", "custom_id", "response", "error"}] * 2
    assert [line["custom_id"] for line in output] == ["req-0", "req-1"]
    assert all(line["id"].startswith("batch_req_") and line["error"] is None for line in output)
    assert len({line["response"]["request_id"] for line in output}) == 2
    assert output[0]["response"]["body"]["choices"][0]["message"]["content"] == "Bonjour !"
    assert batch.usage is not None
    assert batch.usage.output_tokens == sum(line["response"]["body"]["usage"]["completion_tokens"] for line in output)
    assert batch.usage.total_tokens == sum(line["response"]["body"]["usage"]["total_tokens"] for line in output)


@pytest.mark.parametrize("endpoint", ANSWERS)
def test_every_endpoint_answers_its_lines(client: OpenAI, endpoint: str) -> None:
    body, model = ANSWERS[endpoint]
    line = {"custom_id": "a", "method": "POST", "url": endpoint, "body": {"model": model, **body}}
    batch = finished(client, submit(client, jsonl([line]), "duration=0", endpoint))

    [output] = rows(client, batch.output_file_id)
    assert output["response"]["status_code"] == 200
    assert_valid(SCHEMAS[endpoint], output["response"]["body"])
    assert batch.usage is not None
    assert (batch.usage.input_tokens > 0) == (endpoint not in ("/v1/moderations", "/v1/videos"))


def test_counts_grow_while_it_runs() -> None:
    """A batch of a thousand seconds, of which the sandbox's clock lets some pass at a time."""
    with SandboxProcess() as sandbox, sandbox.client() as client:
        batch = submit(client, jsonl(chat_line(f"r{number}") for number in range(40)), "duration=1000")

        def check_state(status: str, done: int) -> None:
            shape = until(
                lambda: sandbox.get(f"/batches/{batch.id}").json(),
                lambda shape: shape["status"] == status and shape["request_counts"]["completed"] >= done,
            )
            assert_valid_batch(shape)
            assert shape["request_counts"] == {
                "total": 0 if status == "validating" else 40,
                "completed": shape["request_counts"]["completed"],
                "failed": 0,
            }
            assert done <= shape["request_counts"]["completed"] <= done + 2

        check_state("validating", 0)
        sandbox.advance(100)  # a tenth of it goes to validating
        check_state("in_progress", 0)
        sandbox.advance(200)
        check_state("in_progress", 10)
        sandbox.advance(400)
        check_state("in_progress", 30)
        sandbox.advance(200)
        check_state("finalizing", 40)
        sandbox.advance(100)
        check_state("completed", 40)


def test_failing_lines_go_to_the_error_file(client: OpenAI) -> None:
    lines = [
        chat_line("good"),
        chat_line("bad", temperature=9),
        chat_line("told", "Hello [[sandbox: status=429]]"),
        chat_line("unknown", "Hello [[sandbox: whatever]]"),
        chat_line("streamed", stream=True),
        chat_line("counted", "Hello [[sandbox: prompt_tokens=7 completion_tokens=5]]"),
    ]
    batch = finished(client, submit(client, jsonl(lines), "duration=0"))

    assert batch.status == "completed"
    assert batch.request_counts is not None
    assert batch.request_counts.to_dict() == {"total": 6, "completed": 2, "failed": 4}
    good, counted = rows(client, batch.output_file_id)
    assert good["response"]["status_code"] == 200
    assert counted["response"]["body"]["usage"]["total_tokens"] == 12
    errors = {line["custom_id"]: line for line in rows(client, batch.error_file_id)}
    assert {name: line["response"]["status_code"] for name, line in errors.items()} == {
        "bad": 400,
        "told": 429,
        "unknown": 400,
        "streamed": 400,
    }
    assert errors["bad"]["error"] is None
    assert errors["bad"]["response"]["body"]["error"]["param"] == "temperature"
    assert errors["told"]["response"]["body"]["error"]["code"] == "rate_limit_exceeded"


GOOD = chat_line("a")


@pytest.mark.parametrize(
    ("data", "code", "param", "line"),
    [
        (jsonl([GOOD]) + b"{nope}\n", "invalid_json_line", None, 2),
        (b'["a", "list"]\n', "invalid_json_line", None, 1),
        (jsonl([GOOD]) + b"\n" + jsonl([chat_line("b"), GOOD]), "duplicate_custom_id", "custom_id", 4),
        (jsonl([{**GOOD, "custom_id": None}]), "missing_required_parameter", "custom_id", 1),
        (jsonl([{**GOOD, "custom_id": 7}]), "invalid_type", "custom_id", 1),
        (jsonl([{**GOOD, "method": "GET"}]), "invalid_method", "method", 1),
        (jsonl([{**GOOD, "url": "/v1/embeddings"}]), "invalid_url", "url", 1),
        (jsonl([{**GOOD, "body": "text"}]), "missing_required_parameter", "body", 1),
        (jsonl([{**GOOD, "body": {}}]), "missing_required_parameter", "body.model", 1),
        (jsonl([chat_line("a", model="openai-main/gpt-4o-mini")]), "model_not_found", "body.model", 1),
        (jsonl([GOOD, chat_line("b", model="gpt-4o")]), "mismatched_model", "body.model", 2),
        (b"\n \n", "empty_file", None, None),
    ],
)
def test_a_bad_file_fails_the_batch(client: OpenAI, data: bytes, code: str, param: str | None, line: int) -> None:
    batch = finished(client, submit(client, data, "duration=0"))

    assert batch.status == "failed"
    assert batch.failed_at is not None
    assert batch.output_file_id is batch.error_file_id is None
    assert batch.errors is not None
    assert batch.errors.object == "list"
    [error] = batch.errors.data or []
    assert (error.code, error.param, error.line) == (code, param, line)
    assert error.message


def test_every_bad_line_is_told(client: OpenAI) -> None:
    rows_ = [chat_line("a"), chat_line("a"), {**chat_line("c"), "method": "PUT", "url": "/v1/files"}]
    batch = finished(client, submit(client, jsonl(rows_), "duration=0"))

    assert batch.errors is not None
    assert [(error.code, error.line) for error in batch.errors.data or []] == [
        ("duplicate_custom_id", 2),
        ("invalid_method", 3),
        ("invalid_url", 3),
    ]


class TestCreate:
    @pytest.mark.parametrize(
        ("change", "param"),
        [
            ({"endpoint": "/v1/audio/speech"}, "endpoint"),
            ({"completion_window": "1h"}, "completion_window"),
            ({"input_file_id": "file-none"}, "input_file_id"),
            ({"metadata": {"x": "y" * 513}}, "metadata"),
            ({"metadata": {"sandbox": "explode"}}, "metadata.sandbox"),
            ({"metadata": {"sandbox": "duration=soon"}}, "metadata.sandbox"),
            ({"output_expires_after": {"anchor": "created_at", "seconds": 1}}, "output_expires_after.seconds"),
            ({"output_expires_after": {"anchor": "now", "seconds": 3600}}, "output_expires_after.anchor"),
        ],
    )
    def test_bad_values_are_refused_at_once(self, client: OpenAI, change: dict[str, Any], param: str) -> None:
        good = {"input_file_id": upload(client, jsonl([GOOD])).id, "endpoint": CHAT, "completion_window": "24h"}
        with pytest.raises(BadRequestError) as caught:
            client.batches.create(**{**good, **change})
        assert caught.value.param == param

    @pytest.mark.parametrize("name", ["input_file_id", "endpoint", "completion_window"])
    def test_nothing_may_be_missing(self, sandbox: SandboxProcess, name: str) -> None:
        body = {"input_file_id": "file-x", "endpoint": CHAT, "completion_window": "24h"}
        del body[name]
        error = sandbox.post("/batches", body).json()["error"]
        assert (error["param"], error["code"]) == (name, "missing_required_parameter")

    def test_the_file_must_be_for_a_batch(self, client: OpenAI) -> None:
        file = upload(client, jsonl([GOOD]), "user_data")
        with pytest.raises(BadRequestError, match="Invalid file purpose: 'user_data'"):
            client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")


def test_outputs_may_expire(client: OpenAI) -> None:
    batch = submit(client, jsonl([GOOD]), "duration=0", output_expires_after={"anchor": "created_at", "seconds": 7200})
    batch = finished(client, batch)
    assert batch.output_file_id is not None
    file = client.files.retrieve(batch.output_file_id)
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")
    assert file.expires_at == file.created_at + 7200


class TestCancel:
    def test_what_was_done_is_kept(self, client: OpenAI, sandbox: SandboxProcess) -> None:
        batch = submit(client, jsonl(chat_line(f"r{number}") for number in range(10)), "hang duration=0.2")
        until(
            lambda: client.batches.retrieve(batch.id),
            lambda answer: answer.request_counts is not None and answer.request_counts.completed == 5,
        )
        raw = client.batches.with_raw_response.cancel(batch.id)
        assert_valid_batch(raw.http_response.json())
        assert raw.parse().status == "cancelling"
        assert client.batches.cancel(batch.id).status in ("cancelling", "cancelled")

        batch = until(lambda: client.batches.retrieve(batch.id), lambda answer: answer.status == "cancelled")

        assert batch.cancelling_at is not None
        assert batch.cancelled_at is not None
        assert len(rows(client, batch.output_file_id)) == 5
        errors = rows(client, batch.error_file_id)
        assert [line["custom_id"] for line in errors] == [f"r{number}" for number in range(5, 10)]
        assert all(line["response"] is None and line["error"]["code"] == "batch_cancelled" for line in errors)

    def test_a_finished_batch_cannot_be_cancelled(self, client: OpenAI) -> None:
        batch = finished(client, submit(client, jsonl([GOOD]), "duration=0"))
        with pytest.raises(ConflictError, match="Cannot cancel a batch with status 'completed'"):
            client.batches.cancel(batch.id)

    def test_a_validating_batch_can(self, client: OpenAI) -> None:
        batch = submit(client, jsonl([GOOD]), "hang=validating")
        client.batches.cancel(batch.id)
        batch = finished(client, batch)
        assert batch.status == "cancelled"
        assert batch.output_file_id is None


def test_lists_page_newest_first_and_keys_are_apart() -> None:
    with SandboxProcess("--key", KEY, "--key", "sk-other") as sandbox, sandbox.client() as client:
        file = upload(client, jsonl([GOOD]))
        ids = [
            client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h").id for _ in range(5)
        ]
        page = client.batches.list(limit=2)
        assert [batch.id for batch in page.data] == [ids[4], ids[3]]
        assert [batch.id for batch in page] == ids[::-1]
        assert [batch.id for batch in client.batches.list(after=ids[2])] == [ids[1], ids[0]]
        shape = sandbox.get("/batches", limit=3).json()
        assert (shape["object"], shape["has_more"], shape["first_id"]) == ("list", True, ids[4])

        other = sandbox.client(api_key="sk-other")
        assert list(other.batches.list()) == []
        for refused in (other.batches.retrieve, other.batches.cancel):
            with pytest.raises(NotFoundError, match=f"No batch found with id '{ids[0]}'"):
                refused(ids[0])
        with pytest.raises(BadRequestError, match="No such File object"):
            other.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")


async def test_the_async_sdk_works_too(running_sandbox: SandboxProcess) -> None:
    async with running_sandbox.async_client() as client:
        file = await client.files.create(file=("in.jsonl", jsonl([GOOD])), purpose="batch")
        batch = await client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
        assert batch.id in [item.id async for item in client.batches.list()]
        assert (await client.batches.retrieve(batch.id)).input_file_id == file.id
