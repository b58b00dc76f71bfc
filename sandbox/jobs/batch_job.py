"""A batch: its statuses, and what it remembers."""

from dataclasses import dataclass
from typing import ClassVar

from sandbox.jobs.batch_input import Error
from sandbox.jobs.job import Job
from sandbox.state import State
from sandbox.store.stored_files import StoredFile


@dataclass(slots=True, kw_only=True)
class Batch(Job):
    """One batch. `done` counts its lines. It enters each status at most once, which `{status}_at` shows."""

    transitions: ClassVar[dict[str, tuple[str, ...]]] = {
        "validating": ("in_progress", "failed", "cancelling", "expired"),
        "in_progress": ("finalizing", "failed", "cancelling", "expired"),
        "finalizing": ("completed", "failed", "cancelling", "expired"),
        "cancelling": ("cancelled", "failed"),
        **dict.fromkeys(("completed", "failed", "expired", "cancelled"), ()),
    }
    input: StoredFile
    authorization: bytes
    output_expires_in: int | None
    done: int = 0
    window_is_over: bool = False

    @property
    def counts(self) -> dict[str, int]:
        counts: dict[str, int] = self.shape["request_counts"]
        return counts

    def entered(self, state: State, before: str) -> None:
        self.shape[f"{self.status}_at"] = state.created()

    def fail(self, state: State, errors: list[Error]) -> None:
        self.shape["errors"] = {"object": "list", "data": errors}
        self.move(state, "failed")

    def goes_on(self, state: State) -> bool:
        """Whether it was not cancelled and its window is open."""
        if state.now() >= self.shape["expires_at"]:
            self.window_is_over = True
        return not self.window_is_over and self.status != "cancelling"
