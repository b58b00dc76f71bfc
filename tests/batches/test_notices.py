"""Webhooks that report a job's end: signed as the SDK checks it, retried, once."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from openai import InvalidWebhookSignatureError, OpenAI

from batches import notices
from batches.models import Notice
from tests.support.batch_inputs import HEADERS, QUICK, submit
from tests.support.fixtures import USER, seed
from tests.support.http_receiver import HttpReceiver
from tests.support.installation import Installation
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import free_port, wait_until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    """Takes webhooks, after it refused the first."""
    with HttpReceiver() as made:
        made.first = [500]
        yield made


def test_a_webhook_tells_when_a_job_has_ended(
    tmp_path: Path, migrated_data: Path, quick_upstream: SandboxProcess, receiver: HttpReceiver
) -> None:
    env = {**QUICK, "GATEHOUSE_JOB_WEBHOOK_URL": f"{receiver.url}/hook?x=1", "GATEHOUSE_JOB_WEBHOOK_SECRET": SECRET}
    with Installation(tmp_path / "installation", migrated_data, env) as installation:
        seed(installation, quick_upstream.url)
        gateway = installation.gateway()
        client: OpenAI = gateway.sdk(gateway.token("hooks", user=USER), default_headers=HEADERS)
        batch = submit(client, 1)
        wait_until(lambda: len(receiver.got) >= 2, 30)
        (_, refused, _), (path, headers, body) = receiver.got[:2]
        assert path == "/hook?x=1"
        assert refused["webhook-id"] == headers["webhook-id"]
        event = client.webhooks.unwrap(body, headers, secret=SECRET)
        assert (event.type, event.data.id) == ("batch.completed", batch.id)
        with pytest.raises(InvalidWebhookSignatureError):
            client.webhooks.unwrap(body + b" ", headers, secret=SECRET)
        installation.do("due_in", batch.id)
        wait_until(lambda: not installation.do("is_due", batch.id))
        assert len(receiver.got) == 2


def test_a_webhook_without_a_secret_does_not_start(tmp_path: Path, migrated_data: Path) -> None:
    env = {"GATEHOUSE_JOB_WEBHOOK_URL": "https://hooks.example.com/x"}
    with Installation(tmp_path / "installation", migrated_data, env) as installation:
        done = installation.manage("check")
        assert done.returncode
        assert "GATEHOUSE_JOB_WEBHOOK_SECRET" in done.stderr


def test_a_webhook_that_nobody_takes_is_tried_for_a_day(db: None, settings: Any) -> None:
    settings.JOB_WEBHOOK_URL, settings.JOB_WEBHOOK_SECRET = f"http://127.0.0.1:{free_port()}/hook", SECRET
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    notice = Notice.objects.create(event_id="evt_1", body="{}", due_at=timezone.now())
    pauses = []
    while notice.due_at is not None and len(pauses) < 50:
        begun = timezone.now()
        assert not notices.deliver(notice)
        notice.refresh_from_db()
        if notice.due_at is not None:
            pauses.append(notice.due_at - begun)
    assert (notice.attempts, len(pauses)) == (12, 11)
    assert timedelta(hours=20) < sum(pauses, timedelta()) < timedelta(hours=28)
    assert timedelta(seconds=1) < pauses[0] < timedelta(seconds=4)
    assert notice.fault
