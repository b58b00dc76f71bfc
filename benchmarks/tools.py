"""What a benchmark needs from outside: Debian's nginx, wrk and node, and the peers' packages at pinned versions.

Packages land in ``benchmarks/.cache``, apart from the project's own environment, and are installed once per pin.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import BenchmarkError

HERE = Path(__file__).resolve().parent
CACHE = HERE / ".cache"
VENV = CACHE / "venv"
VENV_PYTHON = VENV / "bin" / "python"
NODE_FOLDER = CACHE / "node"
INSTALL_SECONDS = 1200
# Program -> Debian package.
ALWAYS = {"nginx": "nginx-light", "wrk": "wrk", "taskset": "util-linux"}
NODE = {"node": "nodejs", "npm": "npm"}


def need_programs(programs: dict[str, str]) -> None:
    """See that each program is on the path; install its Debian package as root, else raise BenchmarkError."""
    missing = sorted(package for program, package in programs.items() if not shutil.which(program))
    if not missing:
        return
    apt = shutil.which("apt-get")
    if os.geteuid() or not apt:
        raise BenchmarkError(f"Missing: {', '.join(missing)}. As root: apt-get install -y {' '.join(missing)}")
    _install([apt, "update", "-q"], CACHE)
    _install([apt, "install", "-q", "-y", "--no-install-recommends", *missing], CACHE)
    still = [program for program in programs if not shutil.which(program)]
    if still:
        raise BenchmarkError(f"Still missing after apt-get install: {', '.join(still)}")


def install_packages() -> None:
    """Put the packages of requirements.txt into a virtual environment of their own."""
    install_pins(VENV, HERE / "requirements.txt")


def install_pins(folder: Path, pins: Path) -> Path:
    """Make a virtual environment with the packages of ``pins``, hashes checked; return its Python."""
    python = folder / "bin" / "python"
    if _installed(folder, [pins]):
        return python
    shutil.rmtree(folder, ignore_errors=True)
    _install([sys.executable, "-m", "venv", str(folder)], CACHE)
    # The pins are complete. Left to resolve them again, older pips take the newest of a package with extras, and refuse
    # it.
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", str(pins)]
    _install(pip, CACHE)
    _mark(folder, [pins])
    return python


def package_version(name: str) -> str:
    """Return the version of an installed package."""
    code = f"from importlib.metadata import version; print(version({name!r}))"
    result = subprocess.run([str(VENV_PYTHON), "-c", code], capture_output=True, text=True, check=True)
    return result.stdout.strip()


def program(name: str) -> str:
    """Return the path of a program that an installed package brings."""
    return str(VENV_PYTHON.with_name(name))


def install_node_packages() -> None:
    """Put the packages of package-lock.json, checksums checked, into a folder of their own; run no script of theirs."""
    need_programs(NODE)
    pins = [HERE / name for name in ("package.json", "package-lock.json", ".npmrc")]
    if _installed(NODE_FOLDER, pins):
        return
    shutil.rmtree(NODE_FOLDER, ignore_errors=True)
    NODE_FOLDER.mkdir(parents=True)
    for pin in pins:
        shutil.copy(pin, NODE_FOLDER)
    npm = shutil.which("npm") or "npm"
    _install(
        [npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund", "--loglevel=error"],
        NODE_FOLDER,
    )
    _mark(NODE_FOLDER, pins)


def _install(argv: Sequence[str], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    print(f"benchmarks: {' '.join(argv)}", file=sys.stderr, flush=True)
    try:
        result = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"{argv[0]} was not done after {INSTALL_SECONDS} s") from None
    if result.returncode:
        raise BenchmarkError(f"{' '.join(argv)} failed:\n{(result.stderr + result.stdout)[-3000:]}")


def _digest(pins: Sequence[Path]) -> str:
    return hashlib.sha256(b"\0".join(pin.read_bytes() for pin in pins)).hexdigest()


def _installed(folder: Path, pins: Sequence[Path]) -> bool:
    mark = folder / ".installed"
    return mark.exists() and mark.read_text() == _digest(pins)


def _mark(folder: Path, pins: Sequence[Path]) -> None:
    (folder / ".installed").write_text(_digest(pins))
