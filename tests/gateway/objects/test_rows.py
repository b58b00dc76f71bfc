"""Owners as rows, in both databases: the first stays, all or none, over a connection that is kept and may be lost."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connections

from gateway.models import NewObject, Owned, OwnedObject
from gateway.objects import rows
from tests.support import databases


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path, django_db_blocker: Any) -> Iterator[str]:
    """The alias of a database with the table of owned objects: a SQLite file, then a real PostgreSQL."""
    with (
        django_db_blocker.unblock(),
        databases.opened("objects_under_test", request.param, tmp_path, OwnedObject) as alias,
    ):
        yield alias


def made(object_id: str, owner: str = "user:1", **changes: Any) -> NewObject:
    return NewObject(object_id, "main", "response", owner, "Ada", **changes)


def test_a_row_is_the_one_that_the_orm_writes(database: str) -> None:
    expiry = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
    given = {
        "team_keys": ("team:1", "team:2"),
        "token_id": 2**40,
        "parent_id": "conv_1",
        "model_name": "main/gpt",
        "metadata": {"note": 'é " \x00 \ud800'},
        "state": "queued",
        "data": {"a": [1, None, {"b": 2.5}]},
        "expires_at": expiry,
        "due_in": timedelta(seconds=30),
    }
    rows.Connection(database).store([made("raw", **given)])
    orm = made("orm", **given).row(datetime.now(UTC))
    orm.save(using=database)
    stored = {row.pop("object_id"): row for row in OwnedObject.objects.using(database).values()}
    raw, expected = stored["raw"], stored["orm"]
    written = {name: raw.pop(name) for name in ("id", "created_at", "updated_at", "due_at")}
    assert raw == {name: value for name, value in expected.items() if name not in written}
    assert raw["expires_at"] == expiry
    assert written["created_at"] == written["updated_at"]
    assert written["due_at"] - written["created_at"] == timedelta(seconds=30)
    assert abs(expected["created_at"] - written["created_at"]).total_seconds() < 60


def test_who_was_recorded_first_stays_the_owner(database: str) -> None:
    mine = rows.Connection(database)
    first = mine.store([made("a", team_keys=("team:1",), token_id=7)])
    assert first == {("main", "a"): Owned("a", "main", "response", "user:1", ("team:1",), owner_name="Ada", token_id=7)}
    second = mine.store([made("a", "user:2"), made("b", "user:2"), made("b", "user:3")])
    assert {key: entry.owner_key for key, entry in second.items()} == {("main", "a"): "user:1", ("main", "b"): "user:2"}
    assert second[("main", "a")] == first[("main", "a")], "what was remembered and what is read are the same"


def test_many_are_stored_all_or_none(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "STATEMENT_ROWS", 10)
    mine = rows.Connection(database)
    many = [made(f"r{number}") for number in range(35)]
    with pytest.raises((DatabaseError, ValueError, TypeError)):
        mine.store([*many, made("bad", data={"x": object()}), made("null", owner=None)])  # type: ignore[arg-type]
    with pytest.raises(DatabaseError):
        mine.store([*many, made("null", owner=None)])  # type: ignore[arg-type]
    assert OwnedObject.objects.using(database).count() == 0
    assert len(mine.store(many)) == 35
    assert OwnedObject.objects.using(database).count() == 35


def test_the_connection_is_kept_and_one_that_was_lost_is_made_anew(database: str) -> None:
    mine = rows.Connection(database)
    mine.store([made("a")])
    kept = connections[database].connection
    mine.store([made("b")])
    assert connections[database].connection is kept
    if connections[database].vendor == "postgresql":
        other = connections[database].copy()
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [kept.info.backend_pid])
        other.close()
        assert mine.store([made("c", "user:9"), made("a", "user:9")])[("main", "c")].owner_key == "user:9"
        assert connections[database].connection is not kept
    assert {entry.owner_key for entry in rows.found(["a", "b"], database)} == {"user:1"}
