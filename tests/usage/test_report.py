"""The report is the sum of the records, to the last digit, whatever it is grouped by."""

import csv
import io
import json
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.usage_factory import attempt
from usage import rows
from usage.management.commands.usage_report import table, write_csv
from usage.models import UsageRecord
from usage.records import AttemptRecord
from usage.report import GROUPS, Report, Sums, moment, report
from usage.spool import Spool

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
START = int(NOW.timestamp() * 10**6)


def store(database: str, *records: AttemptRecord) -> None:
    assert rows.store([msgspec.json.encode(record) for record in records], database) == []


def by_key(group_by: list[str], database: str, **window: Any) -> dict[tuple[str | None, ...], Sums]:
    return dict(report(group_by, using=database, **window).rows)


records = st.builds(
    attempt,
    subject_name=st.sampled_from(["ada@example.com", "bob@example.com", "ci"]),
    subject_type=st.sampled_from(["user", "virtualaccount"]),
    teams=st.lists(st.sampled_from(["red", "blue", "grün"]), unique=True, max_size=3),
    account=st.sampled_from(["one", "two", ""]),
    model_asked=st.sampled_from(["one/a", "two/b", "a", "onez/a", ""]),
    started_at=st.integers(START - 5 * 86_400 * 10**6, START),
    attempt_number=st.integers(1, 3),
    error_class=st.sampled_from(["", "timeout"]),
    status=st.sampled_from([200, 429]),
    input_tokens=st.integers(0, 2**31 - 1),
    price_gaps=st.sampled_from(["", "code_executions"]),
    cost_pico=st.none() | st.integers(0, 2**63 - 1) | st.integers(0, 10**7),
    metadata=st.dictionaries(st.sampled_from(["env", "1", "a.b", "tab\t"]), st.text(max_size=5), max_size=3),
)


def keys_of(group: str) -> Callable[[AttemptRecord], list[str | None]]:
    """Return what the records of a group are told apart by, worked out in Python."""
    simple = {"account": "account", "provider": "provider", "operation": "operation"}
    if group == "user":
        return lambda r: [f"virtualaccount:{r.subject_name}" if r.subject_type != "user" else r.subject_name]
    if group == "model":
        return lambda r: [
            r.model_asked or None
            if not (r.account and r.model_asked) or r.model_asked.partition("/")[0] == r.account
            else f"{r.account}/{r.model_asked}"
        ]
    if group == "team":
        return lambda r: list(r.teams) or [None]
    if group == "day":
        return lambda r: [datetime.fromtimestamp(r.started_at / 10**6, UTC).date().isoformat()]
    if group == "token":
        return lambda r: [r.token_prefix]
    if group.startswith("metadata."):
        return lambda r: [r.metadata.get(group.removeprefix("metadata.")) or None]
    return lambda r: [getattr(r, simple[group]) or None]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(records, max_size=12),
    st.lists(st.sampled_from([*GROUPS, "metadata.env", "metadata.1", "metadata.a.b"]), max_size=3, unique=True),
)
def test_every_grouping_is_the_sum_of_its_records(
    database: str, written: list[AttemptRecord], groups: list[str]
) -> None:
    UsageRecord.objects.using(database).all().delete()
    clean = [rows.decode(msgspec.json.encode(record)) for record in written]
    store(database, *written)
    expected: defaultdict[tuple[str | None, ...], int] = defaultdict(int)
    counted: defaultdict[tuple[str | None, ...], int] = defaultdict(int)
    for record in clean:
        keys: list[tuple[str | None, ...]] = [()]
        for group in groups:
            keys = [(*key, part) for key in keys for part in keys_of(group)(record)]
        for key in keys:
            expected[key] += record.cost_pico or 0
            counted[key] += 1
    found = report(groups, using=database)
    if groups:
        assert {key: sums.cost_pico for key, sums in found.rows} == expected
        assert {key: sums.attempts for key, sums in found.rows} == counted
    total = found.total
    assert total.cost_pico == sum(record.cost_pico or 0 for record in clean)
    assert total.input_tokens == sum(record.input_tokens for record in clean)
    assert total.attempts == len(clean)
    assert total.requests == sum(record.attempt_number == 1 for record in clean)
    assert total.errors == sum(bool(record.error_class) or record.status >= 400 for record in clean)
    assert total.unpriced == sum(record.cost_pico is None for record in clean)
    assert total.partly_priced == sum(bool(record.price_gaps) for record in clean)
    assert Decimal(total.cost) * 10**12 == total.cost_pico


def test_a_bare_name_counts_with_the_model_of_its_account(database: str) -> None:
    store(
        database,
        attempt(model_asked="openai-main/gpt-4o-mini", cost_pico=3),
        attempt(model_asked="gpt-4o-mini", cost_pico=4),
        attempt(model_asked="gpt-4o-mini", account="other", cost_pico=5),
    )
    found = by_key(["model"], database)
    assert {key: (sums.attempts, sums.cost_pico) for key, sums in found.items()} == {
        ("openai-main/gpt-4o-mini",): (2, 7),
        ("other/gpt-4o-mini",): (1, 5),
    }


def test_costs_beyond_64_bits_are_exact(database: str) -> None:
    store(database, *(attempt(cost_pico=2**63 - 1 - number) for number in range(5)))
    assert report([], using=database).total.cost_pico == 5 * (2**63 - 1) - 10
    assert report([], using=database).total.cost == "46116860.184273879025"


def test_the_window_includes_its_start_and_not_its_end(database: str) -> None:
    store(database, *(attempt(started_at=START + offset) for offset in (-1, 0, 1, 10)))
    window = {"since": NOW, "until": NOW + timedelta(microseconds=10)}
    assert report([], using=database, **window).total.attempts == 2


def test_without_records_there_is_a_total_of_nothing(database: str) -> None:
    found = report(["account"], using=database)
    assert (found.rows, found.total, found.total.cost) == ([], Sums(), "0.000000000000")


def test_rows_are_dearest_first_and_days_in_order(database: str) -> None:
    store(
        database,
        attempt(account="cheap", cost_pico=1, started_at=START - 86_400 * 10**6),
        attempt(account="dear", cost_pico=9, started_at=START),
        attempt(account="dear", cost_pico=90, started_at=START - 2 * 86_400 * 10**6),
    )
    assert [key for key, _ in report(["account"], using=database).rows] == [("dear",), ("cheap",)]
    assert [key[0] for key, _ in report(["day"], using=database).rows] == ["2026-11-19", "2026-11-20", "2026-11-21"]


def test_callers_write_no_control_characters_to_the_terminal() -> None:
    odd = "a\n\x1b[2J\x9b31m\u2028\u202e\x00é"
    found = Report(None, None, ["metadata.a"], [((odd,), Sums(requests=1)), (("b",), Sums())], Sums(requests=1))
    shown = table(found)
    assert [line.split("  ")[0] for line in shown.split("\n")[2:4]] == [
        r"a\u000a\u001b[2J\u009b31m\u2028\u202e\u0000é",
        "b",
    ]
    assert set(shown) - {"\n"} == {sign for sign in shown if sign.isprintable()}
    out = io.StringIO()
    write_csv(found, out)
    assert next(iter(csv.DictReader(io.StringIO(out.getvalue(), newline=""))))["metadata.a"] == odd
    assert found.as_dict()["rows"][0]["metadata.a"] == odd


@pytest.mark.parametrize("group", ["", "nonsense", "metadata.", "user; DROP TABLE"])
def test_an_unknown_group_is_refused(database: str, group: str) -> None:
    with pytest.raises(ValueError, match="is not a valid group"):
        report([group], using=database)


def test_hostile_metadata_keys_are_only_keys(database: str) -> None:
    store(database, attempt(metadata={"a') --": "x", "%s": "y"}))
    assert [key for key, _ in report(["metadata.a') --"], using=database).rows] == [("x",)]
    assert [key for key, _ in report(["metadata.%s"], using=database).rows] == [("y",)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("30m", NOW - timedelta(minutes=30)),
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-11-01", datetime(2026, 11, 1, tzinfo=UTC)),
        ("2026-11-01T12:30:00Z", datetime(2026, 11, 1, 12, 30, tzinfo=UTC)),
        ("2026-11-01T12:30:00+02:00", datetime(2026, 11, 1, 10, 30, tzinfo=UTC)),
    ],
)
def test_moments(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "7", "d", "-7d", "yesterday", "7 d", "9999999d"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError, match="is not a valid time"):
        moment(text, NOW)


class Installation:
    """A data directory with a migrated database, and the commands run in it as an operator runs them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.run("migrate", "-v0")

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {"PATH": os.environ["PATH"], "GATEHOUSE_DATA_DIR": str(self.directory)}
        command = [sys.executable, "manage.py", *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False, cwd=Path(__file__).parents[2]
        )

    def spool(self, *written: AttemptRecord) -> Spool:
        """Return the spool of a process that has written these and lives on."""
        mine = Spool(self.directory / "spool")
        for record in written:
            mine.append(record)
        return mine


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installation"))


def test_the_commands_as_an_operator_runs_them(installation: Installation) -> None:
    written = [
        attempt(teams=["red", "blue"], metadata={"env": "=cmd"}, cost_pico=124_500_001),
        attempt(teams=[], cost_pico=None, account="other", status=500, error_class="upstream_error"),
    ]
    mine = installation.spool(*written)
    waiting = installation.run("usage_report", "--json")
    assert waiting.returncode == 0
    assert "2 records in this machine's spool" in waiting.stderr
    assert json.loads(waiting.stdout)["total"]["attempts"] == 0

    flushed = installation.run("usage_report", "--group-by", "team,account", "--json", "--flush")
    assert (flushed.returncode, flushed.stderr) == (0, "")
    body = json.loads(flushed.stdout)
    assert body["group_by"] == ["team", "account"]
    assert body["until"] is None
    assert [(row["team"], row["account"], row["cost"], row["unpriced"]) for row in body["rows"]] == [
        ("blue", "openai-main", "0.000124500001", 0),
        ("red", "openai-main", "0.000124500001", 0),
        (None, "other", "0.000000000000", 1),
    ]
    assert body["total"] == {
        "requests": 2,
        "attempts": 2,
        "errors": 1,
        "input_tokens": 2000,
        "cached_tokens": 1000,
        "cache_write_tokens": 0,
        "output_tokens": 40,
        "reasoning_tokens": 0,
        "unpriced": 1,
        "partly_priced": 0,
        "estimated": 0,
        "cost": "0.000124500001",
        "currency": "USD",
    }
    mine.close()
    again = installation.run("usage_report", "--flush", "--csv", "--group-by", "metadata.env", "--group-by", "user")
    table = list(csv.DictReader(io.StringIO(again.stdout)))
    assert [(row["metadata.env"], row["user"], row["attempts"]) for row in table] == [
        ("'=cmd", "ada@example.com", "1"),
        ("test", "ada@example.com", "1"),
    ]
    shown = installation.run("usage_report", "--group-by", "team", "--since", "1h")
    assert "counts under each of them, and once in the total" in shown.stdout
    assert "Unpriced: 1 attempt, " in shown.stdout
    total = next(line for line in shown.stdout.splitlines() if line.startswith("total"))
    assert total.split() == ["total", "2", "1", "2,000", "1,000", "40", "1", "0", "$0.000124500001"]
    assert list((installation.directory / "spool").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "'yesterday' is not a valid time"),
        (["--until", "tomorrow"], "'tomorrow' is not a valid time"),
        (["--group-by", "planet"], "'planet' is not a valid group"),
        (["--json", "--csv"], "not allowed with"),
    ],
)
def test_wrong_arguments_end_with_two_and_the_reason(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message) as caught:
        call_command("usage_report", *arguments)
    assert caught.value.returncode == 2 or "not allowed with" in message


def test_wrong_arguments_on_the_command_line(installation: Installation) -> None:
    done = installation.run("usage_report", "--since", "yesterday")
    assert (done.returncode, done.stdout) == (2, "")
    assert "is not a valid time" in done.stderr
    assert "Traceback" not in done.stderr
