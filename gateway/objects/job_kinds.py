"""The table of all kinds of jobs: work at the upstream, or at Gatehouse, that goes on after the call that began it.

A row says where a job is retrieved and which statuses lead where. What is done at its end is in ``gateway.jobs.table``
and ``batches.table``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache


@dataclass(frozen=True, slots=True, eq=False)
class JobKind:
    """A kind of job.

    ``path`` is the collection that it is in, ``{parent}`` the id of the object that it belongs to. ``transitions`` says
    where each status may lead; those that lead nowhere are the end, and so is, when ``others_end``, any that is not in
    there. ``ability`` is what an account needs for it. ``cancels`` says that a running one is cancelled by ``POST
    .../cancel``."""

    kind: str
    path: str
    transitions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    others_end: bool = False
    ability: str = ""
    cancels: bool = False

    def address(self, object_id: str, parent_id: str = "") -> str:
        """Return where a job is retrieved."""
        return f"{self.path}/{object_id}".replace("{parent}", parent_id)

    def is_over(self, status: str) -> bool:
        """Whether nothing follows on ``status``."""
        after = self.transitions.get(status)
        return (self.others_end and bool(status)) if after is None else not after

    @property
    def ends(self) -> list[str]:
        """The statuses that lead nowhere."""
        return [status for status, after in self.transitions.items() if not after]


def _running(*statuses: str) -> dict[str, tuple[str, ...]]:
    """Return transitions of a kind whose ends are not known by name: each of ``statuses`` may lead to any other."""
    return dict.fromkeys(statuses, statuses)


_AT_WORK = _running("queued", "in_progress", "requires_action", "cancelling")

RESPONSE = JobKind("response", "responses", _AT_WORK, others_end=True, cancels=True)
RUN = JobKind("run", "threads/{parent}/runs", _AT_WORK, others_end=True)
EVAL_RUN = JobKind("eval_run", "evals/{parent}/runs", _AT_WORK, others_end=True)
VIDEO = JobKind(
    "video",
    "videos",
    {
        "queued": ("in_progress", "completed", "failed"),
        "in_progress": ("completed", "failed"),
        "completed": (),
        "failed": (),
    },
)
REALTIME_CALL = JobKind("realtime_call", "realtime/calls")
BATCH = JobKind(
    "batch",
    "batches",
    {
        "validating": ("in_progress", "failed", "cancelling", "expired"),
        "in_progress": ("finalizing", "failed", "cancelling", "expired"),
        "finalizing": ("completed", "failed", "cancelling", "expired"),
        "cancelling": ("cancelled", "completed", "failed", "expired"),
        "completed": (),
        "failed": (),
        "expired": (),
        "cancelled": (),
    },
    ability="batches",
)
FINE_TUNING = JobKind(
    "fine_tuning.job",
    "fine_tuning/jobs",
    {
        "validating_files": ("queued", "failed", "cancelled"),
        "queued": ("running", "paused", "failed", "cancelled"),
        "running": ("succeeded", "paused", "failed", "cancelled"),
        "paused": ("queued", "running", "failed", "cancelled"),
        "succeeded": (),
        "failed": (),
        "cancelled": (),
    },
    ability="fine_tuning",
)

CHARGED_LATER = (RESPONSE, RUN, EVAL_RUN)
"""Kinds whose calls are free: what they used is charged at their end."""
STEERED = {job.kind: job for job in (BATCH, FINE_TUNING)}
"""Kinds that callers list, cancel and pause; the record keeps their bodies."""
KINDS = {job.kind: job for job in (*CHARGED_LATER, VIDEO, REALTIME_CALL, *STEERED.values())}


@cache
def reachable(job: JobKind, status: str) -> frozenset[str]:
    """Return the statuses that ``status`` may lead to over any number of steps: a poll may miss some. Itself is one."""
    found, pending = {status}, [status]
    while pending:
        for after in job.transitions.get(pending.pop(), ()):
            if after not in found:
                found.add(after)
                pending.append(after)
    return frozenset(found)


def may_become(job: JobKind, before: str, after: str) -> bool:
    """Whether a job last seen in ``before`` can be in ``after`` now. An unknown status may follow on anything but an
    end."""
    if job.is_over(before):
        return before == after
    if before not in job.transitions or after not in job.transitions:
        return True
    return after in reachable(job, before)
