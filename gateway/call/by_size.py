"""Work on bodies that takes the longer, the larger they are: large ones are left to a thread, so that others go on."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

AT_ONCE_BYTES = 2**17
P = ParamSpec("P")
T = TypeVar("T")


async def by_size(size: int, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what ``work`` does with its arguments, one of which is a body of ``size`` bytes. Raises what it raises."""
    if size <= AT_ONCE_BYTES:
        return work(*args, **kwargs)
    return await asyncio.to_thread(work, *args, **kwargs)
