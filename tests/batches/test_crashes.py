"""Workers killed at the worst moments, and several at once: the output is the same and each line is charged once."""

import re
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.support.batch_inputs import HEADERS, ended, submit
from tests.support.fixtures import USER
from tests.support.installation import Gateway, Installation
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

LINES = 800
MANY_LINES = 5000
# A download of 800 lines takes about two seconds.
SLOW_OUTPUT = "duration=1; output_delay=5"


def charged(installation: Installation, batch_id: str) -> int:
    """Return how many records there are of a batch."""
    count: int = installation.do("count_records", batch_key=f"openai-main/{batch_id}")
    return count


@pytest.mark.parametrize("jobs", ["embedded", "brokered"], indirect=True)
def test_a_worker_killed_again_and_again_changes_nothing(jobs: Any, quick_upstream: SandboxProcess) -> None:
    installation: Installation = jobs.installation
    token = jobs.gateway.token("crashes", user=USER)
    client: OpenAI = jobs.gateway.sdk(token, default_headers=HEADERS)
    batch = submit(client, LINES, sandbox=SLOW_OUTPUT)
    polls = f"/v1/batches/{batch.id}"
    wait_until(lambda: quick_upstream.requests(polls), 40)
    jobs.kill()  # while it polls

    def download_begun() -> bool:
        return any(re.search("/files/[^/]+/content", each["path"]) for each in quick_upstream.requests())

    quick_upstream.clear()
    wait_until(download_begun, 40)
    assert charged(installation, batch.id) < LINES
    jobs.kill()  # while it downloads
    wait_until(lambda: charged(installation, batch.id) >= 500, 40)
    assert charged(installation, batch.id) < LINES
    jobs.kill()  # while it charges
    wait_until(lambda: not installation.do("is_due", batch.id), 60, 0.1)
    records = installation.records(LINES, batch_key=f"openai-main/{batch.id}")
    assert Counter(each["batch_line"] for each in records) == {f"req-{number}": 1 for number in range(LINES)}
    assert all(each["cost_pico"] for each in records)
    again: OpenAI = jobs.gateway.sdk(token, default_headers=HEADERS)
    done = again.batches.retrieve(batch.id)
    assert done.status == "completed"
    assert_metrics_count_what_is_charged(jobs, again)


def assert_metrics_count_what_is_charged(jobs: Any, client: OpenAI) -> None:
    """Whichever process charges a line, the installation's one port counts it, once."""

    def lines() -> float:
        found: float = jobs.scraper.total("ai_gateway_requests_total", operation="chat", status="200")
        return found

    wait_until(jobs.scraper.answers, 20)
    before, settled = -1.0, lines()
    while before != settled:
        time.sleep(1.5)
        before, settled = settled, lines()
    batch = submit(client, 3)
    wait_until(lambda: charged(jobs.installation, batch.id) == 3, 40, 0.1)
    wait_until(lambda: lines() >= settled + 3, 20, 0.1)
    assert lines() == settled + 3


def test_many_lines_in_bounded_memory(quick: Gateway, client: OpenAI) -> None:
    def peak() -> int:
        status = Path(f"/proc/{quick.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024  # type: ignore[index]

    before = peak()
    started = time.monotonic()
    batch = submit(client, MANY_LINES)
    assert ended(client, batch.id, 60).status == "completed"
    wait_until(lambda: charged(quick.installation, batch.id) == MANY_LINES, 60, 0.1)
    took = time.monotonic() - started
    assert peak() - before < 60, f"{peak() - before} MB more, in {took:.1f} s"
