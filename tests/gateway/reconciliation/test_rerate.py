"""``manage.py rerate``: history gets the prices that hold for it, the originals stay, and everything agrees."""

import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from gateway.billing import pricing
from gateway.billing.usage import REPORTED
from gateway.jobs.upstream import load_account
from gateway.pipeline.records import INCOMPLETE, served_target
from gateway.reconciliation.rerating import FREE, GONE, THEIRS, UNKNOWN_USAGE, UNLISTED, Rating
from providers.models import Model, ProviderAccount
from providers.snapshot import Target
from tests.support.usage_factory import attempt
from usage import rows
from usage.models import Rerating, UsageRecord, UsageSum
from usage.ratings import price_of
from usage.records import AttemptRecord
from usage.report import report
from usage.rollups import SPLIT
from usage.sums_table import MODELS, NEW

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC)
CHANGED = (NOW - timedelta(days=10)).replace(hour=0, minute=0, second=0, microsecond=0)
PRICE = {"input_mtok": "1", "changes": [{"from": CHANGED.date().isoformat(), "input_mtok": "3"}]}


def account(**columns: Any) -> ProviderAccount:
    made = ProviderAccount(kind="openai", name="main", **columns)
    made.save()
    Model.objects.create(account=made, name="own", model_types=["chat"], price_source="private", private_price=PRICE)
    Model.objects.create(account=made, name="gpt-4o-mini", model_types=["chat"])
    return made


def store(*records: AttemptRecord) -> None:
    assert rows.store([msgspec.json.encode(record) for record in records], "default", lambda: None) == []


def used(at: datetime = NOW - timedelta(hours=1), model: str = "own", **changes: Any) -> AttemptRecord:
    """A call of a million input tokens that ended just after ``at``, for a dollar by another price."""
    values: dict[str, Any] = {
        "account": "main",
        "model_asked": f"main/{model}",
        "model_resolved": f"main/{model}",
        "model_served": model,
        "started_at": int(at.timestamp() * 1_000_000),
        "input_tokens": 1_000_000,
        "cached_tokens": 0,
        "output_tokens": 0,
        "cost_pico": 10**12,
        "price_version": "private/00000000",
    }
    return attempt(**(values | changes))


def run(*options: str) -> dict[str, Any]:
    out = StringIO()
    call_command("rerate", *options, "--json", stdout=out)
    found: dict[str, Any] = json.loads(out.getvalue())
    return found


def costs() -> list[int | None]:
    return list(UsageRecord.objects.order_by("created_at", "id").values_list("cost_pico", flat=True))


def summed() -> int:
    found = UsageSum.objects.filter(part__in=(MODELS.days, NEW))
    return sum(row.cost_high * SPLIT + row.cost_low for row in found)


def test_history_gets_the_price_of_its_day_and_can_be_given_back() -> None:
    account()
    # The second begins before the change and ends after it, which counts.
    just_before = CHANGED - timedelta(seconds=2)
    store(
        used(just_before),
        used(CHANGED - timedelta(milliseconds=1), latency_us=5000),
        used(cost_pico=None, price_version=""),
        used(account="other"),
    )
    original = costs()
    seen = run("--account=main", "--since=30d")
    assert (seen["changed"], seen["run"], costs()) == (0, None, original)
    assert [(row["model"], row["changes"], row["before_usd"], row["after_usd"]) for row in seen["rows"]] == [
        ("main/own", 2, "2", "4"),
        ("main/own", 1, "0", "3"),
    ]
    applied = run("--account=main", "--since=30d", "--apply", "--reason=a better contract")
    assert applied["rows"] == seen["rows"]
    assert costs() == [10**12, 3 * 10**12, 3 * 10**12, 10**12]
    total = report([]).total
    assert (summed(), total.unpriced) == (total.cost_pico, 0)
    assert sorted((kept.cost_pico or 0, kept.price_version) for kept in Rerating.objects.all())[:2] == [
        (0, ""),
        (10**12, "private/00000000"),
    ]
    assert run("--account=main", "--since=30d", "--apply")["changed"] == 0
    listed: Any = run("--list")
    assert [(entry["run"], entry["records"], entry["reason"]) for entry in listed] == [
        (applied["run"], applied["changed"], "a better contract")
    ]
    out = StringIO()
    call_command(
        "why", UsageRecord.objects.get(cost_pico=3 * 10**12, account="main", latency_us=5000).request_id, stdout=out
    )
    assert "it cost $1.00 by private/00000000 until" in out.getvalue()
    assert run("--undo", applied["run"]) == {"run": None, "records": applied["changed"], "changed": 0}
    assert run("--undo", applied["run"], "--apply")["changed"] == applied["changed"]
    assert costs() == original
    assert summed() == report([]).total.cost_pico


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"price_version": REPORTED}, THEIRS),
        ({"price_version": "", "cost_pico": 0}, FREE),
        ({"price_gaps": INCOMPLETE, "cost_pico": None}, UNKNOWN_USAGE),
        ({"model_resolved": "main/gone", "model_asked": "main/gone", "model_served": "gone"}, GONE),
        ({"input_tokens": 0, "output_tokens": 7}, UNLISTED),
    ],
)
def test_what_can_not_be_rated_stays_and_is_said(changes: dict[str, Any], reason: str) -> None:
    account()
    store(used(**changes))
    found = run("--account=main", "--since=7d", "--apply")
    assert (found["changed"], found["left"]) == (0, {reason: 1})


def test_only_unpriced_ones_and_only_a_models() -> None:
    account(discount_percent=50)
    store(used(), used(cost_pico=None, price_version=""), used(model="gpt-4o-mini"))
    assert run("--account=main", "--since=7d", "--model=own", "--unpriced", "--apply")["changed"] == 1
    assert sorted(cost or 0 for cost in costs()) == [10**12, 10**12, 15 * 10**11]
    assert run("--account=main", "--since=7d", "--model=main/gpt-4o-mini")["rows"][0]["after_usd"] == "0.075"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"cached_tokens": 400, "output_tokens": 10, "audio_input_tokens": 5, "units": {"web_searches": 2}},
        {"units": {"no_such_unit": 2}},
        {"model_served": "gpt-4o-2024-11-20"},
        {"model_served": "nobody-knows"},
        {"input_tokens": 0, "cost_pico": None},
        {"service_tier": "batch"},
    ],
)
def test_an_unchanged_price_changes_nothing(options: dict[str, Any]) -> None:
    account(any_model=True)
    snapshot = load_account("main")
    target = Target(snapshot, snapshot.models["gpt-4o-mini"])
    record = used(model="gpt-4o-mini", **{"cost_pico": None, "price_version": "", **options})
    if record.service_tier:
        pricing.price_batch_line(record, target)
    else:
        pricing.price(record, served_target(record, target))
    assert Rating("main").price(record) == price_of(record)


def test_a_correction_follows_what_it_takes_back() -> None:
    account()
    store(used(), used(attempt_number=2, cost_pico=-(10**12), input_tokens=-1_000_000, units={"web_searches": -1}))
    run("--account=main", "--since=7d", "--apply")
    assert sum(cost or 0 for cost in costs()) == 0
    assert max(cost or 0 for cost in costs()) == 3 * 10**12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--account=mian", "--since=7d"], "'mian' does not exist. Valid values: main"),
        (["--account=main"], "--since is needed"),
        (["--account=main", "--since=tomorrow"], "'tomorrow' is not a valid time"),
        (["--account=main", "--since=1h", "--until=2h"], "--since must lie before --until"),
        (["--undo=x"], "give a run as --list shows it"),
        (["--undo=6f0d6a5e-3f57-4f4e-9b0c-5f1c2f6f2a10"], "does not exist"),
    ],
)
def test_wrong_options_are_2(options: list[str], message: str) -> None:
    account()
    with pytest.raises(CommandError, match=message) as refused:
        call_command("rerate", *options)
    assert refused.value.returncode == 2
