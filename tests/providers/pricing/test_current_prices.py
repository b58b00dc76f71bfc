"""A price that depends on the time of day, or begins on a day, is right on both sides of its boundary, in UTC."""

import math
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from unittest import mock

import pytest

from gateway.billing import pricing
from gateway.directory.accounts import account_snapshot
from providers.models import ProviderAccount
from providers.pricing import current
from providers.pricing.current import Prices, fixed_prices, private_prices, public_prices
from providers.pricing.private import private_periods, private_sheet
from providers.pricing.sheet import PriceSheet
from providers.snapshot import AccountSnapshot, ModelSnapshot, Target
from usage.records import AttemptRecord

MILLION = 1_000_000
DOLLAR = 10**12
DAY_PRICE, NIGHT_PRICE = 550_000_000_000, 135_000_000_000
"""What a million input tokens of deepseek-reasoner cost in pico-dollars: $0.55, and $0.135 from 16:30 to 00:30 UTC."""


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def zone(request: pytest.FixtureRequest) -> Iterator[None]:
    """The machine's own time zone, which must not matter."""
    with mock.patch.dict(os.environ, {"TZ": request.param}):
        time.tzset()
        yield
    time.tzset()


def moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def cost(sheet: PriceSheet | None) -> int | None:
    assert sheet is not None
    return sheet.cost({"input_tokens": MILLION})


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize(
    ("at", "price"),
    [
        ("2026-11-26T12:00", DAY_PRICE),
        ("2026-11-26T16:29:59.9", DAY_PRICE),
        ("2026-11-26T16:30", NIGHT_PRICE),
        ("2026-11-26T17:00", NIGHT_PRICE),
        ("2026-11-27T00:29:59", NIGHT_PRICE),
        ("2026-11-27T00:30", DAY_PRICE),
    ],
)
def test_a_price_by_the_time_of_day(at: str, price: int) -> None:
    assert cost(public_prices("deepseek", "deepseek-reasoner").at(moment(at)).sheet) == price


@pytest.mark.usefixtures("zone")
def test_one_model_across_the_boundaries(monkeypatch: pytest.MonkeyPatch) -> None:
    prices = public_prices("deepseek", "deepseek-reasoner")
    model = ModelSnapshot("ds", "r1", "deepseek-reasoner", frozenset({"chat"}), prices=prices)
    target = Target(account(), model)
    for at, price, shown, until in (
        ("2026-11-26T16:29:59", DAY_PRICE, "0.55", "2026-11-26T16:30"),
        ("2026-11-26T16:30:00", NIGHT_PRICE, "0.135", "2026-11-27T00:30"),
        ("2026-11-27T00:30:00", DAY_PRICE, "0.55", "2026-11-27T16:30"),
    ):
        monkeypatch.setattr(current.time, "time", lambda at=at: moment(at))
        record = AttemptRecord("1", "req_1", 0, input_tokens=MILLION)
        pricing.price(record, target)
        assert record.cost_pico == price
        assert model.price == {**(model.price or {}), "input_tokens_per_million": shown}
        assert model.price_until == moment(until)


def test_a_price_that_begins_on_a_day() -> None:
    prices = public_prices("openai", "o3")
    assert cost(prices.at(moment("2025-06-09T23:59:59")).sheet) == 10 * DOLLAR
    assert cost(prices.at(moment("2025-06-10T00:00")).sheet) == 2 * DOLLAR
    assert cost(prices.at(moment("2025-06-09T23:59:59")).sheet) == 10 * DOLLAR


def test_a_sheet_is_made_once_for_its_period() -> None:
    asked: list[float] = []

    def compile_at(at: float) -> tuple[PriceSheet, float]:
        asked.append(at)
        return private_sheet({"input_mtok": str(int(at))}), at // 10 * 10 + 10

    prices = Prices(compile_at)
    assert [cost(prices.at(at).sheet) for at in (11, 15, 19.9, 20, 29, 20)] == [
        n * DOLLAR for n in (11, 11, 11, 20, 20, 20)
    ]
    assert asked == [11, 20]


def test_private_and_unlisted_prices_have_no_end() -> None:
    sheet = private_sheet({"input_mtok": "1"})
    assert fixed_prices(sheet).now().sheet is sheet
    assert fixed_prices(sheet).now().until == float("inf")
    assert public_prices("openai", "no-such-model").now()[2:] == (None, None)


def account() -> AccountSnapshot:

    return account_snapshot(ProviderAccount(pk=1, name="ds", kind="deepseek"), [], [])


def test_a_private_price_changes_on_its_day() -> None:
    spec = {
        "input_mtok": "1",
        "changes": [{"from": "2027-01-01", "input_mtok": "2"}, {"from": "2027-02-01T12:00:00+01:00", "input_mtok": 3}],
    }
    prices, new_year = private_prices(spec), datetime(2027, 1, 1, tzinfo=UTC).timestamp()
    second = datetime(2027, 2, 1, 11, tzinfo=UTC).timestamp()
    moments = [0, new_year - 0.001, new_year, second - 0.001, second, 2 * second]
    assert [cost(prices.at(moment).sheet) for moment in moments] == [n * DOLLAR for n in (1, 1, 2, 2, 3, 3)]
    assert (prices.at(0).until, prices.at(new_year).until, prices.at(second).until) == (new_year, second, math.inf)
    assert [private_sheet(spec, moment) for moment in moments] == [prices.at(moment).sheet for moment in moments]
    plain, _, _ = (sheet.version for _, sheet in private_periods(spec))
    assert plain == private_sheet({"input_mtok": "1"}).version  # a change to come changes nothing now
