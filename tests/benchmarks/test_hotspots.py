"""What is made of py-spy's samples."""

import pytest

from benchmarks import hotspots
from benchmarks.errors import BenchmarkError
from benchmarks.upstream import ROOT

LIBRARY = "/srv/.venv/lib/python3.11/site-packages"
MAIN, LEDGER = "thread (7): MainThread", "thread (8): usage-ledger"
SERVE = f"{MAIN};<module> ({ROOT}/manage.py);run ({LIBRARY}/uvicorn/main.py)"
HANDLE, RUN = f"handle ({ROOT}/gateway/server/handler.py)", f"run ({ROOT}/gateway/pipeline/run.py)"
LINES = f"""
{SERVE};{HANDLE};{RUN};post ({LIBRARY}/aiohttp/client.py) 6
{SERVE};{HANDLE};{RUN} 2
{SERVE};{RUN};{RUN} 1
{SERVE};f ({LIBRARY}/django/db/models.py);dumps (/usr/lib/python3.11/json/encoder.py) 1
{LEDGER};_run ({ROOT}/usage/ledger.py) 90
thread (9): idle;wait (/usr/lib/python3.11/threading.py) 90
""".splitlines()
# The ledger waits for the core in most of its samples; a third thread takes nothing at all.
SAMPLES = hotspots.stacks(LINES, {7: 4.0, 8: 1.0, 9: 0.0, 10: 5.0})


def test_a_threads_samples_divide_its_share_of_the_cpu_time() -> None:
    assert hotspots.by_component(SAMPLES) == pytest.approx(
        {"aiohttp": 0.48, "gateway/pipeline": 0.24, "json": 0.08, "usage/ledger": 0.2, "threading": 0.0}
    )


def test_shares_are_summed_by_own_function() -> None:
    assert hotspots.by_function(SAMPLES) == pytest.approx(
        {"gateway/pipeline/run.py run": 0.72, "gateway/server/handler.py handle": 0.64, "usage/ledger.py _run": 0.2}
    )


def test_an_installed_package_is_named_by_itself() -> None:
    assert hotspots.component(f"f ({LIBRARY}/django/db/models.py)") == "django"


def test_the_tables_show_time_and_shares_and_an_empty_profile_is_an_error() -> None:
    text = hotspots.render("A call", SAMPLES, 400.0)
    assert "### A call: 400.0 µs" in text
    assert "| `gateway/pipeline/run.py run`      | 288.0 | 72.0% |" in text
    with pytest.raises(BenchmarkError, match="took no sample"):
        hotspots.render("A call", hotspots.stacks([], {7: 1.0}), 400.0)
