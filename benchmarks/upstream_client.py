"""CPU of a small POST through each upstream client, in one run: ``python -m benchmarks.upstream_client``.

The upstream is a process of its own that answers at once. What is printed is the client process's CPU time, which a
busy machine changes less than requests per second.
"""

import asyncio
import os
import subprocess
import sys
import time
from typing import Any

import django
import uvloop
from multidict import CIMultiDict

from providers.upstream.aiohttp_client import AiohttpClient
from providers.upstream.client import UpstreamRequest
from providers.upstream.lean import LeanClient
from tests.support.raw_upstream import account

os.environ.update(
    DJANGO_SETTINGS_MODULE="gateway.settings", GATEHOUSE_ENV="development", GATEHOUSE_EGRESS_ALLOW="127.0.0.1"
)

REQUEST = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi there, how are you today?"}]}'
BODY = (
    b'{"id":"chatcmpl-1","object":"chat.completion",'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"hello"}}],'
    b'"usage":{"prompt_tokens":3,"completion_tokens":2}}'
)
ANSWER = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: req_123\r\nopenai-version: 2020-10-01\r\n"
    b"openai-processing-ms: 12\r\nx-ratelimit-remaining-requests: 100\r\ndate: Thu, 26 Nov 2026 10:00:00 GMT\r\n"
    b"content-length: %d\r\n\r\n" % len(BODY) + BODY
)
CONNECTIONS = 16
ROUNDS = 3


class Instant(asyncio.Protocol):
    """Answers every piece that comes: a small request is one."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER)


async def serve() -> None:
    """Run the upstream; print its port."""
    server = await asyncio.get_running_loop().create_server(Instant, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def calls(client: Any, here: Any, count: int) -> None:
    """Make ``count`` calls over ``CONNECTIONS`` connections."""

    async def caller() -> None:
        for _ in range(count // CONNECTIONS):
            headers = CIMultiDict([("user-agent", "bench"), ("accept-encoding", "identity"), *here.headers])
            headers["content-type"] = "application/json"
            url = f"{here.url}/chat/completions"
            answer = await client.send(here, UpstreamRequest("POST", url, headers, REQUEST))
            assert await answer.read(10**6) == BODY
            answer.close()

    await asyncio.gather(*(caller() for _ in range(CONNECTIONS)))


async def measure(port: int) -> None:
    """Print each client's CPU per call, in turns."""
    here = account(f"http://127.0.0.1:{port}/v1")
    for _ in range(ROUNDS):
        for make, count in ((AiohttpClient, 8_000), (LeanClient, 32_000)):
            client = make()
            await calls(client, here, 800)
            started, clock = time.process_time(), time.perf_counter()
            await calls(client, here, count)
            spent, took = time.process_time() - started, time.perf_counter() - clock
            print(
                f"{make.__name__:14} {spent / count * 1e6:6.1f} us CPU a call {count / took:8.0f} calls/s", flush=True
            )
            await client.close()


def main() -> None:
    """Start the upstream and measure, or be the upstream."""
    if "serve" in sys.argv:
        uvloop.run(serve())
        return
    django.setup()
    with subprocess.Popen(
        [sys.executable, "-m", __spec__.name, "serve"], stdout=subprocess.PIPE, text=True
    ) as upstream:
        assert upstream.stdout is not None
        try:
            uvloop.run(measure(int(upstream.stdout.readline())))
        finally:
            upstream.kill()


if __name__ == "__main__":
    main()
