"""Logged bodies in an object store: S3's protocol with Amazon's own client, and a folder."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from gateway.server.preflight import storage_faults
from tests.support.s3_server import BACKEND, S3Server, s3_server
from usage import body_store
from usage.admin import _body
from usage.models import LoggedCall, UsageRecord
from usage.redacting import BUILT_IN, Redactor
from usage.request_log import Bodies, RequestLog, sealed_body, unseal

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture(params=["s3", "folder"])
def store(request: pytest.FixtureRequest, settings: Any, tmp_path: Path) -> Any:
    """A storage for bodies, empty."""
    if request.param == "s3":
        running: S3Server = request.getfixturevalue("s3")
        for name in running.names():
            running.client.delete_object(Bucket=running.options["bucket_name"], Key=name)
        chosen = {"BACKEND": BACKEND, "OPTIONS": running.options}
    else:
        chosen = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}}
    settings.STORAGES = {**settings.STORAGES, "bodies": chosen}
    return body_store.storages["bodies"]


def log(memory: int = 10_000) -> RequestLog:
    return RequestLog(Redactor(list(BUILT_IN), {}), limit=100, memory=memory, in_store=True)


def said(number: int, answer: bytes = b"answer") -> Bodies:
    request = b"request %d of ada@example.com" % number
    return Bodies(f"req_{number}", "user", 1, "main", request, len(request), [answer], len(answer))


def read(request_id: str) -> tuple[str | None, str | None]:
    row = LoggedCall.objects.get(pk=request_id)
    return unseal(sealed_body(row, "request")), unseal(sealed_body(row, "response"))


def test_calls_share_an_object_and_each_is_found(store: Any) -> None:
    kept = log()
    for number in range(3):
        kept.add(said(number, b"answer %d" % number))
    kept._round()
    rows = list(LoggedCall.objects.all())
    (name,) = {row.object_name for row in rows}
    assert store.exists(name)
    assert [bytes(row.request) + bytes(row.response) for row in rows] == [b"", b"", b""]
    with store.open(name) as file:
        assert b"request" not in file.read(), "bodies are encrypted before they leave"
    for number in range(3):
        assert read(f"req_{number}") == (f"request {number} of [email]", f"answer {number}")


def test_old_objects_go_and_so_do_those_without_rows(store: Any) -> None:
    now = datetime.now(UTC)
    for number in range(2):
        kept = log()
        kept.add(said(number))
        kept._round()
    old = LoggedCall.objects.get(pk="req_0")
    # As if made a month ago, with one that a crash left without rows, and one that is not ours.
    month = now - timedelta(days=31)
    content = sealed_body(old, "request") + sealed_body(old, "response")
    names = [f"{month:%Y-%m-%d/%H%M%S%f}-{name}" for name in ("a", "orphan")]
    for name in names:
        store.save(name, body_store.ContentFile(content))
    store.save("notes/by-hand", body_store.ContentFile(b"x"))
    LoggedCall.objects.filter(pk="req_0").update(created_at=month, object_name=names[0], object_start=0)
    assert read("req_0")[1] == "answer"
    call_command("prune_request_log")
    assert list(LoggedCall.objects.values_list("pk", flat=True)) == ["req_1"]
    assert [store.exists(name) for name in names] == [False, False]
    assert read("req_1")[1] == "answer"
    call_command("prune_request_log", days=0)
    assert not LoggedCall.objects.exists()
    day = now.date().isoformat()
    assert body_store._days(store) in ([], [now.date()])
    assert not store.exists(day) or store.listdir(day) == ([], [])
    assert store.exists("notes/by-hand")


def test_what_others_put_there_stays_and_stops_nothing(store: Any) -> None:
    now = datetime.now(UTC)
    ours = [f"{now - timedelta(days=ago):%Y-%m-%d/%H%M%S%f}-a" for ago in (31, 30)]
    theirs = f"{now - timedelta(days=31):%Y-%m-%d}/by-hand"
    for name in (*ours, theirs):
        store.save(name, body_store.ContentFile(b"x"))
    assert body_store.prune(now - timedelta(days=7)) == 2
    assert [store.exists(name) for name in (*ours, theirs)] == [False, False, True]
    assert body_store.prune(now - timedelta(days=7)) == 0


def test_nothing_was_stored_yet(store: Any) -> None:
    assert body_store.prune(datetime.now(UTC)) == 0


def test_a_dead_store_costs_no_call_and_loses_what_memory_can_not_hold(
    settings: Any, s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    options = {**s3.options, "bucket_name": "not-there"}
    settings.STORAGES = {**settings.STORAGES, "bodies": {"BACKEND": BACKEND, "OPTIONS": options}}
    kept = log(memory=3 * said(0).held)
    for number in range(5):
        kept.add(said(number))
    with pytest.raises(Exception, match="NoSuchBucket"):
        kept._round()
    assert (kept.dropped, LoggedCall.objects.count()) == (2, 0)
    with caplog.at_level(logging.ERROR):
        kept._finish()
    assert "Bodies can't be stored: NoSuchBucket." in caplog.text
    settings.STORAGES = {**settings.STORAGES, "bodies": {"BACKEND": BACKEND, "OPTIONS": s3.options}}
    kept._round()
    assert [read(f"req_{number}")[1] for number in range(3)] == ["answer"] * 3
    settings.STORAGES = {**settings.STORAGES, "bodies": {"BACKEND": BACKEND, "OPTIONS": options}}
    shown = _body(UsageRecord(request_id="req_0"), "request")
    assert shown == "It is in the object store, which can't be read now, or does not have it any more."
    with pytest.raises(CommandError, match="The store of the bodies can't be used"):
        call_command("prune_request_log", days=0)


def test_a_storage_that_is_not_there_is_said_at_the_start(settings: Any) -> None:
    settings.STORAGES = {**settings.STORAGES, "bodies": {"BACKEND": "storages.backends.nothing.Storage", "OPTIONS": {}}}
    (fault,) = storage_faults()
    assert fault.startswith("GATEHOUSE_REQUEST_LOG_STORAGE: can't be used with its options")
    assert "django-storages[s3]" in fault
