"""A batch: its states, and OpenAI's object for it."""

from dataclasses import dataclass, field
from typing import Any

from sandbox.jobs.batch_input import Error
from sandbox.misbehaviour.job_switches import Switches
from sandbox.state import State
from sandbox.store.stored_files import StoredFile

WINDOW = 86_400  # seconds

# status: where it may go from there. A batch enters each at most once, which `{status}_at` remembers.
TRANSITIONS: dict[str, tuple[str, ...]] = {
    "validating": ("in_progress", "failed", "cancelling", "expired"),
    "in_progress": ("finalizing", "failed", "cancelling", "expired"),
    "finalizing": ("completed", "failed", "cancelling", "expired"),
    "cancelling": ("cancelled", "failed"),
    "completed": (),
    "failed": (),
    "expired": (),
    "cancelled": (),
}


@dataclass(slots=True)
class Job:
    """One batch. `begun` and `ends` are when it was made and when it is to be done, by the sandbox's clock."""

    shape: dict[str, Any]
    input: StoredFile
    switches: Switches
    authorization: bytes
    output_expires_in: int | None
    begun: float
    ends: float
    done: int = 0  # lines
    window_is_over: bool = field(default=False)

    @property
    def id(self) -> str:
        return str(self.shape["id"])

    @property
    def status(self) -> str:
        return str(self.shape["status"])

    @property
    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.shape["request_counts"]
        return counts

    @property
    def is_over(self) -> bool:
        return not TRANSITIONS[self.status]

    def can(self, status: str) -> bool:
        return status in TRANSITIONS[self.status]

    def move(self, state: State, status: str) -> None:
        """Enters `status`; raises ValueError when the table does not lead there."""
        if not self.can(status):
            raise ValueError(f"{self.id} cannot go from {self.status} to {status}")
        self.shape["status"] = status
        self.shape[f"{status}_at"] = state.created()

    def fail(self, state: State, errors: list[Error]) -> None:
        self.shape["errors"] = {"object": "list", "data": errors}
        self.move(state, "failed")

    def goes_on(self, state: State) -> bool:
        """Whether nobody cancelled it and its window is open."""
        if state.now() >= self.shape["expires_at"]:
            self.window_is_over = True
        return not self.window_is_over and self.status != "cancelling"

    def hangs_in(self, status: str) -> bool:
        return _same(self.switches.hang, status)

    def fails_in(self, status: str) -> bool:
        return _same(self.switches.fail, status)


def _same(wanted: str, status: str) -> bool:
    """A fine-tuning job's "running" is a batch's "in_progress"."""
    return wanted == status or (wanted == "running" and status == "in_progress")


def shape(state: State, body: dict[str, Any], metadata: dict[str, str] | None) -> dict[str, Any]:
    """OpenAI's object for a new batch, with all its keys."""
    now = state.created()
    later = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled")
    return {
        "id": state.new_id("batch_", 32),
        "object": "batch",
        "endpoint": body["endpoint"],
        "model": None,
        "errors": None,
        "input_file_id": body["input_file_id"],
        "completion_window": body["completion_window"],
        "status": "validating",
        "output_file_id": None,
        "error_file_id": None,
        "created_at": now,
        "expires_at": now + WINDOW,
        **{f"{status}_at": None for status in later},
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "usage": {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 0,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 0,
        },
        "metadata": metadata,
    }
