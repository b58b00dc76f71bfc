"""Old records go, in bounded batches; the young stay."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.migrations.executor import MigrationExecutor
from django.test.utils import CaptureQueriesContext

from tests.support.usage_factory import attempt
from usage import rows
from usage.models import UsageRecord
from usage.pruning import prune

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_only_what_is_too_old_goes_and_a_batch_at_a_time(database: str) -> None:
    start = int(NOW.timestamp() * 10**6)
    ages = list(range(25))
    # Ids of batch lines are made from their names and don't rise with time.
    lines = [
        msgspec.json.encode(
            attempt(
                attempt_id=str(uuid.uuid5(uuid.NAMESPACE_OID, str(age))), started_at=start - age * 86_400 * 10**6 + 1
            )
        )
        for age in ages
    ]
    assert rows.store(lines, database) == []
    assert list(prune(NOW - timedelta(days=10), batch=4, using=database)) == [4, 4, 4, 2]
    left = sorted(record.created_at for record in UsageRecord.objects.using(database))
    assert len(left) == 11
    assert left[0] >= NOW - timedelta(days=10)
    assert list(prune(NOW - timedelta(days=10), using=database)) == []


def test_a_batch_is_one_statement(database: str) -> None:
    assert rows.store([msgspec.json.encode(attempt(started_at=5)) for _ in range(20)], database) == []
    with CaptureQueriesContext(connections[database]) as queries:
        list(prune(NOW, batch=100, using=database))
    ratings, *deletions = [query["sql"] for query in queries if query["sql"].startswith("DELETE")]
    assert "usage_rerating" in ratings
    assert len(deletions) == 2


def test_the_migrations_go_back_and_forth(database: str) -> None:
    connection = connections[database]
    there = connection.introspection.table_names()
    with connection.schema_editor() as editor:
        for model in apps.get_app_config("usage").get_models():
            if model._meta.db_table in there:
                editor.delete_model(model)
    for target in ("0001", "zero", "0001"):
        call_command("migrate", "usage", target, database=database, verbosity=0)
        assert (UsageRecord._meta.db_table in connection.introspection.table_names()) == (target != "zero")
    call_command("migrate", "usage", database=database, verbosity=0)
    assert rows.store([msgspec.json.encode(attempt())], database) == []
    executor = MigrationExecutor(connection)
    assert executor.migration_plan([key for key in executor.loader.graph.leaf_nodes() if key[0] == "usage"]) == []


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", "usage", check=True, dry_run=True, verbosity=0)


@pytest.mark.django_db
def test_the_command_keeps_what_the_setting_says(capsys: pytest.CaptureFixture[str], settings: Any) -> None:
    settings.USAGE_RETENTION_DAYS = 30
    day = 86_400 * 10**6
    now = int(datetime.now(UTC).timestamp() * 10**6)
    assert (
        rows.store([msgspec.json.encode(attempt(started_at=now - age * day)) for age in (1, 29, 31, 90)], "default")
        == []
    )
    call_command("prune_usage", "--dry-run")
    call_command("prune_usage")
    call_command("prune_usage", "--days", "7")
    assert capsys.readouterr().out.splitlines() == [
        "2 records older than 30 days.",
        "Deleted 2 records older than 30 days.",
        "Deleted 1 record older than 7 days.",
    ]
    with pytest.raises(CommandError, match="at least 1"):
        call_command("prune_usage", "--days", "0")
