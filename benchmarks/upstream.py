"""The upstreams behind every server: one that answers at once (nginx with canned bytes), one that streams to a plan,
and one that talks over sockets.
"""

import json
import shutil
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import endpoint, nginx, payloads, responses, uploads, vendors
from benchmarks.processes import free_port, running, wait_ready

ROOT = Path(__file__).resolve().parent.parent
INSTANT, STREAMING, TALKING = "instant", "streaming", "talking"
# Path -> canned answer of the instant upstream: a further endpoint is a further row.
CANNED = {
    f"/v1{endpoint.CHAT}": payloads.CHAT_ANSWER,
    f"/v1{endpoint.RESPONSES}": responses.ANSWER,
    f"/v1{endpoint.TRANSCRIPTIONS}": uploads.ANSWER,
    # As an OpenTelemetry collector it takes all that comes: an empty message says so.
    "/v1/traces": "",
    "/v1/metrics": "",
    f"{endpoint.ANTHROPIC}/v1{endpoint.MESSAGES}": vendors.MESSAGE_ANSWER,
    f"/v1beta/models/{endpoint.GEMINI}:generateContent": vendors.CONTENT_ANSWER,
}


@dataclass(frozen=True)
class Upstreams:
    """The running upstreams: a port for each of ``instant``, ``streaming`` and ``talking``."""

    ports: dict[str, int]

    def origin(self, which: str) -> str:
        """Return ``http://127.0.0.1:PORT`` of the upstream ``which``."""
        return f"http://127.0.0.1:{self.ports[which]}"

    def plan(self, chunks: int, interval_ms: float) -> None:
        """Let streams that start from now on send ``chunks`` content chunks, one each ``interval_ms``."""
        self._control("plan", chunks=chunks, interval_ms=interval_ms)

    def plan_burst(self, chunks: int) -> None:
        """Let streams that start from now on send ``chunks`` content chunks, and all other events, in one write."""
        self._control("plan", chunks=chunks, interval_ms=0, burst=1)

    def release(self) -> None:
        """Let every open stream end after its next chunk."""
        self._control("release")

    def state(self) -> dict[str, int]:
        """Return ``open``, ``most_open``, ``finished`` and ``sent`` (content chunks) since the plan."""
        return self._control("state")

    def _control(self, verb: str, **query: Any) -> dict[str, int]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        url = f"{self.origin(STREAMING)}/control/{verb}?{urllib.parse.urlencode(query)}"
        with opener.open(url, timeout=30) as answer:
            return json.load(answer)


@contextmanager
def upstreams(core: int, home: Path) -> Iterator[Upstreams]:
    """Run all upstreams pinned to ``core``."""
    ports = {which: free_port() for which in (INSTANT, STREAMING, TALKING)}
    config = nginx.config(home / "upstream", nginx.canned_server(ports[INSTANT], CANNED))
    streamer = [
        *(sys.executable, "-m", "uvicorn", "benchmarks.streamer:app", "--host", "127.0.0.1"),
        *("--port", str(ports[STREAMING]), "--loop", "uvloop", "--http", "httptools", "--lifespan", "off"),
        *("--log-level", "warning", "--no-access-log", "--backlog", "4096", "--timeout-keep-alive", "3600"),
    ]
    found = Upstreams(ports)
    with ExitStack() as stack:
        argv = [shutil.which("nginx") or "nginx", "-c", str(config)]
        instant = stack.enter_context(running("upstream-instant", argv, cores=[core], home=home, env={}))
        streaming = stack.enter_context(running("upstream-stream", streamer, cores=[core], home=home, env={}, cwd=ROOT))
        talker = [sys.executable, "-m", "benchmarks.talker", str(ports[TALKING])]
        talking = stack.enter_context(running("upstream-talk", talker, cores=[core], home=home, env={}, cwd=ROOT))
        wait_ready(instant, f"{found.origin(INSTANT)}/healthz", seconds=20)
        wait_ready(streaming, f"{found.origin(STREAMING)}/control/state", seconds=20)
        wait_ready(talking, f"{found.origin(TALKING)}/healthz", seconds=20)
        yield found
