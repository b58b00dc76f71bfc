"""A task that is to end does, also where a library loses the cancellation."""

import asyncio

from gateway.call.ending import end


async def test_a_cancellation_that_is_lost_is_made_again() -> None:
    lost = 0

    async def deaf() -> None:
        nonlocal lost
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                lost += 1
                if lost == 3:
                    raise

    task = asyncio.ensure_future(deaf())
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await end(task)
    assert task.cancelled()
    assert lost == 3


async def test_what_failed_or_never_was_is_over() -> None:
    async def broken() -> None:
        raise ValueError("broken")

    task = asyncio.ensure_future(broken())
    await asyncio.wait((task,))
    await end(task)
    await end(None)
