"""Hosts whose clocks differ by minutes share the work: no line of a batch runs twice."""

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI

from tests.support.batch_inputs import QUICK, ended, jsonl, line
from tests.support.celery_processes import clock, worker
from tests.support.fixtures import USER, seed
from tests.support.installation import Installation, migrated_postgres_url
from tests.support.sandbox_process import SandboxProcess
from tests.support.skewed import skewed

LINES = 12
AHEAD = 120.0
HEADERS = {"x-tfy-provider-name": "openai-main", "x-gatehouse-batch": "managed"}
# The batch outlasts its lease and many sweeps.
ENV = {**QUICK, "GATEHOUSE_MANAGED_CONCURRENCY": "2"}


@pytest.mark.parametrize("jobs_run", ["embedded", "brokered"])
def test_each_line_of_a_managed_batch_runs_once(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    migrated_data: Path,
    quick_upstream: SandboxProcess,
    jobs_run: str,
) -> None:
    env, template = dict(ENV), migrated_data if jobs_run == "embedded" else None
    if jobs_run == "brokered":
        env["DATABASE_URL"] = migrated_postgres_url()
        env["REDIS_URL"] = request.getfixturevalue("redis_url")
    with ExitStack() as stack:
        installation = stack.enter_context(Installation(tmp_path / "installation", template, env))
        seed(installation, quick_upstream.url)
        gateway = installation.gateway()
        ahead = installation.elsewhere(skewed(AHEAD))
        if jobs_run == "brokered":
            stack.enter_context(clock(installation))
            stack.enter_context(worker(installation))
            stack.enter_context(worker(ahead))
        else:
            ahead.gateway()
        client: OpenAI = gateway.sdk(gateway.token("clocks", user=USER), default_headers=HEADERS)
        quick_upstream.clear()
        content = jsonl(line(number, f"[[sandbox: latency=700]] number {number}.") for number in range(LINES))
        uploaded = client.files.create(file=("in.jsonl", content), purpose="batch")
        batch: Any = client.batches.create(
            input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
        )
        batch = ended(client, batch.id, 60)
        assert (batch.status, batch.request_counts.completed) == ("completed", LINES)
        calls = Counter(each["body"] for each in quick_upstream.requests("/v1/chat/completions"))
        assert sorted(calls.values()) == [1] * LINES
