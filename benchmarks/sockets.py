"""Sockets: added latency, many sessions on one worker, and memory over time: ``python -m benchmarks.sockets [--seconds N]``.

An echo stands for the upstream. Each session sends frames like a microphone's and waits for each to come back; the same is
done directly, through a bare nginx and through Gatehouse, so that the difference is what each adds to a message both ways.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web

from benchmarks import nginx
from benchmarks.errors import BenchmarkError
from benchmarks.processes import free_port, running, tree, wait_ready
from benchmarks.servers.base import Host
from benchmarks.servers.gatehouse import ROOT, USER, made_token, manage
from benchmarks.upstream import Upstreams

MODEL = "gpt-realtime"
FRAME = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 3200})
UPGRADE = 'proxy_set_header Connection "upgrade";\n      proxy_set_header Upgrade $http_upgrade;'


async def echo(request: web.Request) -> web.WebSocketResponse:
    """Send every message back."""
    socket = web.WebSocketResponse(compress=False, max_msg_size=0)
    await socket.prepare(request)
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket


def serve_echo(port: int) -> None:
    """Serve the echo; this file is its own upstream process."""
    application = web.Application()
    application.router.add_get("/v1/realtime", echo)
    application.router.add_get("/healthz", lambda request: _ok())
    uvloop.install()
    web.run_app(application, host="127.0.0.1", port=port, print=None, access_log=None)


async def _ok() -> web.Response:
    return web.Response(text="ok")


@contextmanager
def upstream(home: Path, core: int) -> Iterator[int]:
    """Run the echo in a process of its own; yield its port."""
    port = free_port()
    argv = [sys.executable, "-m", "benchmarks.sockets", "--echo", str(port)]
    with running("echo", argv, core=core, home=home, env={}, cwd=ROOT) as child:
        wait_ready(child, f"http://127.0.0.1:{port}/healthz", seconds=30)
        yield port


@contextmanager
def through_nginx(home: Path, core: int, target: int) -> Iterator[tuple[str, dict[str, str], int]]:
    """Run a bare proxy; yield its address, headers and process."""
    port = free_port()
    block = nginx.proxy_server(port, target).replace('proxy_set_header Connection "";', UPGRADE)
    argv = ["nginx", "-c", str(nginx.config(home / "nginx", block))]
    with running("nginx", argv, core=core, home=home, env={}) as child:
        wait_ready(child, f"http://127.0.0.1:{port}/healthz", seconds=20)
        yield f"http://127.0.0.1:{port}/v1/realtime?model={MODEL}", {}, child.pid


@contextmanager
def through_gatehouse(home: Path, core: int, target: int) -> Iterator[tuple[str, dict[str, str], int]]:
    """Set up an installation and run one worker; yield its address, headers and process."""
    env = {
        "GATEHOUSE_DATA_DIR": str(home / "data"),
        "GATEHOUSE_EGRESS_ALLOW": "127.0.0.1/32",
        "GATEHOUSE_REALTIME_SESSIONS_PER_SUBJECT": "0",
    }
    host = Host(core, home, Upstreams({}))
    account = {
        "type": "provider-account/openai",
        "name": "echo",
        "auth_data": {"type": "api-key", "api_key": "sk-upstream"},
        "base_url": f"http://127.0.0.1:{target}/v1",
        "collaborators": [{"subject": f"user:{USER}", "role_id": "provider-account-access"}],
        "integrations": [{"type": "integration/model/openai", "name": MODEL, "model_types": ["realtime"]}],
    }
    manage(host, env, "migrate", "--verbosity", "0")
    token = made_token(manage(host, env, "create_token", "--user", USER, "--name", "benchmark"))
    file = home / "account.yaml"
    file.write_text(json.dumps(account))
    manage(host, env, "apply", "-f", str(file))
    port = free_port()
    argv = [sys.executable, str(ROOT / "manage.py"), "serve", "--host", "127.0.0.1", "--port", str(port)]
    with running("gatehouse", argv, core=core, home=home, env=env, cwd=ROOT) as child:
        wait_ready(child, f"http://127.0.0.1:{port}/readyz", seconds=60)
        address = f"http://127.0.0.1:{port}/live/echo/realtime?model={MODEL}"
        yield address, {"authorization": f"Bearer {token}"}, child.pid


@contextlib.asynccontextmanager
async def sessions(
    address: str, headers: dict[str, str], count: int
) -> AsyncIterator[list[aiohttp.ClientWebSocketResponse]]:
    """Hold ``count`` sockets open."""
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        opened = []
        for _ in range(count):
            opened.append(await stack.enter_async_context(client.ws_connect(address, headers=headers)))
        yield opened


async def talk(socket: aiohttp.ClientWebSocketResponse, rate: float, end: float, delay: float) -> list[float]:
    """Send ``rate`` frames a second until ``end``; return how long each took to come back, in milliseconds."""
    took, due = [], time.perf_counter() + delay
    while (now := time.perf_counter()) < end:
        if now < due:
            await asyncio.sleep(due - now)
        due += 1 / rate
        started = time.perf_counter()
        await socket.send_str(FRAME)
        message = await socket.receive(30)
        if message.data != FRAME:
            raise BenchmarkError(f"a frame did not come back: {message}")
        took.append((time.perf_counter() - started) * 1000)
    return took


def memory(pid: int) -> float:
    """The resident memory of a process and its children, in MB."""
    total = 0
    for each in tree(pid):
        status = Path(f"/proc/{each}/status").read_text()
        total += int(status.split("VmRSS:")[1].split()[0]) if "VmRSS:" in status else 0
    return total / 1024


async def load(
    address: str, headers: dict[str, str], pid: int, idle: int, active: int, rate: float, seconds: float
) -> dict[str, object]:
    """Run ``active`` talking and ``idle`` silent sessions; return latencies and memory at the run's tenths."""
    async with sessions(address, headers, idle + active) as opened:
        end = time.perf_counter() + seconds
        talks = [
            asyncio.create_task(talk(socket, rate, end, number / rate / active))
            for number, socket in enumerate(opened[:active])
        ]
        grown = []
        for _ in range(10):
            await asyncio.sleep(seconds / 10)
            grown.append(round(memory(pid), 1))
        took = sorted(value for each in await asyncio.gather(*talks) for value in each)
    return {
        "sessions": idle + active,
        "messages_per_second": round(len(took) / seconds),
        "p50_ms": round(statistics.median(took), 3),
        "p99_ms": round(took[len(took) * 99 // 100], 3),
        "memory_mb": grown,
    }


async def measure(arguments: argparse.Namespace, home: Path) -> dict[str, object]:
    """Measure every way, one after the other."""
    server, loader = arguments.cores
    found: dict[str, object] = {}
    with upstream(home, loader) as port:
        direct = f"http://127.0.0.1:{port}/v1/realtime?model={MODEL}"
        with (
            through_nginx(home, server, port) as bare,
            through_gatehouse(home, server, port) as ours,
        ):
            ways = {"direct": (direct, {}, ours[2]), "nginx": bare, "gatehouse": ours}
            one: dict[str, list[dict[str, object]]] = {name: [] for name in ways}
            for _ in range(arguments.rounds):
                for name, way in ways.items():
                    one[name].append(await load(*way, 0, 1, 50, arguments.round_seconds))
            for name, rounds in one.items():
                found[f"one session, {name}"] = min(rounds, key=lambda each: float(str(each["p50_ms"])))
            for name in arguments.ways.split(","):
                found[f"many sessions, {name}"] = await load(
                    *ways[name], arguments.idle, arguments.active, arguments.rate, arguments.seconds
                )
    return found


def main() -> None:
    """Run the benchmark and print its report as JSON, a line per way."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sockets", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60, help="of the run with many sessions; 600 for a soak")
    parser.add_argument("--idle", type=int, default=500, help="silent sessions")
    parser.add_argument("--active", type=int, default=200, help="talking sessions")
    parser.add_argument("--rate", type=float, default=50, help="messages a second of a talking session")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of one session each way; the best counts")
    parser.add_argument("--round-seconds", type=float, default=5)
    parser.add_argument("--ways", default="nginx,gatehouse", help="with many sessions, of: direct, nginx, gatehouse")
    parser.add_argument("--cores", type=lambda text: tuple(map(int, text.split(","))), default=(0, 1))
    parser.add_argument("--echo", type=int, metavar="PORT", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.echo:
        serve_echo(arguments.echo)
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    uvloop.install()
    with tempfile.TemporaryDirectory(prefix="gatehouse-sockets-") as folder:
        for name, row in asyncio.run(measure(arguments, Path(folder))).items():
            print(json.dumps({"way": name, **dict(row)}))  # type: ignore[call-overload]  # rows are dicts


if __name__ == "__main__":
    main()
