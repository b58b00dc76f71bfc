"""Spend by everything it can be grouped by, from sums: equal to the report of the records, folded or not."""

from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import product
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command
from django.db.models import Q

from tests.support.usage_factory import attempt
from usage import durations, folding, rows, spend
from usage.models import UsageRecord, UsageSum, UsageTime
from usage.report import report
from usage.sum_query import Span
from usage.sums_table import WHOLE

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
GROUPS = {"model": "model", "account": "account", "team": "team", "token": "token", "metadata.env": "metadata.env"}
ALICE = spend.narrowed(spend.ALL, Q(subject_type="user", subject_name="alice"), "subject_type", "subject_name")
ONE_ACCOUNT = spend.narrowed(spend.ALL, Q(account="a1"), "account")
# What a manager sees: an account, and their own calls elsewhere.
MANAGER = (*ONE_ACCOUNT, *spend.narrowed(ALICE, ~Q(account="a1"), "account"))


@pytest.fixture(params=[2, 400])
def stored(request: pytest.FixtureRequest, db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of ten days, one in three hours, of which some are folded and some are new.

    Detailed cuts have sums by the hour of the last two days, which are later than that, or of all.
    """
    monkeypatch.setattr(folding, "DETAILS_KEPT", timedelta(days=request.param))
    settings.USAGE_METADATA_KEYS = ("env",)
    lines = []
    for number in range(80):
        account, at = f"a{number % 3}", NOON - timedelta(hours=3 * number)
        values = {
            "account": account,
            "model_asked": f"m{number % 4}" if number % 2 else f"{account}/m{number % 4}",
            "subject_name": ("alice", "bob", "bot")[number % 7 % 3],
            "subject_type": "virtualaccount" if number % 7 % 3 == 2 else "user",
            "token_prefix": f"gh-{number % 5}",
            "teams": [["x"], ["x", "y"], []][number % 5 % 3],
            "metadata": {"env": f"e{number % 2}"} if number % 4 else {},
            "cost_pico": None if number % 11 == 0 else number * 10**11 + 1,
            "batch_key": "b" if number % 13 == 0 else "",
            "error_class": "timeout" if number % 17 == 0 else "",
            "latency_us": 1000 * (number + 1),
        }
        lines.append(msgspec.json.encode(attempt(started_at=int(at.timestamp() * 10**6), **values)))
    assert rows.store(lines[:60], "default") == []
    folding.fold_all()
    assert rows.store(lines[60:], "default") == []


SPANS = [spend.last(168, NOON), spend.last(24, NOON), Span(NOON - timedelta(days=9), NOON + timedelta(hours=1))]
EXACT = Span(NOON - timedelta(minutes=400), NOON + timedelta(minutes=1), exact=True)


def test_each_group_is_what_the_records_say(stored: None) -> None:
    for span, (group, reported) in product([*SPANS, EXACT], GROUPS.items()):
        wanted = report([reported], span.start, span.end)
        table = spend.table(span, group, spend.ALL)
        told = {row.name: (row.totals.requests, row.totals.cost_pico) for row in table.rows}
        assert told == {key or "(none)": (sums.requests, sums.cost_pico) for (key,), sums in wanted.rows}, (span, group)
        assert (table.total.attempts, table.total.cost_pico) == (wanted.total.attempts, wanted.total.cost_pico)
        before = report([], span.before.start, span.before.end).total
        assert (table.before.attempts, table.before.cost_pico) == (before.attempts, before.cost_pico)
        for row in table.rows:
            assert sum(one.cost_pico for one in row.steps.values()) == row.totals.cost_pico
            assert set(row.steps) <= set(span.steps())


def test_the_largest_and_the_rest_come_to_the_whole(stored: None) -> None:
    for span, group, parts in product([SPANS[2], EXACT], spend.GROUPS, [spend.ALL, MANAGER]):
        whole, cut = spend.table(span, group, parts), spend.table(span, group, parts, 1)
        assert cut.total == whole.total
        assert cut.hidden == (len(whole.rows) - 1 if len(whole.rows) > 2 else 0)
        if not cut.hidden:
            continue
        rest = spend.Row("Other")
        for row in whole.rows[1:]:
            rest.totals.add(row.totals)
            rest.before.add(row.before)
            for step, amount in row.steps.items():
                rest.steps[step].add(amount)
        first, last = cut.rows
        assert (first.totals, first.before, costs(first)) == (
            whole.rows[0].totals,
            whole.rows[0].before,
            costs(whole.rows[0]),
        )
        assert (last.totals, costs(last)) == (rest.totals, costs(rest))
        if group != "team" and not set(spend.sums_by(span.before, group, parts)) - {row.name for row in whole.rows}:
            assert last.before == rest.before


def costs(row: spend.Row) -> dict[datetime, int]:
    return {step: amount.cost_pico for step, amount in row.steps.items() if amount.cost_pico}


def test_parts_are_what_their_records_say(stored: None) -> None:
    for span, parts, mine in [
        (span, parts, mine)
        for span in [SPANS[1], SPANS[2], EXACT]
        for parts, mine in ((ALICE, Q(subject_name="alice")), (MANAGER, Q(subject_name="alice") | Q(account="a1")))
    ]:
        records = UsageRecord.objects.filter(mine, created_at__gte=span.start, created_at__lt=span.end)
        wanted = (records.count(), sum(record.cost_pico or 0 for record in records))
        total = spend.totals(span, parts)
        assert (total.attempts, total.cost_pico) == wanted
        for group in ("model", "account", "token", "outcome", "kind", "metadata.env"):
            found = spend.sums_by(span, group, parts).values()
            assert (sum(one.attempts for one in found), sum(one.cost_pico for one in found)) == wanted


def test_percentiles_are_near(stored: None) -> None:
    for span, parts, narrowed in [
        (SPANS[0], spend.ALL, Q()),
        (SPANS[2], ONE_ACCOUNT, Q(account="a1")),
        (SPANS[0], ALICE, Q(subject_name="alice")),
        (EXACT, spend.ALL, Q()),
    ]:
        records = UsageRecord.objects.filter(narrowed, created_at__gte=span.start, created_at__lt=span.end)
        taken = sorted(records.filter(error_class="").values_list("latency_us", flat=True))
        found = durations.durations(span, parts, UsageTime.LATENCY)
        assert found.calls == len(taken)
        for percent in (1, 50, 95, 100):
            exact = taken[max(1, -(-len(taken) * percent // 100)) - 1]
            assert abs((found.percentile(percent) or 0) / exact - 1) < 0.0906, (percent, exact)
    assert durations.durations(Span(NOON, NOON), spend.ALL, UsageTime.LATENCY).percentile(95) is None


def test_the_command_compares_and_makes_again(stored: None) -> None:
    def said(*options: str) -> str:
        out = StringIO()
        call_command("usage_sums", *options, stdout=out)
        return out.getvalue()

    assert said() == "The sums of 11 days agree with the records.\n"
    UsageSum.objects.filter(part=WHOLE.days, bucket=NOON.replace(hour=0)).update(attempts=7)
    with pytest.raises(CommandError, match="on 1 day"):
        said("--since", "2026-11-19")
    assert said("--since", "2026-11-19", "--rebuild").splitlines()[-1] == "Made the sums of 1 day again."
    assert said("--rebuild", "--all") == "Made the sums of 11 days again.\n"
    assert said() == "The sums of 11 days agree with the records.\n"
    for wrong in (["--all"], ["--since", "nonsense"]):
        with pytest.raises(CommandError) as raised:
            said(*wrong)
        assert raised.value.returncode == 2
