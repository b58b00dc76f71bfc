"""What large bodies cost the others: ``python -m benchmarks.large_bodies [--root FOLDER]``.

Chats of 24 MB, an image in each, from several processes; meanwhile ``/healthz`` is asked each 5 ms. It says how long
that took to answer, and the most memory that was resident. A body that is refused because enough is in flight is sent
again.
"""

import argparse
import http.client
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks import revisions, tools
from benchmarks.endpoint import CHAT, MODEL, Endpoint
from benchmarks.payloads import MEGABYTE, chat_body
from benchmarks.processes import forget_peak, peak_bytes
from benchmarks.servers import gatehouse
from benchmarks.servers.base import Host
from benchmarks.upstream import INSTANT, upstreams

BYTES = 24 * MEGABYTE
PROBE_SECONDS = 0.005
LONG_MS = 100
TRY_AGAIN_SECONDS = 0.05
REFUSED = frozenset({429, 503})
# Title -> how many callers send how many bodies each, one after the other.
LOADS: dict[str, tuple[int, int]] = {
    "no body": (0, 0),
    "1 caller": (1, 40),
    "4 callers": (4, 20),
    "40 at once": (40, 1),
}
COLUMNS = ("load", "bodies", "s", "/healthz p50 ms", "p99", "max", "over 100 ms", "most resident MiB")
SETTINGS = {"GATEHOUSE_MAX_BYTES_PER_CALLER_MB": "512"}  # all callers are one user here


def send(endpoint: Endpoint, count: int) -> None:
    """Send ``count`` bodies, one after the other."""
    url, body = urlsplit(endpoint.url), chat_body(endpoint.model, image_bytes=BYTES)
    headers = {**endpoint.headers, "content-type": "application/json"}
    for _ in range(count):
        status = 0
        while status != 200:
            connection = http.client.HTTPConnection(url.netloc, timeout=120)
            try:
                connection.request("POST", url.path, body, headers)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            except (BrokenPipeError, ConnectionResetError):
                status = 503  # it was refused before all of it was sent
            finally:
                connection.close()
            if status in REFUSED:
                time.sleep(TRY_AGAIN_SECONDS)
            elif status != 200:
                sys.exit(f"the server answered {status}")


def probe(netloc: str, ends: Callable[[], bool]) -> list[float]:
    """Ask ``/healthz`` until the load ``ends``; return how long each answer took, in milliseconds."""
    connection = http.client.HTTPConnection(netloc, timeout=120)
    found = []
    while not ends():
        began = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        found.append((time.perf_counter() - began) * 1e3)
        time.sleep(PROBE_SECONDS)
    connection.close()
    return found


def measure(endpoint: Endpoint, pid: int, callers: int, count: int) -> str:
    """Run one load; return its row."""
    forget_peak(pid)
    began = time.monotonic()
    spawned = multiprocessing.get_context("spawn")
    processes = [spawned.Process(target=send, args=(endpoint, count)) for _ in range(callers)]
    for process in processes:
        process.start()
    until = began + (0 if processes else 5)
    took = probe(
        urlsplit(endpoint.url).netloc,
        lambda: time.monotonic() > until and not any(process.is_alive() for process in processes),
    )
    long = sum(each > LONG_MS for each in took)
    share = f"{long / len(took):.2%}"
    p99 = statistics.quantiles(took, n=100)[98]
    seconds = time.monotonic() - began
    figures = [statistics.median(took), p99, max(took)]
    shown = " | ".join(f"{each:.1f}" for each in figures)
    return f"{callers * count} | {seconds:.0f} | {shown} | {long} ({share}) | {peak_bytes(pid) / MEGABYTE:,.0f}"


def main() -> int:
    """Run the command and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.large_bodies", description=__doc__)
    parser.add_argument("--root", type=Path, help="the checked out Gatehouse that is measured, if not this one")
    root = parser.parse_args().root
    source = revisions.HERE if root is None else revisions.Source(root, revisions.HERE.python)
    tools.need_programs(tools.ALWAYS)
    os.sched_setaffinity(0, {1})
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS))
    with tempfile.TemporaryDirectory(prefix="gatehouse-bench-") as folder, upstreams(1, Path(folder)) as behind:
        home = Path(folder) / "gatehouse"
        home.mkdir()
        with gatehouse.start(Host((0,), home, behind, 1), source, settings=SETTINGS) as server:
            assert server.pid
            endpoint = server.endpoint(CHAT, INSTANT, MODEL)
            for title, (callers, count) in LOADS.items():
                print(f"| {title} | {measure(endpoint, server.pid, callers, count)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
