"""``manage.py reconcile`` against both vendors' reports of a real sandbox, and files."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
import pytest
from django.core.management import CommandError, call_command

from providers.models import ProviderAccount
from tests.support.sandbox_process import KEY, SandboxProcess
from tests.support.stage import Stage
from tests.support.usage_factory import attempt
from usage import rows

pytestmark = pytest.mark.django_db
TODAY = datetime.now(UTC).date()
DAY = TODAY - timedelta(days=2)


@pytest.fixture(scope="module")
def bills() -> Iterator[SandboxProcess]:
    with SandboxProcess() as running:
        yield running


@pytest.fixture(autouse=True)
def _egress(settings: Any) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.1"]


def account(bills: SandboxProcess, kind: str = "openai", key: str = KEY) -> ProviderAccount:
    made = ProviderAccount(kind=kind, name="main", base_url=bills.url)
    made.api_key = key
    made.save()
    return made


def record(day: date, model: str, dollars: float | None, **changes: Any) -> None:
    at = int(datetime(day.year, day.month, day.day, 23, 59, tzinfo=UTC).timestamp() * 1e6)
    cost = None if dollars is None else round(dollars * 10**12)
    values = {"account": "main", "model_asked": f"main/{model}", "model_served": model, "started_at": at}
    line = msgspec.json.encode(attempt(**{**values, "cost_pico": cost, **changes}))
    assert rows.store([line], "default", lambda: None) == []


def bill(bills: SandboxProcess, *lines: dict[str, Any]) -> None:
    bills.http.post(f"{bills.origin}/sandbox/invoice", json={"lines": lines}).raise_for_status()


def line(day: date, model: str, dollars: str, **more: Any) -> dict[str, Any]:
    return {"day": day.isoformat(), "model": model, "cost_usd": dollars, **more}


def run(*options: str, since: date = DAY) -> tuple[dict[str, Any], int]:
    """What is printed as JSON, and the exit status."""
    out, status = StringIO(), 0
    try:
        call_command("reconcile", "--account=main", f"--since={since}", "--json", *options, stdout=out)
    except SystemExit as ended:
        status = int(ended.code or 0)
    return json.loads(out.getvalue()), status


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_a_bill_that_agrees_and_one_that_does_not(bills: SandboxProcess, kind: str) -> None:
    account(bills, kind)
    record(DAY, "model-a-2026-05-06", 1.25, input_tokens=1000, output_tokens=20)
    record(DAY, "model-a-2026-05-06", 0.25, input_tokens=500, output_tokens=30)
    record(DAY + timedelta(days=1), "model-b", 2)
    record(DAY - timedelta(days=1), "model-b", 99)
    record(TODAY, "model-b", 99)
    record(DAY, "model-b", 99, account="another")
    agreed = (
        line(DAY, "Model-A", "1.5", input_tokens=1500, cached_tokens=100, output_tokens=50),
        line(DAY + timedelta(days=1), "model-b-20261001", "2.01"),
    )
    bill(bills, *agreed, line(TODAY, "model-b", "50"), line(DAY - timedelta(days=1), "model-b", "50"))
    found, status = run()
    assert status == 0
    first, second = found["rows"]
    assert (first["day"], first["model"], first["drift_usd"], first["drifts"]) == (str(DAY), "model-a", "0", False)
    assert (first["recorded_input_tokens"], first["invoiced_input_tokens"]) == (1500, 1500)
    assert (first["recorded_output_tokens"], first["invoiced_output_tokens"]) == (50, 50)
    assert (second["model"], second["drift_usd"], second["drift_percent"]) == ("model-b", "-0.01", -0.4975)
    assert (found["total"]["recorded_usd"], found["total"]["invoiced_usd"]) == ("3.5", "3.51")
    found, status = run("--threshold=0.4")
    assert status == 3
    assert [row["drifts"] for row in found["rows"]] == [False, True]
    bill(bills, *agreed, line(DAY, "model-c", "0.50"))
    found, status = run()
    assert status == 3
    assert [row["model"] for row in found["rows"] if row["drifts"]] == ["model-c"]


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_long_bills_have_pages_and_projects(bills: SandboxProcess, kind: str) -> None:
    account(bills, kind)
    since = TODAY - timedelta(days=70)
    days = [since + timedelta(days=number) for number in range(70)]
    bill(bills, *(line(day, "m", "1", project="ours" if day.day % 2 else "theirs") for day in days))
    for day in days:
        record(day, "m", 1)
    found, status = run(since=since)
    assert (status, len(found["rows"]), found["total"]["drift_usd"]) == (0, 70, "0")
    found, status = run("--project=ours", since=since)
    billed = sum(day.day % 2 for day in days)
    assert (status, found["total"]["invoiced_usd"]) == (3, str(billed))


def test_an_admin_key_comes_from_the_environment(bills: SandboxProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    account(bills, key="sk-usual-key")
    bill(bills)
    with pytest.raises(CommandError, match=r"refuses the key .*--key-variable"):
        run()
    with pytest.raises(CommandError, match="ADMIN is not set"):
        run("--key-variable=ADMIN")
    monkeypatch.setenv("ADMIN", KEY)
    assert run("--key-variable=ADMIN")[1] == 0
    assert ProviderAccount.objects.get().api_key == "sk-usual-key"


def test_calls_without_a_price_are_said(bills: SandboxProcess) -> None:
    account(bills)
    bill(bills)
    record(DAY, "m", None)
    found, status = run()
    assert (status, found["rows"][0]["unpriced_calls"], found["total"]["unpriced_calls"]) == (0, 1, 1)
    out = StringIO()
    call_command("reconcile", "--account=main", f"--since={DAY}", stdout=out)
    assert "1 recorded calls have no price" in out.getvalue()


def test_a_file_of_any_provider(bills: SandboxProcess, tmp_path: Path) -> None:
    account(bills, "mistral-ai")
    record(DAY, "large", 3)
    file = tmp_path / "invoice.csv"
    file.write_text(
        "\ufeffDate,Sku,Amount,Prompt_Tokens\n"
        f'{DAY}T10:00:00Z,"large, input","$1,002.00",1000\n{DAY},large,0.5,0\n{TODAY},large,7,0\n'
    )
    found, status = run(f"--csv={file}")
    assert status == 3
    (row,) = found["rows"]
    assert (row["model"], row["invoiced_usd"], row["invoiced_input_tokens"]) == ("large", "1002.5", 1000)
    file.write_text(f"wann,MeterName,usd\n{DAY},large,3\n")
    with pytest.raises(CommandError, match=r"no column for the day.*--column day=HEADER; there are: wann, metername"):
        run(f"--csv={file}")
    found, status = run(f"--csv={file}", "--column=day=wann", "--column=model=MeterName")
    assert (status, found["total"]["drift_usd"]) == (0, "0")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column for the day"),
        ("date,model,cost\n2026-13-01,m,1\n", "Line 2 can't be read"),
        ("date,model,cost\n2026-11-01,m,one\n", "Line 2 can't be read"),
        ("date,model,cost\n99999999999999999,m,1\n", "Line 2 can't be read"),
    ],
)
def test_broken_files(bills: SandboxProcess, tmp_path: Path, text: str, said: str) -> None:
    account(bills)
    (tmp_path / "invoice.csv").write_text(text)
    with pytest.raises(CommandError, match=said):
        run(f"--csv={tmp_path / 'invoice.csv'}")


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize(
    "answer", ["", "[]", "{}", '{"data": [{}]}', '{"data": [{"start_time": 1, "starting_at": "x", "results": [{}]}]}']
)
def test_answers_that_are_not_reports(kind: str, answer: str) -> None:
    with Stage() as stage:
        stage.play(lambda turn: turn.whole(answer.encode()))
        made = ProviderAccount(kind=kind, name="main", base_url=stage.url)
        made.api_key = KEY
        made.save()
        with pytest.raises(CommandError, match="not a report that can be read"):
            run()
    assert "/organization" in stage.turn().path


def test_what_can_not_be_asked(bills: SandboxProcess, settings: Any, tmp_path: Path) -> None:
    made = account(bills, "mistral-ai")
    with pytest.raises(CommandError, match="--csv"):
        run()
    with pytest.raises(CommandError, match="No such file"):
        run(f"--csv={tmp_path / 'none.csv'}")
    with pytest.raises(CommandError, match="write NAME=HEADER"):
        run(f"--csv={tmp_path / 'none.csv'}", "--column=colour=x")
    with pytest.raises(CommandError, match="before today"):
        run(since=TODAY)
    made.kind = "openai"
    made.api_key = KEY
    made.save()
    settings.EGRESS_ALLOW = []
    with pytest.raises(CommandError, match="GATEHOUSE_EGRESS_ALLOW"):
        run()
    with pytest.raises(CommandError, match="does not exist"):
        call_command("reconcile", "--account=none", f"--since={DAY}")
