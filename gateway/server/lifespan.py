"""What a server process opens when it starts and closes when it ends.

It opens with the first of: the server's lifespan start, a request (daphne has no lifespan). It closes with the
lifespan.
"""

import asyncio
import gc
import sys
from datetime import UTC, datetime

from django.conf import settings
from django.db import transaction

from accounts.models import ApiToken
from accounts.worker_thread import WorkerThread
from gateway.access.recheck import end_overdue_calls, recheck_running_calls
from gateway.directory.directory import Directory
from gateway.jobs.table import poller
from gateway.objects.store import objects
from gateway.routing.health import health
from gateway.routing.plan import forget_targets
from gateway.routing.shared_health import SharedHealth
from gateway.server import telemetry
from gateway.server.embedded_celery import EmbeddedCelery, wanted
from gateway.server.processes import end_with_parent
from gateway.server.sign_in import keep_tokens
from gateway.state import state
from providers.media.fetcher import Limits, MediaFetcher
from providers.tokenizer import tokenizer
from providers.upstream.aiohttp_client import AiohttpClient
from providers.upstream.lean import LeanClient
from usage.ledger import open_ledger

THREAD_SWITCH_SECONDS = 0.0005
READY_SECONDS = 10.0
# Containers made, less those dropped, before the youngest are collected; Python's own is 700.
COLLECTION_THRESHOLDS = (10_000, 20, 20)
FINISH_SECONDS = 5.0
OVERDUE_CHECK_SECONDS = 1.0

_poller: WorkerThread | None = None
_celery: EmbeddedCelery | None = None
_overdue: asyncio.Task[None] | None = None
_sign_in: asyncio.Task[None] | None = None
_health: SharedHealth | None = None


async def start() -> None:
    """Open everything, inside the running event loop, and wait until the directory is loaded for the first time."""
    if not state.started:
        end_with_parent()
        _open()
    await _loaded(READY_SECONDS)
    # What is loaded now stays: collections need not look at it again. Calls leave few cycles, so they can be rarer.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTION_THRESHOLDS)


def _open() -> None:
    global _poller, _celery, _overdue, _sign_in, _health
    state.loop = asyncio.get_running_loop()
    _overdue = state.loop.create_task(_watch_for_overdue_calls())
    state.sockets = AiohttpClient()
    state.client = LeanClient() if settings.UPSTREAM_CLIENT == "lean" else state.sockets
    state.media = MediaFetcher(
        Limits(
            file_bytes=settings.MEDIA_FILE_BYTES,
            call_bytes=settings.MEDIA_FILE_BYTES * 3,
            seconds=settings.MEDIA_SECONDS,
            cache_bytes=settings.MEDIA_CACHE_BYTES,
            allow=tuple(settings.MEDIA_ALLOW),
        )
    )
    state.ledger = open_ledger(note_last_use)
    state.spool = state.ledger.spool
    state.directory = Directory(_directory_changed)
    state.ledger.start()
    state.directory.start()
    state.limiter.start()
    if settings.REDIS_URL:
        _health = SharedHealth(settings.REDIS_URL, health)
        _health.start()
    if settings.BACKGROUND_POLL_SECONDS:
        _poller = poller(settings.BACKGROUND_POLL_SECONDS)
        _poller.start()
    if wanted():
        _celery = EmbeddedCelery()
        _celery.start()
    telemetry.start()
    # The ledger's thread shares the interpreter with the event loop: it must give way quickly.
    sys.setswitchinterval(THREAD_SWITCH_SECONDS)
    _sign_in = state.loop.create_task(keep_tokens())
    state.started = True


async def _loaded(timeout: float) -> None:
    deadline = asyncio.get_running_loop().time() + timeout
    while not (state.directory.loaded and state.limiter.loaded) and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.01)


async def stop() -> None:
    """Close everything; what was used is in the database, or in the spool, when this returns."""
    if not state.started:
        return
    state.started = False
    for task in (_overdue, _sign_in):
        if task is not None:
            task.cancel()
    if _celery is not None:
        await asyncio.to_thread(_celery.stop)
    await asyncio.gather(*(end() for end in list(state.endings)), return_exceptions=True)
    await state.client.close()
    await state.sockets.close()
    await state.media.close()
    if state.finishing:  # what is not done by then stays in the spool's journal, as interrupted
        await asyncio.wait(state.finishing, timeout=FINISH_SECONDS)
    await asyncio.to_thread(tokenizer.close)
    state.directory.stop()
    if _poller is not None:
        await asyncio.to_thread(_poller.stop, 5)
    await asyncio.to_thread(objects.close)
    await asyncio.to_thread(state.ledger.drain)
    await state.limiter.stop()
    if _health is not None:
        await _health.stop()
    state.spool.close()
    await asyncio.to_thread(telemetry.stop)


async def _watch_for_overdue_calls() -> None:
    while True:
        await asyncio.sleep(OVERDUE_CHECK_SECONDS)
        end_overdue_calls()


def note_last_use(uses: dict[int, float]) -> None:
    """Store when tokens were last used. Lazily, and without announcing: no snapshot holds it."""
    with transaction.atomic():
        for token_id, when in uses.items():
            ApiToken.objects.filter(pk=token_id).quietly_update(last_used_at=datetime.fromtimestamp(when, UTC))


def _directory_changed() -> None:
    """Have the event loop do what a change asks for; called in the thread that loads the directory."""
    loop = state.loop
    if loop is not None and not loop.is_closed():
        loop.call_soon_threadsafe(recheck_running_calls)
        loop.call_soon_threadsafe(forget_targets)
