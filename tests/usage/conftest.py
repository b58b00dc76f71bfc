"""Databases and records for the tests of ``usage``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts.models import Team
from providers.models import Alias, Model, ProviderAccount
from rules.models import BudgetCounter, Rule
from tests.support import databases
from usage.models import Feedback, Rerating, SumsState, UsageHour, UsageRecord, UsageSum, UsageTime

SUMS = (UsageSum, UsageTime, SumsState, UsageHour)
TABLES = (UsageRecord, *SUMS, Rerating, Feedback, ProviderAccount, Model, Alias, Team, Rule, BudgetCounter)
"""The accounts and what follows are there for budgets, which count what is stored."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[str]:
    """The alias of a database of this test's own, with the usage tables in it: a SQLite file, then a real
    PostgreSQL.
    """
    with (
        django_db_blocker.unblock(),
        databases.opened("usage_under_test", request.param, tmp_path, *TABLES) as alias,
    ):
        yield alias
