"""``manage.py export_usage``: records and bills as files, equal to the ledger."""

import csv
import io
import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from tests.support.usage_rows import record
from usage import recounting
from usage.exports import HEADER, to_csv
from usage.focus import COLUMNS
from usage.models import UsageRecord

START = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)


@pytest.fixture
def records(db: None) -> list[UsageRecord]:
    """Records of three hours and two accounts, one of them unpriced."""
    made = [record(START + timedelta(minutes=20 * number), cost_pico=number * 10**11 + 1) for number in range(6)]
    made[1].subject_name = "=HYPERLINK(1)"
    made[2].account, made[2].model_asked = "groq", "groq/llama"
    made[3].cost_pico = None
    UsageRecord.objects.bulk_create(made)
    recounting.rebuild(connection.alias)
    return made


def export(tmp_path: Path, *options: str) -> str:
    file = tmp_path / "out"
    call_command("export_usage", "--since", "all", "--output", str(file), *options)
    assert not (tmp_path / "out.part").exists()
    return file.read_text()


def test_csv(records: list[UsageRecord], tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(export(tmp_path))))
    assert tuple(rows[0]) == HEADER
    assert [row["id"] for row in rows] == [str(each.id) for each in records]
    assert [row["cost_usd"] for row in rows] == ["" if each.cost is None else f"{each.cost:f}" for each in records]
    assert rows[1]["subject_name"] == "'=HYPERLINK(1)"


def test_a_correction_stays_a_number(records: list[UsageRecord], tmp_path: Path) -> None:
    """What the vendor gave back costs less than nothing; a text that only begins so is still a text."""
    correction = record(START + timedelta(hours=5), cost_pico=-8 * 10**11, subject_name="-1+2")
    UsageRecord.objects.bulk_create([correction])
    recounting.rebuild(connection.alias)
    assert next(csv.DictReader(io.StringIO(to_csv([correction]))))["cost_usd"] == f"{correction.cost:f}"
    last = list(csv.DictReader(io.StringIO(export(tmp_path))))[-1]
    assert (Decimal(last["cost_usd"]), last["subject_name"]) == (Decimal("-0.8"), "'-1+2")
    bill = list(csv.DictReader(io.StringIO(export(tmp_path, "--format", "focus"))))[-1]
    assert Decimal(bill["BilledCost"]) == Decimal("-0.8")


def test_json_lines(records: list[UsageRecord], tmp_path: Path) -> None:
    rows = [json.loads(line) for line in export(tmp_path, "--format", "jsonl").splitlines()]
    assert [row["id"] for row in rows] == [str(each.id) for each in records]
    assert rows[0]["teams"] == ["research"]
    assert rows[1]["subject_name"] == "=HYPERLINK(1)"
    assert rows[3]["cost_usd"] is None
    assert datetime.fromisoformat(rows[0]["created_at"]) == START


def test_focus_adds_up_to_the_ledger(records: list[UsageRecord], tmp_path: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(export(tmp_path, "--format", "focus"))))
    assert tuple(rows[0]) == COLUMNS
    assert sum(Decimal(row["BilledCost"]) for row in rows) == sum(
        each.cost for each in records if each.cost is not None
    )
    assert sum(int(row["x_Requests"]) for row in rows) == 6
    assert sum(int(row["x_UnpricedRequests"]) for row in rows) == 1
    first = rows[0]
    assert (first["ChargePeriodStart"], first["ChargePeriodEnd"]) == ("2026-11-20T12:00:00Z", "2026-11-20T13:00:00Z")
    assert (first["BillingPeriodStart"], first["BillingPeriodEnd"]) == ("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
    assert (first["BillingCurrency"], first["ChargeCategory"], first["ConsumedUnit"]) == ("USD", "Usage", "Tokens")
    assert {row["ServiceName"] for row in rows} == {"openai-main", "groq"}


def test_parts(records: list[UsageRecord], tmp_path: Path) -> None:
    until = (START + timedelta(minutes=45)).isoformat()
    assert len(export(tmp_path, "--format", "jsonl", "--until", until).splitlines()) == 3
    assert len(export(tmp_path, "--format", "jsonl", "--account", "groq").splitlines()) == 1


@pytest.mark.parametrize("since", ["soon", "999999w", "0001-01-01T00:00+14:00"])
@pytest.mark.parametrize("command", ["export_usage", "usage_report", "simulate"])
def test_a_bad_time_is_named(command: str, since: str) -> None:
    with pytest.raises(CommandError, match=re.escape(repr(since))) as caught:
        call_command(command, "--since", since)
    assert caught.value.returncode == 2
