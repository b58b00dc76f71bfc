"""Drive load with wrk, and judge what it reports."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.endpoint import Endpoint
from benchmarks.errors import BenchmarkError, VoidRun

SCRIPT = Path(__file__).with_name("wrk.lua")
# How long open requests may take to finish once no new ones are sent.
DRAIN_SECONDS = 60


@dataclass(frozen=True)
class Load:
    """How much: connections, seconds at most, and requests at most (0: no bound)."""

    connections: int
    seconds: float
    requests: int = 0


def run(endpoint: Endpoint, body: bytes, load: Load, content_type: str = "application/json") -> dict[str, Any]:
    """Drive ``load`` at ``endpoint`` and return :func:`judge`'s metrics; raise VoidRun if a call failed."""
    with tempfile.NamedTemporaryFile(prefix="gatehouse-bench-") as file:
        file.write(body)
        file.flush()
        argv = command(endpoint, load, file.name, content_type)
        limit = load.seconds + DRAIN_SECONDS + 30
        try:
            result = subprocess.run(argv, capture_output=True, text=True, timeout=limit, check=False)
        except subprocess.TimeoutExpired:
            raise VoidRun(f"wrk was not done after {limit:g} s") from None
    return judge(parse(result.stdout, result.stderr), load)


def command(endpoint: Endpoint, load: Load, body_file: str, content_type: str) -> list[str]:
    """Return wrk's command line. One thread: the load generator shares its core with the upstream."""
    named = {"content-type": content_type, **endpoint.headers}
    headers = [part for name, value in named.items() for part in ("-H", f"{name}: {value}")]
    bounds = [f"{load.seconds:g}", str(load.requests), str(load.connections), body_file]
    longest = int(load.seconds + DRAIN_SECONDS)
    wrk = shutil.which("wrk") or "wrk"
    return [
        *(
            wrk,
            "-t1",
            f"-c{load.connections}",
            f"-d{longest}s",
            f"--timeout={DRAIN_SECONDS}s",
            "-s",
            str(SCRIPT),
        ),
        *headers,
        endpoint.url,
        "--",
        *bounds,
    ]


def parse(output: str, errors: str) -> dict[str, Any]:
    """Return the JSON line that ``wrk.lua`` prints; raise BenchmarkError when there is none."""
    for line in reversed(output.splitlines()):
        if line.startswith("{"):
            return json.loads(line)
    raise BenchmarkError(f"wrk gave no result:\n{(errors or output).strip()[-2000:]}")


def judge(raw: dict[str, Any], load: Load) -> dict[str, Any]:
    """Turn wrk's report into metrics; raise VoidRun on any failed, lost or missing call.

    Returns ``completed`` (requests), ``rps`` (per second), ``p50_ms``, ``p90_ms``, ``p99_ms`` and ``max_ms``.
    """
    failed = {name: count for name, count in raw["errors"].items() if count}
    if failed:
        what = ", ".join(f"{count} {name}" for name, count in failed.items())
        raise VoidRun(f"{what} errors in {raw['completed']} requests")
    if raw["parked"] != load.connections or raw["sent"] != raw["completed"]:
        raise VoidRun(f"{raw['sent']} requests were sent and {raw['completed']} answered")
    times = {f"{name}_ms": raw[f"{name}_us"] / 1000 for name in ("p50", "p90", "p99", "max")}
    return {"completed": raw["completed"], "rps": raw["completed"] / raw["seconds"], **times}
