"""``/healthz`` says that the process is alive; ``/readyz`` whether it is fit for calls, part by part, with reasons.

A part that fails degrades the service without ending it: without the database calls go on from the last snapshot, and
usage waits in the spool. So ``/readyz`` answers 503 only when calls would fail or records would be lost, and 200 with
``"status": "degraded"`` and the reasons in between. ``manage.py drain`` makes it 503 with ``"status": "draining"``.
"""

import asyncio
from typing import Any

from django.conf import settings
from redis import asyncio as redis
from redis.exceptions import RedisError

from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import OpenView
from gateway.endpoints.describe import json_reply
from gateway.server import draining
from gateway.state import state

SNAPSHOT_AGE_SECONDS = 10.0
REDIS_TIMEOUT_SECONDS = 1.0


class Healthz(OpenView):
    """Whether the process is alive."""

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Answer that it is."""
        return json_reply({"status": "ok"})


class Readyz(OpenView):
    """Whether the process is fit for calls."""

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Answer with the state of every part: ``ok``, ``degraded`` or ``failed``."""
        return await _ready()


async def _ready() -> Reply:
    checks = {"directory": _directory(), "database": _database(), "spool": _spool(), "redis": await _redis()}
    checks["limits"] = state.limiter.state()
    states = {check["state"] for check in checks.values()}
    if draining.is_draining():
        return json_reply({"status": "draining", "checks": checks}, status=503)
    status = "failed" if "failed" in states else "degraded" if "degraded" in states else "ok"
    return json_reply({"status": status, "checks": checks}, status=503 if status == "failed" else 200)


def _directory() -> dict[str, Any]:
    directory = state.directory
    if not directory.loaded:
        return {"state": "failed", "detail": "the configuration was not loaded yet"}
    age = round(directory.age(), 1)
    fresh = age < SNAPSHOT_AGE_SECONDS
    return {"state": "ok" if fresh else "degraded", "age_seconds": age, "accounts": len(directory.accounts)}


def _database() -> dict[str, Any]:
    fault = state.directory.fault
    return {"state": "degraded", "detail": f"not reachable ({fault})"} if fault else {"state": "ok"}


def _spool() -> dict[str, Any]:
    if not state.started:
        return {"state": "failed", "detail": "not open"}
    ledger = state.ledger.state()
    return {"state": ledger.get("state", "ok" if ledger.get("ok", True) else "degraded"), **ledger}


async def _redis() -> dict[str, Any]:
    if not settings.REDIS_URL:
        return {"state": "ok", "detail": "not used"}
    client = redis.from_url(
        settings.REDIS_URL, socket_timeout=REDIS_TIMEOUT_SECONDS, socket_connect_timeout=REDIS_TIMEOUT_SECONDS
    )
    try:
        async with asyncio.timeout(REDIS_TIMEOUT_SECONDS):
            await client.ping()
    except (RedisError, OSError, TimeoutError) as error:
        return {"state": "degraded", "detail": f"not reachable ({type(error).__name__})"}
    finally:
        await client.aclose()
    return {"state": "ok"}
