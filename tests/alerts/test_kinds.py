"""What each kind of alert measures."""

import socket
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from alerts import kinds
from alerts.rounds import raised
from providers.models import Model, ProviderAccount
from rules.models import Budget
from tests.alerts.conftest import make_alert, store
from usage.spool import SEGMENT_SUFFIX

pytestmark = pytest.mark.django_db


def found(**fields: Any) -> dict[str, float]:
    """What raises an alert with these fields: values by subject."""
    return {one.subject: round(one.value, 3) for one in raised(make_alert(**fields), timezone.now())}


def test_errors_of_providers_count_and_those_of_callers_do_not() -> None:
    store(12)
    store(2, status=502, error_class="upstream_error")
    store(1, status=429, upstream_status=429, error_class="upstream_error")
    store(1, status=200, error_class="upstream_broken")
    store(3, status=400, upstream_status=400, error_class="upstream_error")
    store(1, status=499, error_class="client_disconnected", client_gone=True)
    assert found(per="account") == {"openai-main": 20}


def test_errors_of_a_model_in_all_its_spellings() -> None:
    store(10)
    store(10, model_asked="gpt-4o-mini", status=500, error_class="upstream_error")
    store(20, model_asked="openai-main/other")
    assert found(per="model") == {"openai-main/gpt-4o-mini": 50}
    assert found(name="b", per="all") == {kinds.EVERYTHING: 25}
    assert found(name="c", per="all", only=["openai-main/other"]) == {}
    assert found(name="d", per="all", only=["openai-main"]) == {kinds.EVERYTHING: 25}


def test_calls_that_a_virtual_model_led_on_are_its_own() -> None:
    account = ProviderAccount.objects.create(kind="virtual-model", name="smart")
    for name in ("x", "a"):
        Model.objects.create(account=account, name=name, model_types=["chat"], routing={"type": "priority"})
    failed = {"status": 500, "error_class": "upstream_error", "model_asked": "smart/outer"}
    store(20, **failed, decision={"via": "smart/a -> smart/x"})
    store(20, model_asked="smart/outer", decision={"via": "smart/x"})
    store(10, **failed, decision={"via": "smart/xx"})
    store(10, **failed)
    assert found(per="all", only=["smart/x"]) == {kinds.EVERYTHING: 50}
    assert found(name="b", per="all", only=["smart/a", "openai-main/other"]) == {kinds.EVERYTHING: 100}


def test_few_calls_and_old_ones_are_not_judged() -> None:
    store(5, status=500, error_class="upstream_error")
    old = int((timezone.now() - timedelta(minutes=11)).timestamp() * 1e6)
    store(30, status=500, error_class="upstream_error", started_at=old)
    assert found(per="account") == {}
    assert found(name="b", per="account", minutes=15) == {"openai-main": 100}


@pytest.mark.parametrize(("kind", "column"), [("latency_p95", "latency_us"), ("first_token_p95", "ttft_us")])
def test_latency(kind: str, column: str) -> None:
    store(19, **{column: 100_000})
    store(2, **{column: 9_000_000})
    store(30, status=500, error_class="upstream_error", **{column: 60_000_000})
    assert found(kind=kind, per="model", threshold=5000) == {"openai-main/gpt-4o-mini": 9000}
    assert found(name="b", kind=kind, per="model", threshold=9001) == {}


def test_spend() -> None:
    store(2, cost_pico=10**12)
    store(1, cost_pico=None)
    assert found(kind="spend_rate", threshold=12, minutes=10) == {kinds.EVERYTHING: 12}
    assert found(name="b", kind="spend_rate", threshold=13) == {}


def test_refused_keys() -> None:
    store(3, status=502, upstream_status=401, error_class="upstream_error")
    store(9, account="azure", status=500, upstream_status=500, error_class="upstream_error")
    store(9, account="other", status=403, upstream_status=0, error_class="no_access")
    assert found(kind="failing_key", threshold=3) == {"openai-main": 3}


def test_budgets() -> None:
    Budget(form="tenant-budget-config", name="daily", effect={"limits": {"cost_per_day": 1}, "per": ["user"]}).save()
    Budget(form="tenant-budget-config", name="roomy", effect={"limits": {"cost_per_day": 100}}).save()
    store(cost_pico=95 * 10**10)
    assert found(kind="budget_used", threshold=90) == {"daily of ada@example.com, cost_per_day": 95}
    assert found(name="b", kind="budget_used", threshold=0, only=["roomy"]) == {"roomy, cost_per_day": 0.95}


def test_the_spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "spool_directory", lambda: tmp_path)
    assert found(kind="spool", threshold=1) == {}
    (tmp_path / "1-process").mkdir()
    (tmp_path / "1-process" / f"1{SEGMENT_SUFFIX}").write_bytes(b"x" * 2**20 + bytes(4096))
    assert found(name="b", kind="spool", threshold=1) == {socket.gethostname(): 1}


def test_models_that_shut_down() -> None:
    account = ProviderAccount.objects.create(kind="openai", name="openai-main")
    today = timezone.now().date()
    for name, days in (("soon", 10), ("gone", -3), ("later", 60), ("off", 10)):
        Model.objects.create(
            account=account,
            name=name,
            model_types=["chat"],
            deprecated_on=today + timedelta(days=days),
            enabled=name != "off",
        )
    assert found(kind="model_shutdown", threshold=30) == {"openai-main/gone": -3, "openai-main/soon": 10}
    assert found(name="b", kind="model_shutdown", threshold=30, only=["openai-main/soon"]) == {"openai-main/soon": 10}
