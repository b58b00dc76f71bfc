"""Batches that misbehave on request, and many lines at once."""

import time
from pathlib import Path

import httpx2
import pytest
from openai import APIConnectionError, InternalServerError, NotFoundError, OpenAI, RateLimitError

from tests.support.sandbox_jobs import chat_line, finished, jsonl, rows, submit, until
from tests.support.sandbox_process import SandboxProcess

TEN = jsonl(chat_line(f"r{number}") for number in range(1, 11))


def test_chosen_lines_fail(client: OpenAI) -> None:
    batch = finished(client, submit(client, TEN, "duration=0 fail_lines=2+5-7 fail_status=503"))

    errors = rows(client, batch.error_file_id)
    assert [line["custom_id"] for line in errors] == ["r2", "r5", "r6", "r7"]
    assert {line["response"]["status_code"] for line in errors} == {503}
    assert len(rows(client, batch.output_file_id)) == 6


def test_only_failures_leave_no_output(client: OpenAI) -> None:
    batch = finished(client, submit(client, TEN, "duration=0; fail_lines=1-10"))
    assert batch.status == "completed"
    assert batch.output_file_id is None
    assert len(rows(client, batch.error_file_id)) == 10


def test_an_expired_batch_keeps_what_was_done(client: OpenAI) -> None:
    batch = finished(client, submit(client, TEN, "duration=0.2,expire"))

    assert batch.status == "expired"
    assert batch.expired_at is not None
    assert batch.completed_at is None
    assert batch.request_counts is not None
    assert batch.request_counts.to_dict() == {"total": 10, "completed": 5, "failed": 5}
    assert len(rows(client, batch.output_file_id)) == 5
    assert [line["error"]["code"] for line in rows(client, batch.error_file_id)] == ["batch_expired"] * 5


def test_the_window_ends_by_the_clock() -> None:
    with SandboxProcess() as sandbox, sandbox.client() as client:
        batch = submit(client, TEN, "hang=in_progress")
        until(lambda: client.batches.retrieve(batch.id), lambda answer: answer.status == "in_progress")
        sandbox.advance(86_401)
        assert finished(client, batch).status == "expired"


def test_a_moved_clock_finishes_a_slow_batch() -> None:
    with SandboxProcess() as sandbox, sandbox.client() as client:
        batch = submit(client, TEN, "slow")
        sandbox.advance(30)
        assert finished(client, batch).status == "completed"


@pytest.mark.parametrize(
    ("switch", "code", "done"), [("fail", "token_limit_exceeded", 0), ("fail=in_progress", "server_error", 5)]
)
def test_a_batch_fails_on_request(client: OpenAI, switch: str, code: str, done: int) -> None:
    batch = finished(client, submit(client, TEN, f"{switch} duration=0"))
    assert batch.status == "failed"
    assert batch.output_file_id is None
    assert batch.request_counts is not None
    assert batch.request_counts.completed == done
    assert batch.errors is not None
    assert [error.code for error in batch.errors.data or []] == [code]


@pytest.mark.parametrize("status", ["validating", "in_progress", "finalizing"])
def test_a_batch_hangs_where_it_is_told(client: OpenAI, status: str) -> None:
    batch = submit(client, TEN, f"duration=0.05 hang={status}")
    until(lambda: client.batches.retrieve(batch.id), lambda answer: answer.status == status)
    time.sleep(0.2)  # four times as long as it would take
    assert client.batches.retrieve(batch.id).status == status
    client.batches.cancel(batch.id)
    assert finished(client, batch).status == "cancelled"


def test_a_batch_vanishes(client: OpenAI) -> None:
    batch = submit(client, TEN, "vanish=2")
    assert client.batches.retrieve(batch.id).id == client.batches.retrieve(batch.id).id
    for _ in range(2):
        with pytest.raises(NotFoundError):
            client.batches.retrieve(batch.id)
    assert batch.id not in [item.id for item in client.batches.list()]

    at_once = submit(client, TEN, "vanish")
    with pytest.raises(NotFoundError):
        client.batches.retrieve(at_once.id)


def test_polls_fail_for_a_while(client: OpenAI) -> None:
    batch = submit(client, TEN, "rate_limit_polls=2 http_500_polls=1")
    for _ in range(2):
        with pytest.raises(RateLimitError) as limited:
            client.batches.retrieve(batch.id)
        assert limited.value.response.headers["retry-after"] == "1"
    with pytest.raises(InternalServerError):
        client.batches.retrieve(batch.id)
    assert client.batches.retrieve(batch.id).id == batch.id


def test_the_output_breaks_off_once(client: OpenAI) -> None:
    batch = finished(client, submit(client, TEN, "duration=0 cut_output http_500_output"))
    assert batch.output_file_id is not None
    with pytest.raises(InternalServerError):
        client.files.content(batch.output_file_id)
    received = broken_download(client, batch.output_file_id)
    whole = client.files.content(batch.output_file_id).read()
    assert received == whole[: len(whole) // 2]
    assert len(whole.splitlines()) == 10


def broken_download(client: OpenAI, file_id: str) -> bytes:
    """What came before the connection broke."""
    received = bytearray()
    try:
        with client.files.with_streaming_response.content(file_id) as answer:
            for piece in answer.iter_bytes():
                received += piece
    except (APIConnectionError, httpx2.RemoteProtocolError):
        return bytes(received)
    raise AssertionError("the download did not break off")


def test_a_slow_download(client: OpenAI) -> None:
    batch = finished(client, submit(client, TEN, "duration=0 output_delay=20"))
    assert batch.output_file_id is not None
    started = time.monotonic()
    content = client.files.content(batch.output_file_id).read()
    assert time.monotonic() - started >= len(content) // 1024 * 0.02
    assert len(content.splitlines()) == 10


def test_lines_out_of_order(client: OpenAI) -> None:
    batch = finished(client, submit(client, TEN, "duration=0 shuffle"))
    names = [line["custom_id"] for line in rows(client, batch.output_file_id)]
    assert names == ["r8", "r7", "r6", "r5", "r4", "r3", "r2", "r1", "r10", "r9"]


def test_the_default_duration_is_an_option() -> None:
    with SandboxProcess("--job-seconds", "0") as sandbox, sandbox.client() as client:
        started = time.monotonic()
        finished(client, submit(client, TEN, ""))
        assert time.monotonic() - started < 0.8


def test_fifty_thousand_lines_in_bounded_memory() -> None:
    """Others are served meanwhile, and neither input nor output is ever in memory as a whole."""
    with SandboxProcess("--no-record") as sandbox, sandbox.client() as client:
        client.models.list()
        before = _peak_megabytes(sandbox)
        batch = submit(
            client, jsonl(chat_line(f"r{number}", f"Say {number % 1000}") for number in range(50_000)), "duration=0"
        )
        slowest = 0.0

        def look() -> str:
            nonlocal slowest
            started = time.monotonic()
            status = client.batches.retrieve(batch.id).status
            slowest = max(slowest, time.monotonic() - started)
            return status

        until(look, lambda status: status == "completed", seconds=120)

        assert slowest < 0.5
        batch = client.batches.retrieve(batch.id)
        assert batch.output_file_id is not None
        seen = set()
        with client.files.with_streaming_response.content(batch.output_file_id) as answer:
            size = int(answer.headers["content-length"])
            for line in answer.iter_lines():
                seen.add(line.split('"custom_id":"', 1)[1].split('"', 1)[0])
        assert seen == {f"r{number}" for number in range(50_000)}
        assert _peak_megabytes(sandbox) - before < size / 2**20 / 2


def _peak_megabytes(sandbox: SandboxProcess) -> float:
    status = Path(f"/proc/{sandbox.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
