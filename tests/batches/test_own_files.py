"""The files of batches that Gatehouse runs itself: whole or not there, wherever they are kept."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.batches.inputs import QUICK, ended
from tests.batches.test_managed import BAD, begin, read
from tests.fixtures import USER
from tests.servers import wait_until

LINES = 40
HEADERS = {"x-tfy-provider-name": "openai-main", "x-gatehouse-batch": "managed"}


def kept(house: Any) -> list[str]:
    """Return the names of the files in the installation's folder of files."""
    folder: Path = house.data / "files"
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def leased_until(house: Any, batch_id: str) -> datetime:
    (known,) = house.do("owned", object_id=batch_id)
    return datetime.fromisoformat(known["lease_until"])


def assert_held(house: Any, batch_id: str) -> None:
    """Whoever writes a file for long keeps the batch: who took it over would hold it for a whole lease more."""
    before = leased_until(house, batch_id)
    wait_until(lambda: leased_until(house, batch_id) != before)
    assert (leased_until(house, batch_id) - before).total_seconds() < float(QUICK["GATEHOUSE_JOB_LEASE_S"])


@pytest.mark.parametrize("jobs", ["embedded", "brokered"], indirect=True)
def test_a_runner_killed_while_it_writes(jobs: Any) -> None:
    token = jobs.gateway.token("writing", user=USER)

    def client() -> OpenAI:
        made: OpenAI = jobs.gateway.sdk(token, default_headers=HEADERS)
        return made

    jobs.gate.shut('"status_code":200')  # in the middle of the output
    batch = begin(client(), *(BAD if number % 4 == 1 else f"number {number}" for number in range(LINES)))
    for text in ('"status_code":400', '"status_code":200'):
        wait_until(jobs.gate.reached, 40)
        half = jobs.gate.reached()
        assert half in kept(jobs.house)
        assert_held(jobs.house, batch.id)
        assert jobs.house.do("owned", object_id=half) == []
        assert client().batches.retrieve(batch.id).output_file_id is None
        assert [each.id for each in client().files.list()] == [batch.input_file_id]
        jobs.gate.shut(text)  # in the middle of the errors, then of the output again
        jobs.kill()
    wait_until(jobs.gate.reached, 40)
    assert [each.id for each in client().files.list()] == [batch.input_file_id]
    jobs.kill()
    jobs.gate.open()

    done = ended(client(), batch.id, 60)
    assert (done.status, done.request_counts.completed, done.request_counts.failed) == ("completed", 30, 10)
    good = [f"req-{number}" for number in range(LINES) if number % 4 != 1]
    bad = [f"req-{number}" for number in range(LINES) if number % 4 == 1]
    assert [each["custom_id"] for each in read(client(), done.output_file_id)] == good
    assert [each["custom_id"] for each in read(client(), done.error_file_id)] == bad
    files = [done.input_file_id, done.output_file_id, done.error_file_id]
    assert kept(jobs.house) == sorted(files)
    assert sorted(each.id for each in client().files.list()) == sorted(files)
    records = jobs.house.records(LINES, 30, batch_key=f"openai-main/{batch.id}")
    assert Counter(each["batch_line"] for each in records) == dict.fromkeys(good + bad, 1)
