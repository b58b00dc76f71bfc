"""The tests' own window: recorded requests, counters, the clock; and the process itself."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from sandbox.state import State, Store
from sandbox.wire.recorder import MAX_BODY, MAX_REQUESTS, Record, Recorder
from tests.support.forked import ROOT
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

CHAT = "/chat/completions"
QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}


def test_a_request_is_recorded_as_received(sandbox: SandboxProcess) -> None:
    raw = b'{"model": "gpt-4o-mini", "messages": [ {"role":"user","content":"hi"} ], "x": 1.50}'
    before = time.time()
    sandbox.http.post(
        f"{sandbox.url}{CHAT}?a=1", content=raw, headers={"content-type": "application/json", "X-Custom": "Yes"}
    )

    [request] = sandbox.requests()
    assert (request["method"], request["path"], request["query"]) == ("POST", "/v1/chat/completions", "a=1")
    assert request["body"] == raw
    assert request["body_bytes"] == len(raw)
    assert request["body_sha256"] == hashlib.sha256(raw).hexdigest()
    assert ["x-custom", "Yes"] in request["headers"]
    assert ["authorization", "Bearer sk-sandbox"] in request["headers"]
    assert before <= request["received_at"] <= request["completed_at"] <= time.time()
    assert request["status"] == 200
    assert not request["disconnected"]


def test_refused_requests_are_recorded_too(sandbox: SandboxProcess) -> None:
    sandbox.http.get(f"{sandbox.url}/models", headers={"authorization": "Bearer nope"})
    sandbox.http.get(f"{sandbox.url}/nope")
    assert [(request["path"], request["status"]) for request in sandbox.requests()] == [
        ("/v1/models", 401),
        ("/v1/nope", 404),
    ]


def test_requests_can_be_narrowed_and_cleared(sandbox: SandboxProcess) -> None:
    for _ in range(3):
        sandbox.get("/models")
    sandbox.post(CHAT, QUESTION)

    assert len(sandbox.requests("/v1/models")) == 3
    limited = sandbox.http.get(f"{sandbox.origin}/sandbox/requests?limit=1").json()
    assert [request["path"] for request in limited["requests"]] == ["/v1/chat/completions"]
    sandbox.clear()
    assert sandbox.requests() == []


def test_the_time_of_leaving_is_recorded(sandbox: SandboxProcess) -> None:
    with sandbox.http.stream(
        "POST",
        sandbox.url + CHAT,
        json={**QUESTION, "stream": True},
        headers={"x-sandbox": "endless token-delay=5"},
    ) as answer:
        next(answer.iter_raw())
        left = time.time()
    wait_until(lambda: sandbox.requests()[0]["disconnected"])
    [request] = sandbox.requests()
    assert abs(request["disconnected_at"] - left) < 0.5
    assert request["completed_at"] is None


def test_counters(sandbox: SandboxProcess) -> None:
    before = sandbox.stats()
    with ExitStack() as stack:
        for _ in range(3):
            answer = stack.enter_context(
                sandbox.http.stream(
                    "POST",
                    sandbox.url + CHAT,
                    json={**QUESTION, "stream": True},
                    headers={"x-sandbox": "endless token-delay=5"},
                )
            )
            assert answer.status_code == 200
        during = sandbox.stats()
        assert during["active_streams"] == before["active_streams"] + 3
        assert during["open_connections"] >= 4
        assert during["by_status"]["200"] >= before["by_status"].get("200", 0) + 3
    wait_until(lambda: sandbox.stats()["active_streams"] == 0)
    assert sandbox.stats()["active_requests"] == 1


def test_recording_is_bounded() -> None:
    recorder = Recorder()

    def add(size: int) -> Record:
        record = Record("POST", "/v1/x", "", [], 0.0)
        recorder.add(record)
        recorder.add_body(record, b"x" * size)
        return record

    assert len(add(MAX_BODY + 5).body) == MAX_BODY
    for _ in range(MAX_REQUESTS + 10):
        add(10)
    assert len(list(recorder)) == MAX_REQUESTS
    for _ in range(40):
        add(MAX_BODY)
    assert sum(len(record.body) for record in recorder) <= 64 * 1024 * 1024


def test_the_clock_can_be_moved() -> None:
    with SandboxProcess() as sandbox:
        sandbox.advance(3600)
        created = sandbox.post(CHAT, QUESTION).json()["created"]
    assert 3590 < created - time.time() < 3700


def test_recording_can_be_switched_off() -> None:
    with SandboxProcess("--no-record") as sandbox:
        sandbox.get("/models")
        answer = sandbox.http.get(f"{sandbox.origin}/sandbox/requests").json()
    assert answer == {"recording": False, "requests": []}


def test_keys_can_be_chosen() -> None:
    with SandboxProcess("--key", "sk-one", "--key", "sk-two") as sandbox:
        with sandbox.client(api_key="sk-two") as client:
            assert client.models.list().data
        assert sandbox.get("/models").status_code == 401


@pytest.mark.parametrize("command", [["-m", "sandbox"], ["manage.py", "sandbox"]])
def test_it_tells_its_address_and_stops_at_sigterm(command: list[str], tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, *command, "--port", "0", "--key", "sk-mine"],
        cwd=ROOT,
        env={**os.environ, "GATEHOUSE_DATA_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line.startswith("Sandbox listening on http://127.0.0.1:")
            answer = httpx.get(f"{line.split()[-1]}/models", headers={"authorization": "Bearer sk-mine"})
            assert answer.status_code == 200
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(5) in (0, -signal.SIGTERM)


def test_stores_are_bounded_and_keep_their_order() -> None:
    store: Store[str, int] = Store(limit=3)
    for index in range(5):
        store.put(f"id-{index}", index)
    store.put("id-3", 33)
    assert list(store) == [2, 33, 4]
    assert store.pop("id-2") == 2
    assert "id-2" not in store


def test_ids_are_unique_across_processes() -> None:
    ids = {state.new_id("x-") for state in (State(), State()) for _ in range(1000)}
    assert len(ids) == 2000
    assert all(len(made) == 26 for made in ids)
