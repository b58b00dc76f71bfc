"""Packages of npm's for tests, kept beside the Python environment: installed once, without running their scripts."""

import fcntl
import shutil
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path

UNREACHABLE = "registry-unreachable"


@cache
def node_with(package: str) -> tuple[str, Path] | None:
    """Return node and the folder of modules that has ``package`` (``name@version``).

    ``None`` where there is no node, or the registry is away.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    home = Path(sys.prefix) / "node-packages" / package.replace("/", "-")
    home.mkdir(parents=True, exist_ok=True)
    options = ["--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(home)]
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (home / UNREACHABLE).exists():
            return None
        if not (home / "node_modules" / package.rpartition("@")[0]).exists():
            try:
                subprocess.run([npm, "install", *options, package], check=True, timeout=60)
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
                (home / UNREACHABLE).touch()
                warnings.warn(f"npm did not bring {package}: what it is compared with is left out.", stacklevel=2)
                return None
    return node, home / "node_modules"
