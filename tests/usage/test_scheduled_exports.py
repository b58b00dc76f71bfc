"""Days of usage as files in S3: each once, and again when it changed; what can't be written is said and tried again."""

import gzip
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from pyarrow import parquet

from batches import tasks
from gateway.doctor.usage_checks import check_exports
from gateway.server.preflight import storage_faults
from tests.support.s3_server import BACKEND, BUCKET, S3Server, s3_server
from tests.support.usage_factory import attempt
from usage import parquet as own_parquet
from usage import ratings, rows
from usage.models import ExportedFile, UsageRecord
from usage.pruning import prune
from usage.scheduled_exports import NAMES, WAIT, days, run

pytestmark = pytest.mark.django_db
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def s3(server: S3Server, settings: Any) -> S3Server:
    for name in server.names():
        server.client.delete_object(Bucket=BUCKET, Key=name)
    settings.EXPORT_STORAGE, settings.EXPORT_FORMATS = BACKEND, ("jsonl",)
    settings.STORAGES = {**settings.STORAGES, "exports": {"BACKEND": BACKEND, "OPTIONS": server.options}}
    return server


def store(hours: float, **changes: Any) -> None:
    """Store a record of so many hours before today."""
    at = TODAY - timedelta(hours=hours)
    line = msgspec.json.encode(attempt(started_at=int(at.timestamp() * 1_000_000), **changes))
    assert rows.store([line], "default", lambda: None) == []


def content(s3: S3Server, form: str = "jsonl", days_ago: int = 2) -> bytes:
    name = NAMES[form].format((TODAY - timedelta(days=days_ago)).date())
    found: bytes = s3.client.get_object(Bucket=BUCKET, Key=name)["Body"].read()
    return gzip.decompress(found) if name.endswith(".gz") else found


def exported(s3: S3Server, days_ago: int = 2) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content(s3, days_ago=days_ago).splitlines()]


def test_a_day_is_written_once_and_again_when_it_changed(s3: S3Server) -> None:
    store(30, cost_pico=None)
    store(47.9)
    store(0)
    assert run() == (1, 0)
    assert s3.names() == [f"records/day={(TODAY - timedelta(days=2)).date()}/records.jsonl.gz"]
    assert [row["cost_usd"] for row in exported(s3)] == ["0.000124500000", None]
    assert run() == (0, 0)
    store(26)  # it came late
    assert run() == (1, 0)
    assert len(exported(s3)) == 3
    unpriced = UsageRecord.objects.get(cost_pico=None)
    change = ratings.Change(unpriced.pk, unpriced.created_at, ratings.price_of(unpriced), ratings.Price(7, "new", ""))
    ratings.change([change], unpriced.pk, "a test")
    assert run() == (1, 0)
    assert [row["cost_usd"] for row in exported(s3)][1] == "0.000000000007"
    assert len(s3.names()) == 1


def test_what_retention_deletes_stays_exported(s3: S3Server) -> None:
    store(30)
    store(47.9)
    run()
    assert sum(prune(TODAY - timedelta(hours=40))) == 1
    assert run() == (0, 0)
    assert sum(prune(TODAY)) == 1
    assert run() == (0, 0)
    assert len(exported(s3)) == 2


def test_every_form_has_what_the_ledger_has(s3: S3Server, settings: Any) -> None:
    settings.EXPORT_FORMATS = tuple(NAMES)
    store(30, units={"web_searches": 2}, teams=["ä"])
    store(31, cost_pico=None, ttft_us=5, stream=True)
    assert run() == (4, 0)
    table = parquet.read_table(BytesIO(content(s3, "parquet"))).to_pylist()
    records = list(UsageRecord.objects.order_by("created_at"))
    assert [row["cost_usd"] for row in table] == [record.cost for record in records] == [None, Decimal("0.0001245")]
    for row, record in zip(table, records, strict=True):
        assert (row["id"], row["created_at"], row["stream"]) == (str(record.id), record.created_at, record.stream)
        assert (row["ttft_us"], row["input_tokens"]) == (record.ttft_us, record.input_tokens)
        assert (json.loads(row["units"]), json.loads(row["teams"])) == (record.units, record.teams)
    assert content(s3, "csv").count(b"\n") == 3
    assert b"BilledCost" in content(s3, "focus")


def test_a_store_that_is_away_is_said_and_tried_again(s3: S3Server, settings: Any) -> None:
    store(30)
    good, bad = settings.STORAGES, {**s3.options, "bucket_name": "not-there"}
    settings.STORAGES = {**good, "exports": {"BACKEND": BACKEND, "OPTIONS": bad}}
    with pytest.raises(CommandError, match="could not be written"):
        call_command("scheduled_exports", "--run", stdout=StringIO(), stderr=StringIO())
    (finding,) = check_exports()
    assert "1 file can't be exported, first records/day=" in finding.message
    assert "NoSuchBucket" in finding.message
    settings.STORAGES = good
    assert run() == (1, 0)
    assert list(check_exports()) == []


def test_two_workers_write_a_file_once(s3: S3Server) -> None:
    store(30)
    run()
    ExportedFile.objects.update(state="", claimed_until=datetime.now(UTC) + timedelta(minutes=1))
    assert run() == (0, 0)
    ExportedFile.objects.update(claimed_until=datetime.now(UTC) - timedelta(minutes=1))  # it died
    assert run() == (1, 0)


def test_the_command_lists_and_writes_again(s3: S3Server) -> None:
    store(30)
    day = (TODAY - timedelta(days=2)).date().isoformat()
    out = StringIO()
    call_command("scheduled_exports", "--run", "--json", stdout=out, stderr=StringIO())
    (file,) = json.loads(out.getvalue())
    assert (file["day"], file["format"], file["rows"], file["fault"]) == (day, "jsonl", 1, "")
    s3.client.delete_object(Bucket=BUCKET, Key=file["name"])
    said = StringIO()
    call_command("scheduled_exports", "--again", day, stdout=StringIO(), stderr=said)
    assert s3.names() == [file["name"]]
    assert f"{file['name']}: 1 row, " in said.getvalue()
    for wrong, message in ((["--again=x"], "write a day like"), (["--again=2020-01-01"], "before what the schedule")):
        with pytest.raises(CommandError, match=message) as refused:
            call_command("scheduled_exports", *wrong)
        assert refused.value.returncode == 2


def test_nothing_is_exported_without_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "_last", {})
    store(30)
    assert tasks.export_days() == 0
    with pytest.raises(CommandError, match="Set GATEHOUSE_EXPORT_STORAGE") as refused:
        call_command("scheduled_exports")
    assert refused.value.returncode == 2


def test_a_day_has_an_hour_to_arrive(settings: Any) -> None:
    settings.EXPORT_DAYS = 2
    assert days(TODAY + WAIT - timedelta(seconds=1))[-1] == (TODAY - timedelta(days=2)).date()
    assert days(TODAY + WAIT) == [(TODAY - timedelta(days=number)).date() for number in (2, 1)]


def test_parquet_without_its_package_is_said(s3: S3Server, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.EXPORT_FORMATS = ("parquet",)
    assert storage_faults() == []
    monkeypatch.setattr(own_parquet, "find_spec", lambda name: None)
    assert storage_faults() == ["GATEHOUSE_EXPORT_FORMATS: Parquet needs pyarrow: pip install pyarrow."]
    with pytest.raises(CommandError, match="pip install pyarrow") as refused:
        call_command("export_usage", "--format", "parquet")
    assert refused.value.returncode == 2
