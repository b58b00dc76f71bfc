"""Counting: rows, buckets, the cap, sums over processes, and what a record counts as."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.telemetry.exposition import render
from gateway.telemetry.families import GROUPS
from gateway.telemetry.names import PROVIDERS
from gateway.telemetry.series import OTHER, Counts, Histogram, Table
from gateway.telemetry.shared import SharedCounts
from gateway.telemetry.tables import ATTEMPTS, DURATION, FIRST_TOKEN, OVERHEAD, PER_TOKEN, REQUESTS, count_attempt
from providers.vendors import VENDORS
from tests.support.installation import ROOT
from usage.records import AttemptRecord

SIZES = Histogram("sizes", (10, 100))
TABLE = Table("things", ("model", "account"), ("count",), (SIZES,), open_labels=frozenset({"model"}))


def test_a_value_belongs_to_the_first_bucket_that_is_not_smaller() -> None:
    row = [0] * TABLE.width
    for value in (0, 10, 11, 100, 101):
        TABLE.observe(row, SIZES, value)
    assert row == [0, 2, 2, 1, 222]


def test_beyond_the_limit_open_labels_say_other() -> None:
    counts = Counts(2)
    for number in range(5):
        counts.row(TABLE, (f"model-{number}", "openai"))[0] += 1
    counts.row(TABLE, ("model-0", "openai"))[0] += 1
    counts.row(TABLE, ("model-0", "groq"))[0] += 1
    found = {key: row[0] for key, row in counts.tables["things"].items()}
    assert found == {
        ("model-0", "openai"): 2,
        ("model-1", "openai"): 1,
        (OTHER, "openai"): 3,
        (OTHER, "groq"): 1,
    }


def test_rows_of_processes_add_up() -> None:
    total, one, two = Counts(9), Counts(9), Counts(9)
    one.row(TABLE, ("a", "x"))[0] = 1
    two.row(TABLE, ("a", "x"))[0] = 2
    two.row(TABLE, ("b", "x"))[0] = 4
    total.add(one.tables)
    total.add(two.tables)
    assert {key: row[0] for key, row in total.tables["things"].items()} == {("a", "x"): 3, ("b", "x"): 4}
    assert one.tables["things"][("a", "x")][0] == 1


def record(**more: object) -> AttemptRecord:
    known = {"account": "main", "provider": "openai", "operation": "chat", "status": 200, "latency_us": 2_000_000}
    return AttemptRecord("id", "req", 0, **{**known, **more})  # type: ignore[arg-type]


def test_a_record_counts_its_tokens_cost_and_times() -> None:
    counts = Counts(9)
    streamed = record(ttft_us=500_000, stream=True, input_tokens=100, cached_tokens=40, output_tokens=31, cost_pico=7)
    count_attempt(counts, streamed, "main/gpt", 900)
    count_attempt(counts, record(status=502, error_class="upstream_unreachable", cost_pico=None), "main/gpt", -1)
    row = counts.tables["attempts"][("main/gpt", "main", "openai", "chat")]

    def column(name: str) -> int:
        return row[ATTEMPTS.places[name]]

    assert [column(name) for name in ("input", "output", "cached", "cost_pico", "unpriced")] == [100, 31, 40, 7, 1]
    sums = {each.name: row[ATTEMPTS.places[each.name] + len(each.bounds) + 1] for each in ATTEMPTS.histograms}
    assert sums == {
        "duration": 4_000_000,
        "first_token": 500_000,
        "per_token": 50_000,
        "overhead": 900,
        "tokens_in": 100,
        "tokens_out": 31,
    }
    numbers = {
        each.name: sum(row[ATTEMPTS.places[each.name] :][: len(each.bounds) + 1])
        for each in (DURATION, FIRST_TOKEN, PER_TOKEN, OVERHEAD)
    }
    assert numbers == {"duration": 2, "first_token": 1, "per_token": 1, "overhead": 1}
    assert set(counts.tables["requests"]) == {
        ("main/gpt", "main", "openai", "chat", "200", ""),
        ("main/gpt", "main", "openai", "chat", "502", "upstream_unreachable"),
    }


def test_providers_have_the_conventions_names_among_the_conventions_metrics() -> None:
    assert PROVIDERS.keys() <= {vendor.provider for vendor in VENDORS.values()}
    counts = Counts(9)
    count_attempt(counts, record(provider="azure-openai", input_tokens=1), "main/gpt", 0)
    lines = render(counts, {}, GROUPS).decode().splitlines()
    named = {
        line.split("{")[0].split("_")[0]: name
        for line in lines
        if not line.startswith("#")
        for name in re.findall(r'provider[a-z_]*="([^"]*)"', line)
        if name != "main"
    }
    assert named["gen"] == "azure.ai.openai"
    assert named["ai"] == "azure-openai"


def test_a_refused_call_is_a_request_and_no_attempt() -> None:
    counts = Counts(9)
    count_attempt(counts, record(attempt_number=0, status=404, error_class="model_not_found"), "unresolved", -1)
    assert list(counts.tables) == [REQUESTS.name]


# --- processes ----------------------------------------------------------------------------------------------

CHILD = """
import sys, time
from pathlib import Path
from gateway.telemetry.shared import SharedCounts
shared = SharedCounts(Path(sys.argv[1]), 100)
shared.write({"requests": {("m", "a", "p", "chat", "200", ""): [5]}}, {"gatehouse_workers": {(): 1.0}})
print("written", flush=True)
sys.stdin.read()
"""


def start(folder: Path) -> "subprocess.Popen[str]":
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "gateway.settings"}
    child = subprocess.Popen(
        [sys.executable, "-c", f"import django; django.setup()\n{CHILD}", str(folder)],
        cwd=ROOT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "written\n"
    return child


def test_what_an_ended_process_counted_stays_while_another_lives(tmp_path: Path) -> None:
    folder = tmp_path / "metrics"
    mine = SharedCounts(folder, 100)
    assert mine.becomes_exporter()
    children = [start(folder) for _ in range(2)]

    def numbers() -> tuple[int, float]:
        counts, gauges = mine.merged()
        rows = counts.tables["requests"].values()
        return sum(row[0] for row in rows), gauges.get("gatehouse_workers", {}).get((), 0.0)

    assert numbers() == (10, 2.0)
    children[0].kill()
    children[0].wait()
    assert numbers() == (10, 1.0)
    assert numbers() == (10, 1.0), "counted once, when it was folded"
    children[1].communicate(timeout=10)
    assert numbers() == (10, 0.0)
    mine.close()
    assert SharedCounts(folder, 100).merged()[0].tables == {}, "a first process begins at zero"


def test_one_process_exports(tmp_path: Path) -> None:
    first, second = SharedCounts(tmp_path / "m", 9), SharedCounts(tmp_path / "m", 9)
    assert first.becomes_exporter()
    assert first.becomes_exporter()
    assert not second.becomes_exporter()
    first.close()
    assert second.becomes_exporter()


@pytest.mark.parametrize("broken", [b"", b"\x00\xff", b"\x93\x01\x02\x03"])
def test_a_file_that_can_not_be_read_is_left_out(tmp_path: Path, broken: bytes) -> None:
    shared = SharedCounts(tmp_path / "m", 9)
    (tmp_path / "m" / "1-x.counts").write_bytes(broken)
    assert shared.merged()[0].tables == {}
