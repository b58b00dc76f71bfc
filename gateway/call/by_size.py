"""Work on bodies that takes the longer, the larger they are: large ones are left to a thread, so that others go on.

One thread does it for all of them: it holds the interpreter's lock for as long as a step over one body takes, and with
several threads the event loop would wait for a step of each.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

AT_ONCE_BYTES = 2**17
_thread = ThreadPoolExecutor(1, "large-bodies")
P = ParamSpec("P")
T = TypeVar("T")


async def by_size(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``work`` does with its arguments, one of which is a body of ``size`` bytes. Raises what it raises."""
    if size <= AT_ONCE_BYTES:
        return work(*args, **kwargs)
    return await aside(work, *args, **kwargs)


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``work`` does in a thread, however little it is given. Raises what it raises.

    A cancelled caller waits for what has begun: until then the body is in memory, and a record may still be written to.
    """
    running = _thread.submit(work, *args, **kwargs)
    future = asyncio.wrap_future(running)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        if not running.cancel():
            await asyncio.wait((future,))
        raise
