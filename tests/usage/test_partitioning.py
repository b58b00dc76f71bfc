"""The table of usage records becomes one of partitions, with its data and while it is written to, and back."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.core.management.color import no_style
from django.db import connections, models, transaction

from tests.support import servers
from tests.support.partitioned import elsewhere, partition_by_day, partition_names
from tests.support.usage_factory import attempt
from usage import partitioning, partitions, rows
from usage.management.commands import partition_usage
from usage.models import UsageRecord
from usage.partitioning import Refused, partition, undo

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
DAY = timedelta(days=1)
encode = msgspec.json.Encoder().encode


def at(moment: datetime) -> int:
    return int(moment.timestamp() * 10**6)


def store(alias: str, *moments: datetime, **changes: Any) -> None:
    assert rows.store([encode(attempt(started_at=at(moment), **changes)) for moment in moments], alias) == []


def contents(alias: str) -> list[tuple[Any, ...]]:
    return list(UsageRecord.objects.using(alias).order_by("id").values_list())


def quiet(said: str) -> None:
    """Say nothing of the progress."""


def run(alias: str, statement: str) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)


def query(alias: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, values or None)
        return list(cursor.fetchall())


def form(alias: str) -> list[tuple[Any, ...]]:
    """Return what makes the table: columns with their defaults, indexes, keys, rights and owner."""
    return [
        query(
            alias,
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid) FROM "
            "pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum "
            "WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
            partitions.TABLE,
        ),
        query(alias, "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s ORDER BY 1", partitions.TABLE),
        query(
            alias,
            "SELECT conname, contype::text FROM pg_constraint WHERE conrelid = %s::regclass AND contype <> 'n'",
            partitions.TABLE,
        ),
        query(alias, "SELECT relkind::text, relowner, relacl::text FROM pg_class WHERE relname = %s", partitions.TABLE),
    ]  # type: ignore[return-value]


def files(alias: str) -> set[int]:
    """Return the files of the table, or its first partition, and of their indexes."""
    found = query(
        alias,
        "SELECT relfilenode FROM pg_class LEFT JOIN pg_index ON indexrelid = pg_class.oid "
        "WHERE coalesce(indrelid, pg_class.oid) IN (to_regclass(%s), to_regclass(%s)) AND relfilenode <> 0",
        partitions.TABLE,
        partitions.BEFORE,
    )
    return {number for (number,) in found}


def test_there_and_back_with_the_data(postgres: str) -> None:
    store(postgres, *(NOW - number * DAY for number in range(30)))
    run(postgres, f"GRANT SELECT ON {partitions.TABLE} TO PUBLIC")
    run(postgres, f"GRANT UPDATE (cost_pico) ON {partitions.TABLE} TO pg_monitor WITH GRANT OPTION")
    data, before, kept = contents(postgres), form(postgres), files(postgres)
    partition(NOW, postgres, quiet)
    assert partition_names(postgres) == ["before", "default"]
    assert contents(postgres) == data
    assert files(postgres) == kept, "nothing was rewritten"
    columns, indexes, _, kind = form(postgres)
    assert columns == before[0]
    assert [name for name, _ in indexes] == [name for name, _ in before[1] if name != "usage_usagerecord_pkey"]
    assert kind == [("p", *before[3][0][1:])]
    partition(NOW, postgres, quiet)  # again: nothing to do
    assert partitions.tend(NOW, postgres) == 1
    store(postgres, NOW, NOW + 7 * DAY, NOW + 9 * DAY, NOW - 4000 * DAY)
    data = contents(postgres)
    assert len(data) == 34
    undo(postgres)
    assert contents(postgres) == data
    assert form(postgres) == before
    assert files(postgres) == kept
    undo(postgres)


def test_back_when_the_first_partition_is_gone(postgres: str) -> None:
    before = form(postgres)
    partition_by_day(postgres, NOW)
    store(postgres, NOW, NOW, NOW + DAY, NOW + 30 * DAY)
    assert partitions.drop_before(NOW - 10 * DAY, postgres) == [partitions.BEFORE]
    data = contents(postgres)
    undo(postgres)
    assert contents(postgres) == data
    assert form(postgres) == before


def test_an_id_that_is_there_twice_stops_the_way_back(postgres: str) -> None:
    partition_by_day(postgres, NOW)
    same = str(attempt().attempt_id)
    store(postgres, NOW, attempt_id=same)
    store(postgres, NOW - 30 * DAY, attempt_id=same)
    with pytest.raises(Refused, match=same):
        undo(postgres)
    assert len(contents(postgres)) == 2


@contextmanager
def writing(alias: str, write: Any) -> Iterator[list[Any]]:
    """Let a thread write again and again meanwhile; yield what it wrote."""
    done, written, first = threading.Event(), list[Any](), threading.Event()

    def run() -> None:
        try:
            while not done.is_set() or not written:
                written.append(write())
                first.set()
        finally:
            connections[alias].close()
            first.set()

    thread = threading.Thread(target=run)
    thread.start()
    first.wait(30)
    try:
        yield written
    finally:
        done.set()
        thread.join(30)


def test_writers_of_this_and_the_previous_release_go_on(postgres: str) -> None:
    store(postgres, *(NOW - number * DAY for number in range(30)))
    newer = {"decision", "model_resolved", "trace_id", "estimated", "error_message"}
    fields = [field for field in rows.FIELDS if field.column not in newer]
    names, places = ", ".join(field.column for field in fields), ", ".join(["%s"] * len(fields))
    statement = (
        f"INSERT INTO {partitions.TABLE} ({names}) VALUES ({places}) "  # noqa: S608
        "ON CONFLICT DO NOTHING RETURNING id"
    )

    def earlier() -> Any:
        values = rows.Columns(rows.row(attempt(started_at=at(NOW))))
        return query(postgres, statement, *(values[field.attname] for field in fields))[0][0]

    def present() -> str:
        record = attempt(started_at=at(NOW))
        assert rows.store([encode(record), encode(record)], postgres) == []
        return record.attempt_id

    with writing(postgres, earlier) as one, writing(postgres, present) as other:
        partition(NOW, postgres, quiet)
        partitions.tend(NOW, postgres)
        between = len(one), len(other)
        servers.wait_until(lambda: len(one) > between[0] and len(other) > between[1])
        undo(postgres)
    assert {str(row[0]) for row in contents(postgres)} >= {*map(str, one), *other}
    assert len(contents(postgres)) == 30 + len(one) + len(other)


def refusal(alias: str) -> str:
    with pytest.raises(Refused) as raised:
        partition(NOW, alias, quiet)
    assert partition_names(alias) == []
    return str(raised.value)


def test_what_can_not_be_partitioned_says_why(postgres: str, settings: Any) -> None:
    store(postgres, NOW + 8 * DAY)
    assert refusal(postgres).startswith("1 record of the future")
    UsageRecord.objects.using(postgres).all().delete()
    run(postgres, f"CREATE VIEW spent AS SELECT cost_pico FROM {partitions.TABLE}")  # noqa: S608
    assert "view spent" in refusal(postgres)
    run(postgres, "DROP VIEW spent")
    run(postgres, f"CREATE PUBLICATION ours FOR TABLE {partitions.TABLE}")
    assert "in publication ours" in refusal(postgres)
    run(postgres, "DROP PUBLICATION ours")
    settings.USAGE_RETENTION_DAYS = 36_500
    assert "max_locks_per_transaction" in refusal(postgres)
    settings.USAGE_RETENTION_DAYS = 30
    run(postgres, "SET ROLE pg_monitor")
    assert "must own usage_usagerecord" in refusal(postgres)
    run(postgres, "RESET ROLE")
    partition(NOW, postgres, quiet)
    run(postgres, f"CREATE VIEW spent AS SELECT cost_pico FROM {partitions.TABLE}")  # noqa: S608
    with pytest.raises(Refused, match="view spent"):
        undo(postgres)


def test_an_owner_who_is_no_superuser_can_do_it(postgres: str) -> None:
    owner = connections[postgres].settings_dict["NAME"] + "_owner"  # roles are the server's, not the database's
    run(postgres, f"CREATE ROLE {owner}")
    run(postgres, f"ALTER TABLE {partitions.TABLE} OWNER TO {owner}")
    run(postgres, f"GRANT CREATE ON SCHEMA public TO {owner}")
    run(postgres, f"SET ROLE {owner}")
    partition_by_day(postgres, NOW)
    assert len(partition_names(postgres)) == 10
    assert partitions.drop_before(NOW - 10 * DAY, postgres) == [partitions.BEFORE]
    undo(postgres)
    owned = query(postgres, "SELECT tableowner FROM pg_tables WHERE tablename = %s", partitions.TABLE)
    assert owned == [(owner,)]


def test_what_was_stopped_halfway_refuses_no_record(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    partitioning.change(lambda cursor, layout: partitioning._bound(cursor, layout, NOW + 7 * DAY), postgres)
    layout = partitions.read(postgres)
    assert layout is not None
    assert layout.bounded == NOW + 7 * DAY
    partitions.tend(NOW, postgres)  # it may be going on
    assert partitions.read(postgres) == layout
    partitions.tend(NOW + 5 * DAY, postgres)
    store(postgres, NOW + 8 * DAY)
    UsageRecord.objects.using(postgres).all().delete()

    def fail(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(partitioning, "_validate", fail)
        with pytest.raises(KeyboardInterrupt):
            partition(NOW, postgres, quiet)
    layout = partitions.read(postgres)
    assert layout is not None
    assert layout.bounded is None
    partition(NOW, postgres, quiet)
    assert partition_names(postgres) == ["before", "default"]


def test_django_can_change_empty_and_drop_the_table(postgres: str) -> None:
    partition_by_day(postgres, NOW)
    store(postgres, NOW, NOW - 30 * DAY)
    connection, field = connections[postgres], models.CharField(max_length=9, default="x", db_default="y")
    field.set_attributes_from_name("added")
    field.model = UsageRecord
    index = models.Index(fields=["status", "created_at"], name="usage_added")
    with connection.schema_editor() as editor:
        editor.add_field(UsageRecord, field)
        editor.add_index(UsageRecord, index)
    run(postgres, f"UPDATE {partitions.TABLE} SET added = 'kept'")  # noqa: S608
    store(postgres, NOW + 9 * DAY)
    assert partitions.tend(NOW + 3 * DAY, postgres) == 3
    undo(postgres)
    added = query(postgres, f"SELECT added FROM {partitions.TABLE}")  # noqa: S608
    assert sorted(added) == [("kept",), ("kept",), ("y",)]
    assert ("usage_added",) in [(name,) for name, _ in form(postgres)[1]]
    partition(NOW + 3 * DAY, postgres, quiet)
    with connection.schema_editor() as editor:
        editor.remove_index(UsageRecord, index)
        editor.remove_field(UsageRecord, field)
    for statement in connection.ops.sql_flush(no_style(), connection.introspection.django_table_names(True)):
        run(postgres, statement)
    assert contents(postgres) == []
    with connection.schema_editor() as editor:
        editor.delete_model(UsageRecord)
    assert partitions.read(postgres) is None
    assert not [name for name in connection.introspection.table_names() if name.startswith(partitions.TABLE)]


def test_a_dump_restores_it(postgres: str) -> None:
    partition_by_day(postgres, NOW)
    store(postgres, NOW, NOW - 30 * DAY, NOW + 30 * DAY)
    names, data, made = partition_names(postgres), contents(postgres), form(postgres)
    given = connections[postgres].settings_dict
    where = ["-h", given["HOST"], "-p", str(given["PORT"]), "-U", given["USER"]]
    dump = subprocess.run(
        [servers._postgres_binary("pg_dump"), *where, "-Fc", given["NAME"]], check=True, capture_output=True
    ).stdout
    connections[postgres].close()
    other = servers.postgres_url()
    restored = subprocess.run(
        [servers._postgres_binary("pg_restore"), *where, "--exit-on-error", "-d", other.rpartition("/")[2]],
        input=dump,
        capture_output=True,
        check=False,
    )
    assert restored.returncode == 0, restored.stderr
    given["NAME"] = other.rpartition("/")[2]
    assert (partition_names(postgres), contents(postgres), form(postgres)) == (names, data, made)
    store(postgres, NOW)


def test_the_command(postgres: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(partition_usage, "DEFAULT_DB_ALIAS", postgres)
    for options in (["--dry-run"], [], [], ["--undo"]):
        call_command("partition_usage", *options)
    last = NOW + 7 * DAY
    state = f"Usage records are in partitions: 1 day from {last:%Y-%m-%d} to {last:%Y-%m-%d}, "
    state += "usage_usagerecord_before, usage_usagerecord_default."
    assert capsys.readouterr().out.splitlines() == [
        "Usage records are in one table.",
        "Reading the table, to know that nothing in it is later than its partition. Writers go on.",
        f"usage_usagerecord_before has what was there, and what comes before {last:%Y-%m-%d}.",
        state,
        state,
        "Usage records are in one table.",
    ]
    with transaction.atomic(using=postgres), connections[postgres].cursor() as cursor:
        cursor.execute(f"SELECT pg_advisory_xact_lock({partitions.LOCK_KEY})")
        with pytest.raises(CommandError, match=r"Another process .* Nothing was changed; try again"):
            elsewhere(postgres, lambda: call_command("partition_usage"))


@pytest.mark.django_db
def test_sqlite_is_told_that_it_has_none() -> None:
    with pytest.raises(CommandError, match="Only PostgreSQL"):
        call_command("partition_usage")
