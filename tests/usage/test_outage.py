"""A PostgreSQL that crashes, hangs and comes back."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

from accounts.models import Team
from gateway.config.database import database
from providers.models import Alias, Model, ProviderAccount
from rules.models import BudgetCounter, Rule
from tests.support.servers import PostgresServer, own_postgres, wait_until
from tests.support.usage_factory import attempt
from tests.usage.conftest import SUMS
from usage import ledger as ledger_module
from usage import recovery
from usage.ledger import Ledger
from usage.models import UsageRecord
from usage.spool import Spool

ALIAS = "usage_outage"


@pytest.fixture
def server(tmp_path: Path, django_db_blocker: Any) -> Iterator[PostgresServer]:
    """A PostgreSQL of this test's own, with the usage table in it."""
    # An operator may say that commits need not be on disk, and wait long for the next write: the ledger's are all the
    # same.
    with own_postgres(synchronous_commit="off", wal_writer_delay="10s") as server, django_db_blocker.unblock():
        given = database(f"{server.url}/postgres", tmp_path, pooler=False) | {"OPTIONS": {}, "CONN_MAX_AGE": None}
        connections.databases[ALIAS] = dict(connections.databases["default"]) | given
        with connections[ALIAS].schema_editor() as editor:
            for table in (UsageRecord, *SUMS, Team, Rule, BudgetCounter, ProviderAccount, Model, Alias):
                editor.create_model(table)
        yield server
        connections[ALIAS].close()
        del connections[ALIAS]
        del connections.databases[ALIAS]


def stored() -> set[str]:
    return {str(key) for key in UsageRecord.objects.using(ALIAS).values_list("id", flat=True)}


def test_calls_go_on_while_postgresql_is_away_and_nothing_is_lost(server: PostgresServer, tmp_path: Path) -> None:
    ledger = Ledger(Spool(tmp_path / "spool"), flush_seconds=0.05, using=ALIAS)
    ledger.start()
    written = [attempt() for _ in range(60)]
    for record in written[:20]:
        ledger.spool.append(record)
    wait_until(lambda: len(stored()) == 20)
    connections[ALIAS].close()

    server.stop(signal.SIGQUIT)
    for record in written[20:40]:
        ledger.spool.begin(record)
        ledger.spool.append(record)
    wait_until(lambda: ledger.state()["database_error"])
    state = ledger.state()
    assert (state["ok"], state["pending"], state["dropped"]) == (False, 20, 0)
    assert str(server.port) not in str(state)

    server.start()
    for record in written[40:]:
        ledger.spool.append(record)
    wait_until(lambda: ledger.state()["pending"] == 0 and ledger.state()["ok"], 30)
    assert stored() == {record.attempt_id for record in written}
    assert ledger.drain()
    assert recovery.folders(tmp_path / "spool") == []


def test_what_was_committed_survives_a_crash_where_commits_are_not_synchronous(
    server: PostgresServer, tmp_path: Path
) -> None:
    ledger = Ledger(Spool(tmp_path / "spool"), using=ALIAS)
    written = [attempt() for _ in range(50)]
    for record in written:
        ledger.spool.append(record)
    ledger.flush()
    assert recovery.held_bytes(tmp_path / "spool") == 0, "the spool has let go of them"
    connections[ALIAS].close()
    server.stop(signal.SIGQUIT)
    server.start()
    assert stored() == {record.attempt_id for record in written}
    ledger.spool.close()


def test_a_postgresql_that_hangs_holds_up_no_shutdown(
    server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_module, "STALLED_SECONDS", 0.2)
    ledger = Ledger(Spool(tmp_path / "spool"), flush_seconds=0.02, using=ALIAS)
    ledger.start()
    first, second = attempt(), attempt()
    ledger.spool.append(first)
    wait_until(lambda: ledger.state()["pending"] == 0)
    connections[ALIAS].close()
    paused = server.pause()
    try:
        ledger.spool.append(second)
        wait_until(lambda: not ledger.state()["ok"])
        assert ledger.drain(timeout=0.3) is False
    finally:
        server.resume(paused)
    wait_until(lambda: second.attempt_id in stored())
    assert stored() == {first.attempt_id, second.attempt_id}
