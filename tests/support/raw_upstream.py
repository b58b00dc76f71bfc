"""Upstreams whose every byte a test decides, in the test's own event loop; and what a client needs to call one."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

from multidict import CIMultiDict

from providers.origins import Origin
from providers.snapshot import AccountSnapshot
from providers.upstream.client import UpstreamRequest
from providers.vendors import VENDORS

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """One connection, as the upstream sees it. ``log`` is shared by all: a line for what each connection saw."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, server: "RawServer") -> None:
        self.reader, self.writer, self.server = reader, writer, server

    async def request(self) -> tuple[str, dict[str, str], bytes]:
        """Read one whole request: its first line, its headers in lower case and its body."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert len(headers) == len(lines), "a header came twice"
        body = await self._body(headers)
        self.server.requests.append((first, headers, body))
        return first, headers, body

    async def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding") != "chunked":
            return await self.reader.readexactly(int(headers.get("content-length", 0)))
        body = b""
        while size := int(await self.reader.readline(), 16):
            body += await self.reader.readexactly(size)
            assert await self.reader.readexactly(2) == b"\r\n"
        assert await self.reader.readexactly(2) == b"\r\n"
        return body

    async def send(self, *pieces: bytes, pause: float = 0.0) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(pause)

    async def closed(self) -> float:
        """Wait until the client closes; return the loop's time then."""
        with contextlib.suppress(OSError):
            while await self.reader.read(2**16):
                continue
        return asyncio.get_running_loop().time()

    def reset(self) -> None:
        """Close with an RST."""
        self.writer.transport.abort()


class RawServer:
    """Runs ``script`` for every connection and closes it at the script's end."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.open = 0
        self.origin = ""
        self.left_at = 0.0  # set by scripts
        self.tasks: set[asyncio.Task[Any]] = set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self.script(Peer(reader, writer, self))
        except (
            asyncio.IncompleteReadError,
            asyncio.CancelledError,
            ConnectionError,
        ):  # the client, or the test, is done
            pass
        finally:
            self.open -= 1
            self.tasks.discard(task)
            writer.close()


@contextlib.asynccontextmanager
async def serving(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawServer]:
    """Yield a running upstream."""
    server = RawServer(script)
    running = await asyncio.start_server(server, "127.0.0.1", 0, ssl=tls, limit=2**20)
    server.origin = f"{'https' if tls else 'http'}://127.0.0.1:{running.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        running.close()
        for task in list(server.tasks):
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)


def answering(*pieces: bytes, pause: float = 0.0) -> Script:
    """Return the script that answers one request with ``pieces`` and closes."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(*pieces, pause=pause)

    return script


def keeping(answer: bytes) -> Script:
    """Return the script that answers every request of a connection with ``answer``."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(answer)

    return script


def account(
    url: str,
    *,
    connect_timeout: float = 2.0,
    read_timeout: float = 5.0,
    limit: int = 0,
    headers: tuple[tuple[str, str], ...] = (("authorization", "Bearer sk-1"),),
    revision: str = "1",
    bound_to: Origin | None = None,
    fault: str = "",
) -> AccountSnapshot:
    """Return an account as a client sees it."""
    return cast(
        AccountSnapshot,
        _Account(
            name="acme",
            vendor=VENDORS["openai"],
            url=url,
            headers=headers,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            connection_limit=limit,
            revision=revision,
            token=None,
            bound_to=bound_to,
            fault=fault,
        ),
    )


class _Account:
    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)


def request(
    url: str, method: str = "POST", body: Any = b"{}", total: float | None = None, **headers: str
) -> UpstreamRequest:
    """Return a request with ``headers``, underscores for hyphens."""
    pairs = [(name.replace("_", "-"), value) for name, value in headers.items()]
    return UpstreamRequest(method, url, CIMultiDict([*pairs, ("accept-encoding", "identity")]), body, total)
