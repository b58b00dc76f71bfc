"""Where a benchmark ran and with which versions."""

import os
import platform
import shutil
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.servers import Server

# A load above this before the run means that others use the cores too.
QUIET_LOAD = 0.5


def facts() -> dict[str, str]:
    """Return what there is to know of the machine, as label -> text."""
    load = os.getloadavg()[0]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "processor": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{_memory_gib():.0f} GiB",
        "system": f"{_system()}, Linux {platform.release().split('-')[0]}",
        "load before": f"{load:.2f}" + ("" if load <= QUIET_LOAD else " (NOT quiet: others used the cores)"),
    }


def versions(servers: Sequence[Server]) -> dict[str, str]:
    """Return the versions of the servers and of what they run on, as name -> version."""
    found = {server.key: server.version() for server in servers}
    found["python"] = platform.python_version()
    if "portkey" in found and shutil.which("node"):
        found["node"] = _first_line("node", "--version").lstrip("v")
    found["wrk"] = _first_line("wrk", "-v").split(" ")[1].split("/")[-1]
    return {name: version for name, version in found.items() if version}


def _first_line(*argv: str) -> str:
    result = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    return (result.stdout or result.stderr).splitlines()[0]


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _system() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    except OSError:
        return "Linux"
