"""What jobs have in common: statuses that lead to each other, time that passes in them, and switches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from sandbox.misbehaviour.job_switches import Switches
from sandbox.state import State
from sandbox.store.collection import Collection
from sandbox.store.objects import Item
from sandbox.wire.messages import Answer, Request
from sandbox.wire.routing import Handler

# A switch names the statuses of both kinds of jobs.
_ALSO = {"in_progress": "running", "validating_files": "validating"}


@dataclass(slots=True, kw_only=True)
class Job(Item):
    """One job. `begun` and `ends` are when it was created and when it is to be done, by the sandbox's clock."""

    transitions: ClassVar[Mapping[str, tuple[str, ...]]]  # status: where it may go from there
    switches: Switches
    begun: float
    ends: float

    @property
    def is_over(self) -> bool:
        return not self.transitions[self.status]

    def can(self, status: str) -> bool:
        return status in self.transitions[self.status]

    def move(self, state: State, status: str) -> None:
        """Enters `status`; raises ValueError when the table does not lead there."""
        if not self.can(status):
            raise ValueError(f"{self.id} cannot go from {self.status} to {status}")
        before, self.shape["status"] = self.status, status
        self.entered(state, before)

    def entered(self, state: State, before: str) -> None:
        """What follows from a new status; `before` is the last one."""

    def hangs_in(self, status: str) -> bool:
        return self.switches.hang in (status, _ALSO.get(status))

    def fails_in(self, status: str) -> bool:
        return self.switches.fail in (status, _ALSO.get(status))

    def moment(self, part: float) -> float:
        """When a part of the job's time will have passed."""
        return self.begun + (self.ends - self.begun) * part


def vanished(request: Request, job: Item) -> bool:
    """Whether the job is not to be found, by its switches."""
    return isinstance(job, Job) and job.switches.vanished


def polled(jobs: Collection) -> Handler:
    """A handler that retrieves a job, or fails as its switches ask."""

    async def retrieve(request: Request) -> Answer:
        job = jobs.find(request)
        job.switches.poll()
        return jobs.answer(request, job)

    return retrieve
