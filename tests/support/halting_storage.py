"""A place for files that halts in the middle of one, so that a test can kill the process that writes it."""

import time
from pathlib import Path
from typing import Any

from django.core.files.storage import FileSystemStorage

LONGEST_HALT_SECONDS = 60


class HaltingStorage(FileSystemStorage):
    """A folder. While the file ``gate`` is there, saving a content that has its text ends half-way and waits.

    What is being written is named in the file ``gate`` + ``.reached``.
    """

    def __init__(self, gate: str = "", **options: Any) -> None:
        super().__init__(**options)
        self._gate = Path(gate)

    def _save(self, name: str, content: Any) -> str:
        if self._gate.is_file():
            text = content.read()
            content.seek(0)
            if self._gate.read_bytes() in text:
                self._halt(Path(self.path(name)), text)
        return str(super()._save(name, content))  # type: ignore[misc]  # every storage has it

    def _halt(self, path: Path, text: bytes) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text[: len(text) // 2])
        self._gate.with_suffix(".reached").write_text(path.name)
        deadline = time.monotonic() + LONGEST_HALT_SECONDS
        while self._gate.is_file() and time.monotonic() < deadline:
            time.sleep(0.02)
        path.unlink()


class Gate:
    """A test's hand on the gate of a :class:`HaltingStorage`."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "gate"
        self._reached = folder / "gate.reached"

    def shut(self, text: str) -> None:
        """Let every file that has ``text`` halt from now on."""
        self._reached.unlink(missing_ok=True)
        draft = self._file.with_suffix(".draft")
        draft.write_text(text)
        draft.rename(self._file)  # the process that waits at the gate goes on waiting

    def reached(self) -> str:
        """Return the name of the half-written file, empty as long as there is none."""
        return self._reached.read_text() if self._reached.exists() else ""

    def open(self) -> None:
        """Let everything pass."""
        self._file.unlink()
