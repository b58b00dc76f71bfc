"""Work that goes on after its request was answered, by the sandbox's clock."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any

from sandbox.state import State

logger = logging.getLogger("sandbox")

TICK = 0.05  # seconds; how soon a moved clock, a pause or a cancellation is seen
SLICE = 0.01  # seconds that work may hold the event loop

_tasks: set[asyncio.Task[None]] = set()


def start(work: Coroutine[Any, Any, None], what: str, fail: Callable[[str], None]) -> None:
    """Runs `work` beside the requests. It belongs to the key of the request that starts it.

    `what` names it in the log, `fail` ends its object when a defect of the sandbox, given in words, ends the work.
    """
    task = asyncio.get_running_loop().create_task(_guarded(work, what, fail))
    # The loop itself keeps only weak references.
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def _guarded(work: Coroutine[Any, Any, None], what: str, fail: Callable[[str], None]) -> None:
    try:
        await work
    except Exception as error:  # the task's boundary: a defect must be seen, and end the object whose work it was
        logger.exception("%s failed", what)
        fail(f"Sandbox defect: {error!r}")


async def sleep_until(state: State, moment: float, wanted: Callable[[], bool]) -> None:
    """Returns at `moment` by the sandbox's clock, or soon after `wanted()` has become false."""
    while wanted() and (left := moment - state.now()) > 0:
        await asyncio.sleep(min(left, TICK))


async def sleep_while(wanted: Callable[[], bool]) -> None:
    """Returns soon after `wanted()` has become false."""
    while wanted():
        await asyncio.sleep(TICK)


class Breather:
    """Lets other requests run whenever a piece of work has held the event loop for a while."""

    def __init__(self) -> None:
        self._since = time.perf_counter()

    async def __call__(self) -> None:
        if time.perf_counter() - self._since > SLICE:
            await asyncio.sleep(0)
            self._since = time.perf_counter()
