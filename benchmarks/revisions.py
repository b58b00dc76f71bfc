"""Another revision of Gatehouse, to be measured beside this one: its files and an environment that fits its lock."""

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks import tools
from benchmarks.errors import BenchmarkError

ROOT = tools.HERE.parent
FOLDER = tools.CACHE / "against"
LOCK = "requirements.lock"


@dataclass(frozen=True)
class Source:
    """A Gatehouse to run: the folder of its files, and the Python whose packages it needs."""

    root: Path
    python: str


HERE = Source(ROOT, sys.executable)


def resolve(revision: str, repository: Path = ROOT) -> str:
    """Return the full commit id that ``revision`` names; raise BenchmarkError when it names none."""
    name = f"{revision}^{{commit}}"
    result = git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", name)
    if result.returncode:
        raise BenchmarkError(f"--against: the commit {revision!r} does not exist here.")
    return result.stdout.decode().strip()


def source(commit: str, repository: Path = ROOT, folder: Path = FOLDER) -> Source:
    """Return ``commit``'s files below ``folder``, unpacked once, and the Python to run them with.

    That is ours where both locks say the same, else one with the packages of that commit's lock, hashes checked.
    """
    root = folder / commit
    if not root.exists():
        _unpack(commit, repository, root)
    lock = root / LOCK
    if lock.read_bytes() == (repository / LOCK).read_bytes():
        return Source(root, sys.executable)
    environment = folder / f"venv-{hashlib.sha256(lock.read_bytes()).hexdigest()[:16]}"
    return Source(root, str(tools.install_pins(environment, lock)))


def _unpack(commit: str, repository: Path, root: Path) -> None:
    result = git(repository, "archive", "--format=tar", commit)
    if result.returncode:
        raise BenchmarkError(f"git archive {commit} failed: {result.stderr.decode(errors='replace').strip()}")
    draft = root.with_name(f"{root.name}.draft")
    shutil.rmtree(draft, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(result.stdout)) as archive:
        archive.extractall(draft, filter="data")
    draft.rename(root)


def git(repository: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run git in ``repository``."""
    return subprocess.run(["git", *arguments], cwd=repository, capture_output=True, check=False)
