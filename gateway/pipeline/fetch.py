"""Reads of upstream objects on behalf of a call."""

import asyncio
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec
from django.conf import settings

from gateway.pipeline.cleaning import cleaned
from gateway.state import state
from providers.dialects import dialect_of
from providers.snapshot import Target
from providers.upstream.client import UpstreamRequest
from providers.upstream.failures import UpstreamFailure

LIST_CONCURRENCY = 8


async def read_objects(target: Target, path: str, object_ids: Iterable[str]) -> list[Any]:
    """Return objects as they are at the upstream now, ``None`` for one that is gone; a few at a time."""
    gate = asyncio.Semaphore(LIST_CONCURRENCY)

    async def read(object_id: str) -> Any:
        async with gate:
            return await read_object(target, f"{path}/{quote(object_id, safe='')}")

    return list(await asyncio.gather(*(read(object_id) for object_id in object_ids)))


async def read_object(target: Target, path: str) -> Any:
    """Return an upstream object's body as it is now, or ``None`` when it is gone."""
    account = target.account
    answer = await state.client.send(account, read_request(target, path))
    try:
        body = await answer.read(settings.MAX_BODY_BYTES)
    finally:
        answer.close()
    if answer.status == 404:
        return None
    if answer.status >= 300:
        raise UpstreamFailure(f"The upstream answered {answer.status} for one of the listed objects.")
    return msgspec.json.decode(await cleaned(account, body)) if body else None


def read_request(target: Target, path: str) -> UpstreamRequest:
    """Return the request that reads ``path`` of a target's account."""
    dialect = dialect_of(target.account)
    return UpstreamRequest("GET", dialect.url(target, path), dialect.headers(target.account))
