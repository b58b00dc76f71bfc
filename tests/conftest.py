"""Fixtures that the tests of every package may use. The settings under test are in ``tests/settings.py``."""

import pytest
from hypothesis import settings

from tests.support import servers

pytest.register_assert_rewrite("tests.support.calls")
pytest_plugins = ["tests.support.fixtures", "tests.support.surface"]

# A shared machine may stall an example; what is slow is for the benchmarks to say.
settings.register_profile("gatehouse", deadline=None)
settings.load_profile("gatehouse")


@pytest.fixture
def postgres_url() -> str:
    """The address of a new, empty database on a real PostgreSQL."""
    return servers.postgres_url()


@pytest.fixture
def redis_url() -> str:
    """The address of an empty database on a real Valkey."""
    return servers.redis_url()
