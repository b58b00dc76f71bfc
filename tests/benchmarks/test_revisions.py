"""An earlier commit that is measured beside the present one."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import revisions, tools
from benchmarks.errors import BenchmarkError


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Return a repository whose second commit has another lock, and whose third only other code."""
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for lock, code in (("old", "1"), ("new", "2"), ("new", "3")):
        (folder / revisions.LOCK).write_text(lock)
        (folder / "manage.py").write_text(code)
        git(folder, "add", ".")
        git(folder, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", code)
    return folder


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def test_a_commit_is_unpacked_once_and_runs_with_our_packages_where_the_locks_are_the_same(
    repository: Path, tmp_path: Path
) -> None:
    commit = revisions.resolve("HEAD~1", repository)
    found = revisions.source(commit, repository, tmp_path / "cache")
    assert ((found.root / "manage.py").read_text(), found.python) == ("2", sys.executable)
    (found.root / "kept").touch()
    assert revisions.source(commit, repository, tmp_path / "cache") == found
    assert (found.root / "kept").exists()


def test_a_commit_with_another_lock_gets_an_environment_from_it(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[tuple[str, str]] = []

    def install(folder: Path, pins: Path) -> Path:
        installed.append((folder.name, pins.read_text()))
        return folder / "bin" / "python"

    monkeypatch.setattr(tools, "install_pins", install)
    found = revisions.source(revisions.resolve("HEAD~2", repository), repository, tmp_path / "cache")
    ((name, lock),) = installed
    assert lock == "old"
    assert found.python == str(tmp_path / "cache" / name / "bin" / "python")


@pytest.mark.parametrize("name", ["no-such-thing", "--all", ""])
def test_a_name_without_a_commit_is_refused(repository: Path, name: str) -> None:
    with pytest.raises(BenchmarkError, match=r"the commit .* does not exist"):
        revisions.resolve(name, repository)
