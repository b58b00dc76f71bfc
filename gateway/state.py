"""What a server process holds while it runs: the directory, the upstream client, the limiter, the spool and
the running calls.

``gateway.server.lifespan`` fills it when the server starts and empties it when it ends.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from gateway.call.call import Call
from gateway.directory.directory import Directory
from gateway.limits.limiter import Limiter
from providers.media.fetcher import MediaFetcher
from providers.upstream.aiohttp_client import AiohttpClient
from providers.upstream.client import UpstreamClient
from usage.ledger import Ledger
from usage.spool import Spool


class State:
    """The parts of a running server process. ``state`` below is the only one.

    ``endings`` end what goes on without a client's connection; they are awaited when the server ends.
    """

    client: UpstreamClient
    sockets: AiohttpClient
    media: MediaFetcher
    ledger: Ledger
    spool: Spool

    def __init__(self) -> None:
        self.directory = Directory()
        self.limiter = Limiter(lambda: self.directory.rules, lambda: self.directory.loaded)
        self.running: set[Call | None] = set()
        self.finishing: set[asyncio.Task[None]] = set()
        self.endings: set[Callable[[], Awaitable[None]]] = set()
        self.started = False
        self.loop: asyncio.AbstractEventLoop | None = None

    def finish_later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Let ``work`` of an ended call go on behind its answer; the end of the server waits for it."""
        task = asyncio.get_running_loop().create_task(work)
        self.finishing.add(task)
        task.add_done_callback(self.finishing.discard)
        return task


state = State()
