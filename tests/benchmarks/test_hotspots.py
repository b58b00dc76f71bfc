"""What is made of py-spy's samples."""

import pytest

from benchmarks import hotspots
from benchmarks.errors import BenchmarkError
from benchmarks.upstream import ROOT

LIBRARY = "/srv/.venv/lib/python3.11/site-packages"
SERVE = f"<module> ({ROOT}/manage.py);run ({LIBRARY}/uvicorn/main.py)"
HANDLE, RUN = f"handle ({ROOT}/gateway/server/handler.py)", f"run ({ROOT}/gateway/pipeline/run.py)"
LINES = f"""
{SERVE};{HANDLE};{RUN};post ({LIBRARY}/aiohttp/client.py) 6
{SERVE};{HANDLE};{RUN} 2
{SERVE};{RUN};{RUN} 1
{SERVE};f ({LIBRARY}/django/db/models.py);dumps (/usr/lib/python3.11/json/encoder.py) 1
_bootstrap (/usr/lib/python3.11/threading.py);_worker (/usr/lib/python3.11/concurrent/futures/thread.py) 90
_bootstrap (/usr/lib/python3.11/threading.py);_run ({ROOT}/gateway/embedded.py);start ({LIBRARY}/celery/beat.py) 80
"""


def test_samples_are_summed_by_component_and_by_own_function() -> None:
    samples = hotspots.stacks(LINES.splitlines())
    assert hotspots.by_component(samples) == {"aiohttp": 6, "gateway/pipeline": 3, "json": 1}
    assert hotspots.by_function(samples) == {
        "gateway/pipeline/run.py run": 9,
        "gateway/server/handler.py handle": 8,
    }


def test_an_installed_package_is_named_by_itself() -> None:
    assert hotspots.component(f"f ({LIBRARY}/django/db/models.py)") == "django"


def test_the_tables_show_time_and_shares_and_an_empty_profile_is_an_error() -> None:
    text = hotspots.render("A call", hotspots.stacks(LINES.splitlines()), 400.0)
    assert "### A call: 400.0 µs (10 samples)" in text
    assert "| `gateway/pipeline/run.py run`      | 360.0 | 90.0% |" in text
    with pytest.raises(BenchmarkError, match="took no sample"):
        hotspots.render("A call", [], 400.0)
