"""Databases and records for the tests of ``usage``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts.models import Team
from providers.models import Alias, Model, ProviderAccount
from rules.models import BudgetCounter, Rule
from tests.support import databases
from tests.support.partitioned import partition_by_day
from usage.models import Feedback, Rerating, SumsState, UsageHour, UsageRecord, UsageSum, UsageTime

SUMS = (UsageSum, UsageTime, SumsState, UsageHour)
TABLES = (UsageRecord, *SUMS, Rerating, Feedback, ProviderAccount, Model, Alias, Team, Rule, BudgetCounter)
"""The accounts and what follows are there for budgets, which count what is stored."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any, settings: Any) -> Iterator[str]:
    """The alias of a database of this test's own, with the usage tables in it: a SQLite file, then a real PostgreSQL.

    ``partitioned``, for tests that ask for it, is a PostgreSQL whose usage records have partitions by day.
    """
    vendor = "sqlite" if request.param == "sqlite" else "postgresql"
    with (
        django_db_blocker.unblock(),
        databases.opened("usage_under_test", vendor, tmp_path, *TABLES) as alias,
    ):
        if request.param == "partitioned":
            settings.USAGE_RETENTION_DAYS = 30
            partition_by_day(alias)
        yield alias


@pytest.fixture
def postgres(tmp_path: Path, django_db_blocker: Any, settings: Any) -> Iterator[str]:
    """The alias of a PostgreSQL of this test's own, with the usage tables in it, and locks for 30 days' partitions."""
    settings.USAGE_RETENTION_DAYS = 30
    with django_db_blocker.unblock(), databases.opened("usage_under_test", "postgresql", tmp_path, *TABLES) as alias:
        yield alias
