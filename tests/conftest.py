"""Fixtures that the tests of every package may use. The settings under test are in ``tests/settings.py``.

Every test with Hypothesis's ``given`` is a fuzzer: ``make test`` gives each the same few examples every time, and
``make fuzz`` (``--fuzz SECONDS``) runs nothing else, with new examples as long as there is time.
"""

import os
import sys
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import schedule, servers

pytest.register_assert_rewrite("tests.support.calls")
pytest_plugins = ["tests.support.fixtures", "tests.support.surface", "tests.support.vendor_accounts"]

# Hundreds of processes start; where Python may keep no bytecode, each would compile all of Gatehouse again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shared machine may stall an example; what is slow is for the benchmarks to say.
settings.register_profile("gatehouse", deadline=None, derandomize=True, database=None)
settings.register_profile("fuzz", deadline=None, max_examples=500, suppress_health_check=list(HealthCheck))
settings.load_profile("gatehouse")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fuzz", type=float, default=0, help="run the fuzzers alone, for so many seconds together")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--fuzz"):
        settings.load_profile("fuzz")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--fuzz"):
        items[:] = [item for item in items if getattr(getattr(item, "obj", None), "is_hypothesis_test", False)]
    if hasattr(config, "workerinput"):
        items[:] = schedule.in_order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    if config.getoption("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False
    return schedule.LongestFirst(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a fuzzer again and again, until its share of the time is over."""
    seconds = pyfuncitem.config.getoption("--fuzz")
    if not seconds:
        return None
    until = time.monotonic() + seconds / len(pyfuncitem.session.items)
    given: dict[str, Any] = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    while time.monotonic() < until:
        pyfuncitem.obj(**given)
    return True


@pytest.fixture
def postgres_url() -> str:
    """The address of a new, empty database on a real PostgreSQL."""
    return servers.postgres_url()


@pytest.fixture
def redis_url() -> str:
    """The address of an empty database on a real Valkey."""
    return servers.redis_url()
