"""Ending a task that runs until it is cancelled."""

import asyncio
from typing import Any, Final

AGAIN_SECONDS: Final = 0.1


async def end(task: "asyncio.Task[Any] | None") -> None:
    """Cancel a task until it has ended: redis-py loses a cancellation that comes in the moment of an answer, and the
    task would go on for ever, and with it who waits for its end."""
    while task is not None and not task.done():
        task.cancel()
        await asyncio.wait((task,), timeout=AGAIN_SECONDS)
    if task is not None and not task.cancelled():
        task.exception()  # seen: whatever it was, the task was to end
