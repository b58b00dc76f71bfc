"""Batches, fine-tuning jobs and files in the console and in the command: their states, what they cost, what can be
done.
"""

import io
import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from batches import steering
from batches.charging import batch_key, line_key
from gateway.managed import files as own_files
from gateway.models import OwnedObject
from tests.console.conftest import messages
from tests.support.batch_inputs import chat_lines
from tests.support.sandbox_process import SandboxProcess
from tests.support.usage_rows import record
from usage.models import UsageRecord

JOBS = "/admin/batches/job/"
FILES = "/admin/batches/storedfile/"
BODY = {
    "id": "batch_1",
    "object": "batch",
    "status": "in_progress",
    "created_at": 1_790_000_000,
    "in_progress_at": 1_790_000_060,
    "input_file_id": "file-in",
    "request_counts": {"total": 10, "completed": 3, "failed": 1},
    "errors": {"object": "list", "data": [{"line": 4, "message": "This line is bad.", "code": "bad"}]},
}


def job(account: str, object_id: str = "batch_1", kind: str = "batch", **columns: Any) -> OwnedObject:
    """Store a job of ada's."""
    given = {
        "owner_key": "user:1",
        "owner_name": "ada@example.com",
        "state": "in_progress",
        "data": {"body": {**BODY, "id": object_id}, "origin": {}},
        "due_at": timezone.now() + timedelta(hours=1),
        **columns,
    }
    return OwnedObject.objects.create(account_name=account, object_id=object_id, kind=kind, **given)


def test_a_job_tells_how_it_stands(installation: Any, as_mia: Client) -> None:
    row = job("mine-openai", fault="The upstream refuses the account's key (401).")
    row_cost = record(account="mine-openai", batch_key=batch_key(row), batch_line="a", cost_pico=3_000_000)
    UsageRecord.objects.bulk_create([row_cost])
    listed = as_mia.get(JOBS).content.decode()
    assert "batch_1" in listed
    assert "4 of 10 (1 failed)" in listed
    page = as_mia.get(f"{JOBS}{row.pk}/change/").content.decode()
    for text in (
        "ada@example.com",
        "refuses the account",
        "line 4: This line is bad.",
        "file-in",
        "$0.000003 for 1 line",
    ):
        assert text in page.replace("&#x27;", "'")
    assert f"batch_key={batch_key(row).replace('/', '%2F')}" in page
    shown = as_mia.get("/admin/usage/usagerecord/", {"batch_key": batch_key(row)})
    assert [each.id for each in shown.context["cl"].result_list] == [row_cost.id]


def test_attempts_are_no_lines(installation: Any) -> None:
    row = job("mine-openai")
    long = "x" * 300
    attempts = [
        ("done", 0, "interrupted", None),
        ("done", 200, "", 5_000_000),
        ("failed", 500, "upstream_error", 0),
        ("failed", 500, "upstream_error", 0),
        ("unpriced", 500, "upstream_error", 0),
        ("unpriced", 200, "", None),
        ("cut", 0, "interrupted", None),
        ("cut", 0, "interrupted", None),
        (line_key(f"{long}a"), 200, "", 1_000_000),
        (line_key(f"{long}b"), 200, "", 1_000_000),
    ]
    UsageRecord.objects.bulk_create(
        record(
            account="mine-openai",
            batch_key=batch_key(row),
            batch_line=line,
            status=status,
            error_class=error,
            cost_pico=cost,
        )
        for line, status, error, cost in attempts
    )
    known = steering.costs_of([row])[row.pk]
    assert (known["lines"], known["unpriced"], known["cost"]) == (6, 2, Decimal("0.000007"))


def test_poll_now(installation: Any, as_mia: Client) -> None:
    row = job("mine-openai", failures=5)
    answer = as_mia.get(f"{JOBS}{row.pk}/poll/", follow=True)
    assert "polled in a moment" in messages(answer)
    row.refresh_from_db()
    assert row.due_at is not None
    assert row.due_at <= timezone.now()
    assert row.failures == 0


@pytest.fixture
def submitted(installation: Any, settings: Any, running_upstream: SandboxProcess) -> OwnedObject:
    """A batch that runs on a real upstream."""
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    account = installation.mine["account"]
    account.base_url, account.api_key, account.extra_headers = running_upstream.url, "sk-sandbox", {}
    account.save()
    client = running_upstream.client()
    file = client.files.create(file=("in.jsonl", chat_lines(2)), purpose="batch")
    made = client.batches.create(
        input_file_id=file.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"sandbox": "hang=in_progress"},
    )
    return job("mine-openai", made.id, data={"body": made.model_dump(), "origin": {}}, state="validating")


def test_cancel(submitted: OwnedObject, as_mia: Client) -> None:
    assert submitted.object_id in as_mia.get(f"{JOBS}{submitted.pk}/cancel/").content.decode()
    answer = as_mia.post(f"{JOBS}{submitted.pk}/cancel/", follow=True)
    assert "The upstream says: cancell" in messages(answer)
    submitted.refresh_from_db()
    assert submitted.state in {"cancelling", "cancelled"}


def test_download(submitted: OwnedObject, as_mia: Client, running_upstream: SandboxProcess) -> None:
    file_id = running_upstream.client().files.create(file=("out.jsonl", b'{"a": 1}\n'), purpose="user_data").id
    assert "no output" in messages(as_mia.get(f"{JOBS}{submitted.pk}/output/", follow=True))
    submitted.data["body"]["output_file_id"] = file_id
    submitted.save()
    answer = as_mia.get(f"{JOBS}{submitted.pk}/output/")
    assert b"".join(answer.streaming_content) == b'{"a": 1}\n'  # type: ignore[attr-defined]
    assert "no-store" in answer["cache-control"]


def test_a_batch_that_gatehouse_runs(installation: Any, as_mia: Client) -> None:
    output = own_files.new_id()
    own_files.save(output, io.BytesIO(b'{"b": 2}\n'))
    body = {**BODY, "id": "batch_gh1", "output_file_id": output}
    row = job("mine-openai", "batch_gh1", data={"body": body, "origin": {}})
    answer = as_mia.get(f"{JOBS}{row.pk}/output/")
    assert b"".join(answer.streaming_content) == b'{"b": 2}\n'  # type: ignore[attr-defined]
    assert "cancelling" in messages(as_mia.post(f"{JOBS}{row.pk}/cancel/", follow=True))


def test_files(installation: Any, as_mia: Client) -> None:
    body = {"filename": "in.jsonl", "purpose": "batch", "bytes": 12_345}
    row = job("mine-openai", "file-1", "file", data={"body": body}, due_at=None)
    assert "12,345" in as_mia.get(FILES).content.decode()
    assert "in.jsonl" in as_mia.get(f"{FILES}{row.pk}/change/").content.decode()
    assert as_mia.get(f"{JOBS}{row.pk}/change/").status_code == 404


def run(*arguments: str) -> list[dict[str, Any]]:
    out = io.StringIO()
    call_command("batches", *arguments, "--json", stdout=out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_the_command(installation: Any) -> None:
    row = job("mine-openai", failures=3, due_at=None, state="completed", fault="gone")
    job("other-openai", "ftjob-1", "fine_tuning.job")
    assert [each["id"] for each in run("list")][:2] == ["ftjob-1", "batch_1"]
    assert [each["id"] for each in run("list", "--account=mine-openai", "--state=completed")] == ["batch_1"]
    assert run("list", "--state=paused") == []
    assert [each["id"] for each in run("list", "--limit=1")] == ["ftjob-1"]
    with pytest.raises(CommandError, match="is in_progress"):
        call_command("batches", "watch", "ftjob-1", "--timeout=0.1")
    assert run("retry", "batch_1")[0]["finished"] is False
    row.refresh_from_db()
    assert row.due_at is not None
    with pytest.raises(CommandError, match="No batch"):
        call_command("batches", "retry", "batch_nobody")


def watched(object_id: str) -> dict[str, Any]:
    """Watch a job that did not go well; return what is said of it all the same."""
    out = io.StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("batches", "watch", object_id, "--json", stdout=out)
    assert caught.value.returncode == 1
    (told,) = map(json.loads, out.getvalue().splitlines())
    return {**told, "words": str(caught.value)}


def test_watching_tells_whether_all_went_well(installation: Any) -> None:
    row = job("mine-openai", due_at=None, state="completed")
    (told,) = run("watch", "batch_1")
    assert (told["finished"], told["done"], told["total"]) == (True, 4, 10)
    OwnedObject.objects.filter(pk=row.pk).update(fault="The upstream does not know its output any more.")
    assert "does not know its output" in watched("batch_1")["words"]
    for state in ("failed", "expired", "cancelled"):
        OwnedObject.objects.filter(pk=row.pk).update(fault="", state=state)
        told = watched("batch_1")
        assert (told["state"], told["words"]) == (state, f"batch_1 is {state}. line 4: This line is bad.")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("list", "--limit=-1"), "--limit has to be at least 1"),
        (("list", "--limit=0"), "--limit has to be at least 1"),
        (("list", "--state=zzz"), "--state: 'zzz' is not one of cancelled, cancelling, completed"),
        (("list", "--account=nope"), "--account: 'nope' is not one of mine-openai, other-openai"),
        (("watch", "batch_1", "--timeout=-1"), "--timeout has to be"),
        (("watch", "batch_1", "--timeout=nan"), "--timeout has to be"),
    ],
)
def test_the_command_says_what_is_wrong(installation: Any, arguments: tuple[str, ...], words: str) -> None:
    job("mine-openai")
    with pytest.raises(CommandError) as caught:
        run(*arguments)
    assert caught.value.returncode == 2
    assert str(caught.value).startswith(words)
