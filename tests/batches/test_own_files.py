"""The files of batches that Gatehouse runs itself: whole or not there, wherever they are kept."""

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from openai import InternalServerError, OpenAI

from tests.batches.test_managed import BAD, begin, read
from tests.support.batch_inputs import QUICK, ended, jsonl, line
from tests.support.calls import assert_ours
from tests.support.fixtures import USER, seed
from tests.support.installation import Installation
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

LINES = 40
IN_MEMORY = "django.core.files.storage.InMemoryStorage"
HEADERS = {"x-tfy-provider-name": "openai-main", "x-gatehouse-batch": "managed"}


def kept(installation: Any) -> list[str]:
    """Return the names of the files in the installation's folder of files."""
    folder: Path = installation.data / "files"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def leased_until(installation: Any, batch_id: str) -> datetime:
    (known,) = installation.do("owned", object_id=batch_id)
    return datetime.fromisoformat(known["lease_until"])


def assert_held(installation: Any, batch_id: str) -> None:
    """A worker that writes a file for long keeps the batch: another one would hold it for a whole lease more."""
    before = leased_until(installation, batch_id)
    wait_until(lambda: leased_until(installation, batch_id) != before)
    assert (leased_until(installation, batch_id) - before).total_seconds() < float(QUICK["GATEHOUSE_JOB_LEASE_S"])


def test_a_storage_without_paths(tmp_path: Path, migrated_data: Path, quick_upstream: SandboxProcess) -> None:
    """Django's storage in memory represents one over a network: there is nothing in the data folder."""
    with Installation(
        tmp_path / "installation", migrated_data, {**QUICK, "GATEHOUSE_FILE_STORAGE": IN_MEMORY}
    ) as installation:
        seed(installation, quick_upstream.url)
        gateway = installation.gateway()
        client = gateway.sdk(gateway.token("memory", user=USER), default_headers=HEADERS)
        returns = jsonl([line(0), line(1)]).replace(b'", "', b'",\r"')  # whitespace of JSON, no ends of lines
        given = client.files.create(file=("in.jsonl", returns), purpose="batch")
        batch = client.batches.create(input_file_id=given.id, endpoint="/v1/chat/completions", completion_window="24h")
        done = ended(client, batch.id)
        assert (done.status, done.request_counts.completed) == ("completed", 2)
        whole = client.files.content(done.output_file_id).read()
        assert [json.loads(text)["custom_id"] for text in whole.splitlines()] == ["req-0", "req-1"]
        assert client.files.content(given.id).read() == returns
        asked = {"authorization": f"Bearer {client.api_key}", "range": "bytes=5-14"}
        part = gateway.http.get(f"{gateway.origin}/v1/files/{done.output_file_id}/content", headers=asked)
        assert (part.status_code, part.content) == (206, whole[5:15])
        assert client.files.delete(given.id).deleted
        assert kept(installation) == []
        gateway.stop()  # and with it, its memory ends
        gateway = installation.gateway()
        gone = gateway.http.get(f"{gateway.origin}/v1/files/{done.output_file_id}/content", headers=asked)
        assert_ours(gone, 404, "not_found")


def test_a_storage_that_fails(tmp_path: Path, migrated_data: Path, quick_upstream: SandboxProcess) -> None:
    with Installation(tmp_path / "installation", migrated_data) as installation:
        seed(installation, quick_upstream.url)
        gateway = installation.gateway()
        client = gateway.sdk(gateway.token("failing", user=USER), default_headers=HEADERS)
        given = client.files.create(file=("in.jsonl", jsonl([line(0)])), purpose="batch")
        (installation.data / "files").rename(installation.data / "away")
        (installation.data / "files").write_text("no folder")
        with pytest.raises(InternalServerError) as caught:
            client.files.create(file=("in.jsonl", jsonl([line(0)])), purpose="batch")
        assert (caught.value.status_code, caught.value.code) == (503, "storage_unavailable")
        (installation.data / "files").unlink()
        (installation.data / "away").rename(installation.data / "files")
        assert client.files.content(given.id).read()


@pytest.mark.parametrize(
    "env",
    [
        {"GATEHOUSE_FILE_STORAGE": "storages.backends.nowhere.NoStorage"},
        {"GATEHOUSE_FILE_STORAGE": IN_MEMORY, "GATEHOUSE_FILE_STORAGE_OPTIONS": '{"bucket": "x"}'},
    ],
    ids=["class", "options"],
)
def test_no_server_starts_with_a_storage_that_is_none(tmp_path: Path, migrated_data: Path, env: dict[str, str]) -> None:
    with Installation(tmp_path / "installation", migrated_data, env) as installation:
        started = installation.manage("serve", "--port", "1")
        assert started.returncode != 0
        assert "GATEHOUSE_FILE_STORAGE: can't be used" in started.stderr


@pytest.mark.parametrize("jobs", ["embedded", "brokered"], indirect=True)
def test_a_runner_killed_while_it_writes(jobs: Any) -> None:
    token = jobs.gateway.token("writing", user=USER)

    def client() -> OpenAI:
        made: OpenAI = jobs.gateway.sdk(token, default_headers=HEADERS)
        return made

    jobs.gate.shut('"status_code":200')  # in the middle of the output
    batch = begin(client(), *(BAD if number % 4 == 1 else f"number {number}" for number in range(LINES)))
    for following in ('"status_code":400', ""):  # then in the middle of the errors
        wait_until(jobs.gate.reached, 40)
        half = jobs.gate.reached()
        assert half in kept(jobs.installation)
        assert_held(jobs.installation, batch.id)
        assert jobs.installation.do("owned", object_id=half) == []
        assert client().batches.retrieve(batch.id).output_file_id is None
        assert [each.id for each in client().files.list()] == [batch.input_file_id]
        if following:
            jobs.gate.shut(following)
        jobs.kill()
    jobs.gate.open()

    done = ended(client(), batch.id, 60)
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 30, 10)
    good = [f"req-{number}" for number in range(LINES) if number % 4 != 1]
    bad = [f"req-{number}" for number in range(LINES) if number % 4 == 1]
    assert [each["custom_id"] for each in read(client(), done.output_file_id)] == good
    assert [each["custom_id"] for each in read(client(), done.error_file_id)] == bad
    files = [done.input_file_id, done.output_file_id, done.error_file_id]
    assert kept(jobs.installation) == sorted(files)
    assert sorted(each.id for each in client().files.list()) == sorted(files)
    records = jobs.installation.records(LINES, 30, batch_key=f"openai-main/{batch.id}")
    assert Counter(each["batch_line"] for each in records) == dict.fromkeys(good + bad, 1)
