"""The engine: what a poll's outcome does to a job, and to the other jobs of its account."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from accounts.database_clock import database_now
from batches.table import JOBS
from gateway.jobs import engine, leases, pauses, table
from gateway.jobs.engine import Job, NotYet
from gateway.jobs.leases import Lease
from gateway.jobs.upstream import AccountGone, Answer, Upstream
from gateway.models import OwnedObject
from gateway.objects.job_kinds import BATCH, EVAL_RUN, FINE_TUNING, KINDS, RESPONSE, VIDEO, may_become
from providers.upstream.sync_client import Refused, Unreachable

pytestmark = pytest.mark.django_db
ACCOUNT = "main"


class Script:
    """An upstream that answers with what a test says, and the table of one kind of job that is polled there."""

    def __init__(self) -> None:
        self.outcome: Any = "in_progress"
        self.revision, self.revision_now = "a", "a"
        self.asked: list[str] = []
        self.ends: list[tuple[str, str]] = []
        self.ending: Callable[[], None] = lambda: None
        self.job = Job(BATCH, lambda age: 7.0, table.note, self._finish, self._lost, give_up=timedelta(days=3))

    @contextmanager
    def upstream_of(self, name: str, headers: Any, *, even_disabled: bool) -> Iterator[Any]:
        if isinstance(self.outcome, AccountGone):
            raise self.outcome
        account = SimpleNamespace(revision=self.revision)
        yield SimpleNamespace(account=account, retrieve=self._retrieve)

    def load_account(self, name: str, *, even_disabled: bool) -> Any:
        return SimpleNamespace(revision=self.revision_now)

    def follow(self, row: OwnedObject) -> OwnedObject:
        """Take a job a step further and return its record."""
        OwnedObject.objects.filter(pk=row.pk).update(due_at=database_now(), lease_until=None)
        claim = leases.claim_one(row.pk)
        assert claim is not None
        assert engine.follow(lambda _: self.job, row.pk, claim)
        return OwnedObject.objects.timed().get(pk=row.pk)

    def _retrieve(self, path: str) -> Answer:
        self.asked.append(path)
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return Answer(200, {"status": msgspec.Raw(msgspec.json.encode(self.outcome))})

    def _finish(self, lease: Lease, answer: Answer, upstream: Upstream | None) -> None:
        self.ending()
        self.ends.append((lease.row.object_id, answer.state))
        lease.release(None)

    def _lost(self, lease: Lease, answer: Answer) -> None:
        self.ends.append((lease.row.object_id, answer.fault))
        lease.release(None, fault=answer.fault)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    made = Script()
    monkeypatch.setattr(engine, "upstream_of", made.upstream_of)
    monkeypatch.setattr(engine, "load_account", made.load_account)
    return made


def job(object_id: str = "batch_1", **columns: Any) -> OwnedObject:
    now = database_now()
    made = {"account_name": ACCOUNT, "kind": "batch", "owner_key": "user:1", "due_at": now, "created_at": now}
    return OwnedObject.objects.create(object_id=object_id, **{**made, **columns})


def pause(row: OwnedObject) -> float:
    """In how many seconds a job is due."""
    assert row.due_at is not None
    return (row.due_at - row.now).total_seconds()


def test_a_running_job_is_polled_again(script: Script) -> None:
    row = script.follow(job(failures=2, fault="x"))
    assert (row.state, row.failures, row.fault, row.lease_until) == ("in_progress", 0, "", None)
    assert 5 < pause(row) < 9
    assert script.asked == ["batches/batch_1"]


def test_the_end_of_a_job_is_the_end_of_its_polls(script: Script) -> None:
    script.outcome = "completed"
    row = script.follow(job())
    assert (row.state, row.due_at, row.lease_until) == ("completed", None, None)
    assert script.ends == [("batch_1", "completed")]


def test_an_answer_that_was_kept_is_enough(script: Script) -> None:
    script.outcome = AssertionError("no one is to be asked")
    row = script.follow(job(data={"answer": {"status": "failed"}}))
    assert script.ends == [("batch_1", "failed")]
    assert (row.due_at, script.asked) == (None, [])


@pytest.mark.parametrize(
    ("outcome", "fault"),
    [
        (Unreachable("timeout", "no answer"), "The upstream can't be asked: no answer."),
        (Refused(500, None), "The upstream answered 500."),
        (KeyError("x"), "Gatehouse failed on it (KeyError); its log has more."),
    ],
)
def test_failures_wait_twice_as_long_each_time(script: Script, outcome: Exception, fault: str) -> None:
    script.outcome, row = outcome, job()
    found = []
    for failures in range(1, 10):
        row = script.follow(row)
        assert (row.failures, row.fault) == (failures, fault)
        found.append(pause(row))
    expected = [5, 10, 20, 40, 80, 160, 320, 600, 600]
    assert all(0.75 * seconds < got < 1.25 * seconds for seconds, got in zip(expected, found, strict=True)), found
    script.outcome = "in_progress"
    assert script.follow(row).failures == 0


def test_an_end_that_has_to_wait_is_tried_again(script: Script) -> None:
    def not_yet() -> None:
        raise NotYet("Its record is not there yet.")

    script.outcome, script.ending = "completed", not_yet
    row = script.follow(job())
    assert (row.fault, row.failures, row.state) == ("Its record is not there yet.", 1, "completed")
    assert pause(row) < 7
    script.ending = lambda: None
    assert script.follow(row).due_at is None
    assert script.ends == [("batch_1", "completed")]


def test_a_job_that_the_upstream_forgot_is_lost_at_the_third_time(script: Script) -> None:
    script.outcome = Refused(404, None)
    row = script.follow(script.follow(job()))
    assert (row.failures, row.fault, script.ends) == (2, "The upstream answered 404.", [])
    row = script.follow(row)
    assert (row.due_at, row.fault) == (None, engine.FORGOTTEN)
    assert script.ends == [("batch_1", engine.FORGOTTEN)]


def test_a_job_is_given_up_after_days(script: Script) -> None:
    script.outcome = AccountGone("The provider account 'main' is gone.")
    row = script.follow(job())
    assert pause(row) > 200
    OwnedObject.objects.filter(pk=row.pk).update(created_at=database_now() - timedelta(days=4))
    assert script.follow(row).due_at is None
    assert script.ends == [("batch_1", "The provider account 'main' is gone.")]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_pauses_the_account_until_it_is_saved(script: Script, status: int) -> None:
    now, later = database_now(), timedelta(hours=1)
    other, elsewhere = job("batch_2"), job("batch_3", account_name="other")
    taken = job("batch_4", lease_until=now + later)
    late = job("batch_5", due_at=now + later)
    script.outcome = Refused(status, None)
    row = script.follow(job())
    assert 200 < pause(row) < 400
    assert row.fault.startswith(f"{pauses.KEY_REFUSED} ({status}).")
    found = {each.object_id: each for each in OwnedObject.objects.timed()}
    assert (pause(found["batch_2"]) > 200, found["batch_2"].fault) == (True, row.fault)
    assert [pause(found[each.object_id]) < 5 for each in (elsewhere, taken)] == [True, True]
    assert (pause(found["batch_5"]) > 3000, found["batch_5"].fault) == (True, "")
    assert pauses.resume_account(ACCOUNT) == 2
    due = {each.object_id for each in OwnedObject.objects.due(database_now())}
    assert due == {row.object_id, other.object_id, elsewhere.object_id}
    assert late.object_id not in due


def test_a_key_that_was_changed_meanwhile_is_tried_soon(script: Script) -> None:
    other = job("batch_2")
    script.outcome, script.revision_now = Refused(401, None), "b"
    row = script.follow(job())
    assert pause(row) < 7
    assert "changed meanwhile" in row.fault
    assert OwnedObject.objects.get(pk=other.pk).fault == ""


@pytest.mark.parametrize(("asked", "expected"), [(30.0, 30), (0.01, 1), (None, 5)])
def test_a_rate_limit_pauses_the_account_as_asked(script: Script, asked: float | None, expected: float) -> None:
    other = job("batch_2")
    script.outcome = Refused(429, asked)
    row = script.follow(job())
    for each in (row, OwnedObject.objects.timed().get(pk=other.pk)):
        assert 0.7 * expected < pause(each) < 1.3 * expected
    assert pauses.resume_account(ACCOUNT) == 0, "a new key does not make it ask before the time"


def test_a_lost_lease_changes_nothing(script: Script) -> None:
    row = job()

    def steal() -> None:
        OwnedObject.objects.filter(pk=row.pk).update(lease_until=database_now() + timedelta(hours=1))

    script.outcome = "completed"
    original = script.job.finish

    def finish(lease: Lease, answer: Answer, upstream: Upstream | None) -> None:
        steal()
        lease.renew()
        original(lease, answer, upstream)

    script.job = Job(BATCH, lambda age: 7.0, table.note, finish, script.job.lost)
    claim = leases.claim_one(row.pk)
    assert claim is not None
    assert engine.follow(lambda _: script.job, row.pk, claim) is False
    assert script.ends == []
    assert not engine.follow(lambda _: script.job, row.pk, claim)


def test_a_process_that_ends_gives_its_jobs_back(monkeypatch: pytest.MonkeyPatch) -> None:
    row = job()
    claim = leases.claim_one(row.pk)
    assert claim is not None
    leases.stopping.set()
    try:
        assert Lease.take(row.pk, claim) is None
    finally:
        leases.stopping.clear()
    assert OwnedObject.objects.due(database_now()).filter(pk=row.pk).exists()


@pytest.mark.django_db(transaction=True)
def test_a_round_takes_what_is_due_of_its_kinds_only(script: Script) -> None:
    rows = [job(f"batch_{number}") for number in range(9)]
    job("resp_1", kind="response")
    job("batch_late", due_at=database_now() + timedelta(hours=1))
    assert engine.run_due(lambda _: script.job, ["batch"], limit=7, threads=1) == 7
    assert engine.run_due(lambda _: script.job, ["batch"], limit=7, threads=1) == 2
    assert engine.run_due(lambda _: script.job, ["batch"], threads=1) == 0
    assert sorted(script.asked) == [f"batches/{row.object_id}" for row in rows]


def test_the_table_has_a_row_for_every_kind() -> None:
    assert JOBS.keys() == KINDS.keys()
    assert all(JOBS[kind].kind is KINDS[kind] for kind in KINDS)
    assert EVAL_RUN.address("run_1", "eval_1") == "evals/eval_1/runs/run_1"


def test_which_statuses_are_the_end() -> None:
    assert [RESPONSE.is_over(status) for status in ("", "queued", "requires_action", "cancelled", "odd")] == [
        False,
        False,
        False,
        True,
        True,
    ]
    assert [VIDEO.is_over(status) for status in ("", "queued", "odd", "completed", "failed")] == [False] * 3 + [
        True
    ] * 2
    assert FINE_TUNING.ends == ["succeeded", "failed", "cancelled"]
    assert may_become(BATCH, "validating", "completed")
    assert not may_become(BATCH, "completed", "in_progress")
    assert not may_become(BATCH, "finalizing", "validating")
    assert may_become(BATCH, "in_progress", "odd")
