"""What a server process holds while it runs: the directory, the upstream client, the spool and the running calls.

It opens with the first of: the server's lifespan start, a request (daphne has no lifespan). It closes with the lifespan.
"""

import asyncio
import gc
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction

from accounts.models import ApiToken
from gateway import embedded
from gateway.background import Poller
from gateway.call import Call
from gateway.directory import Directory
from gateway.objects import objects
from providers.upstream.client import UpstreamClient
from usage.ledger import Ledger, open_ledger
from usage.spool import Spool

logger = logging.getLogger("gateway.runtime")

THREAD_SWITCH_SECONDS = 0.0005


class Runtime:
    """The parts of a running server process. ``runtime`` below is the only one."""

    directory: Directory
    client: UpstreamClient
    ledger: Ledger
    spool: Spool

    def __init__(self) -> None:
        self.directory = Directory()
        self.running: set[Call | None] = set()
        self.started = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._recheck: Callable[[], None] = lambda: None
        self._poller: Poller | None = None
        self._jobs: embedded.EmbeddedCelery | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that everything runs in, once :meth:`open` was called."""
        return self._loop

    def open(self, recheck: Callable[[], None]) -> None:
        """Start everything, inside the running event loop. ``recheck`` is called in it after every change of the picture."""
        if self.started:
            return
        self._loop = asyncio.get_running_loop()
        self._recheck = recheck
        self.client = UpstreamClient()
        self.ledger = open_ledger(note_last_use)
        self.spool = self.ledger.spool
        self.directory = Directory(self._changed)
        self.ledger.start()
        self.directory.start()
        if settings.BACKGROUND_POLL_SECONDS:
            self._poller = Poller(settings.BACKGROUND_POLL_SECONDS)
            self._poller.start()
        if embedded.wanted():
            self._jobs = embedded.EmbeddedCelery()
            self._jobs.start()
        # The ledger's thread shares the interpreter with the event loop: it must give way quickly.
        sys.setswitchinterval(THREAD_SWITCH_SECONDS)
        self.started = True

    async def ready(self, timeout: float = 10.0) -> None:
        """Wait until the picture is loaded for the first time, ``timeout`` seconds at most."""
        deadline = asyncio.get_running_loop().time() + timeout
        while not self.directory.loaded and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)

        # What is loaded now stays: collections need not look at it again.
        gc.collect()
        gc.freeze()

    async def close(self) -> None:
        """Stop everything; what was used is in the database, or in the spool, when this returns."""
        if not self.started:
            return
        self.started = False
        if self._jobs is not None:
            await asyncio.to_thread(self._jobs.stop)
        await self.client.close()
        self.directory.stop()
        if self._poller is not None:
            await asyncio.to_thread(self._poller.stop)
        await asyncio.to_thread(objects.close)
        await asyncio.to_thread(self.ledger.drain)
        self.spool.close()

    def _changed(self) -> None:
        loop = self._loop
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._recheck)


def note_last_use(uses: dict[int, float]) -> None:
    """Write down when tokens were last used. Lazily, and without announcing: no picture holds it."""
    with transaction.atomic():
        for token_id, when in uses.items():
            ApiToken.objects.filter(pk=token_id).quietly_update(last_used_at=datetime.fromtimestamp(when, UTC))


runtime = Runtime()
