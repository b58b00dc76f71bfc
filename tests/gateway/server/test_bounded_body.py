"""Django's pages read no body for longer, and no more of it, than the inference paths do."""

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from django.test import override_settings

from gateway.asgi import application

SCOPE = {
    "type": "http",
    "http_version": "1.1",
    "method": "POST",
    "scheme": "http",
    "path": "/admin/login/",
    "raw_path": b"/admin/login/",
    "query_string": b"",
    "headers": [(b"host", b"localhost"), (b"content-type", b"application/x-www-form-urlencoded")],
    "server": ("localhost", 80),
    "client": ("127.0.0.1", 1),
}


async def answered(pieces: int, piece: bytes, pause: float) -> list[MutableMapping[str, Any]]:
    """What the application sends for a body of ``pieces`` that never ends."""
    sent: list[Any] = []
    left = iter(range(pieces))

    async def receive() -> dict[str, Any]:
        await asyncio.sleep(pause if next(left, None) is not None else 60)
        return {"type": "http.request", "body": piece, "more_body": True}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async with asyncio.timeout(10):
        await application(dict(SCOPE), receive, send)
    return sent


@pytest.fixture(autouse=True)
def _started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.asgi.state.started", True)


async def test_a_body_that_drips() -> None:
    with override_settings(BODY_TIMEOUT=0.2):
        start, body = await answered(1000, b"a", 0.01)
    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]
    assert b"request_timeout" in body["body"]


async def test_a_body_without_end() -> None:
    with override_settings(MAX_BODY_BYTES=2**20):
        start, body = await answered(100, b"a" * 2**16, 0)
    assert start["status"] == 413
    assert str(2**20).encode() in body["body"]
