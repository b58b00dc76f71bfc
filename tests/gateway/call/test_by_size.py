"""Work on large bodies leaves the event loop to others."""

import asyncio
import threading
import time

import pytest

from gateway.call.by_size import AT_ONCE_BYTES, by_size


@pytest.mark.parametrize(("size", "here"), [(0, True), (AT_ONCE_BYTES, True), (AT_ONCE_BYTES + 1, False)])
async def test_only_large_bodies_have_a_thread(size: int, here: bool) -> None:
    found = await by_size(size, threading.current_thread)
    assert (found is threading.current_thread()) is here


async def test_others_go_on_meanwhile() -> None:
    working = asyncio.create_task(by_size(AT_ONCE_BYTES + 1, time.sleep, 0.2))
    turns = 0
    while not working.done():
        turns += 1
        await asyncio.sleep(0.005)
    assert turns > 5


async def test_what_it_raises_is_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await by_size(AT_ONCE_BYTES + 1, int, "x")


async def test_one_thread_does_it_for_all() -> None:
    threads = await asyncio.gather(*(by_size(AT_ONCE_BYTES + 1, threading.current_thread) for _ in range(8)))
    assert len(set(threads)) == 1


async def test_a_cancelled_caller_waits_for_what_has_begun() -> None:
    begun, ended, left_out = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        time.sleep(0.1)
        ended.set()

    working = asyncio.create_task(by_size(AT_ONCE_BYTES + 1, work))
    waiting = asyncio.create_task(by_size(AT_ONCE_BYTES + 1, left_out.set))
    while not begun.is_set():
        await asyncio.sleep(0.001)
    for task in (waiting, working):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ended.is_set()
    assert not left_out.is_set(), "what has not begun is left out"
