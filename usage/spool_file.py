"""A file of the spool that is written without a system call: mapped into memory, its blocks allocated beforehand.

What is stored in a shared mapping is in the page cache, so it survives the death of the process like a write does, and
the interpreter is not handed to another thread in between. ``posix_fallocate`` makes a full disk an error when the file
grows; a store into a file without blocks would kill the process (SIGBUS). Some file systems need new blocks even to
write an allocated one again (those that copy on write, like btrfs and zfs, and whatever may lie under overlay or a
network): there the same bytes are written with ``pwrite``.
"""

import errno
import mmap
import os
from contextlib import suppress
from pathlib import Path

CHUNK = 1 << 20
"""Bytes that a mapped file grows by."""
MAPPED_TYPES = frozenset({"ext2", "ext3", "ext4", "xfs", "tmpfs"})
"""File systems that write an allocated block in its place."""
MOUNTS = Path("/proc/self/mountinfo")
NEWLINE = 10
BLOCK = 1 << 16


class SpoolFile:
    """A new file at ``path``. Methods raise ``OSError`` when the disk takes no more; then nothing counts as written."""

    def __init__(self, path: Path, *, mapped: bool) -> None:
        self.path = path
        self.size = 0
        """Bytes allocated; a file that is not mapped grows by itself."""
        self._mapped = mapped
        self._map: mmap.mmap | None = None
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)

    def reserve(self, size: int) -> None:
        """Have room for ``size`` bytes."""
        if not self._mapped or size <= self.size:
            return
        grown = -(-size // CHUNK) * CHUNK
        os.posix_fallocate(self._descriptor, self.size, grown - self.size)
        if self._map is None:
            self._map = mmap.mmap(self._descriptor, grown)
        else:
            self._map.resize(grown)
        self.size = grown

    def append(self, position: int, line: bytes) -> None:
        """Write ``line`` where the last one ended. Its newline comes last: without it, the line was never written."""
        end = position + len(line)
        if end > self.size:
            self.reserve(end)
        if self._map is None:
            self._write(position, line)
            return
        self._map[position : end - 1] = line[:-1]
        self._map[end - 1] = NEWLINE

    def place(self, position: int, data: bytes) -> None:
        """Write ``data`` over what was there. Its first byte is zero meanwhile: readers pass over it then."""
        end = position + len(data)
        if end > self.size:
            self.reserve(end)
        if self._map is None:
            self._write(position, data)  # within a page, which a killed process has written or not
            return
        self._map[position] = 0
        self._map[position + 1 : end] = data[1:]
        self._map[position] = data[0]

    def clear(self, position: int) -> None:
        """Make readers pass over what was placed at ``position``."""
        if self._map is None:
            self._write(position, b"\0")
        else:
            self._map[position] = 0

    def close(self, keep: int | None = None) -> None:
        """Let go of the file, cut to ``keep`` bytes when given.

        A forked child must not cut what its parent writes to.
        """
        if self._map is not None:
            self._map.close()
        if keep is not None and self._mapped:
            with suppress(OSError):  # the rest is zeros, which readers pass over
                os.ftruncate(self._descriptor, keep)
        os.close(self._descriptor)

    def _write(self, position: int, data: bytes) -> None:
        if os.pwrite(self._descriptor, data, position) != len(data):
            raise OSError(errno.ENOSPC, "short write")


def can_map(directory: Path) -> bool:
    """Whether files in ``directory`` may be mapped: its file system is known to write allocated blocks in their
    place.
    """
    try:
        device = directory.stat().st_dev
        mounts = MOUNTS.read_text(errors="replace").splitlines()
    except OSError:
        return False
    name = f"{os.major(device)}:{os.minor(device)}"
    for mount in mounts:
        fields = mount.split(" ")
        if fields[2] == name:
            return fields[fields.index("-") + 1] in MAPPED_TYPES
    return False


def filled(path: Path) -> int:
    """Return how many bytes of a file come before the zeros at its end."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - BLOCK)
            file.seek(start)
            kept = len(file.read(end - start).rstrip(b"\0"))
            if kept:
                return start + kept
            end = start
    return 0
