"""The spool takes a record in one write, whole or not at all, and says what it could not take."""

import errno
import os
import resource
import subprocess
import sys
import textwrap
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.usage_factory import attempt
from usage import recovery, spool
from usage.records import AttemptRecord
from usage.spool import JOURNAL_NAME, LINE_LIMIT, Spool, segments


def records(folder: Path | None) -> list[AttemptRecord]:
    assert folder is not None
    return [
        msgspec.json.decode(line, type=AttemptRecord)
        for path in segments(folder)
        for batch in recovery.lines(path)
        for line in batch
    ]


def begun(folder: Path | None) -> list[str]:
    assert folder is not None
    batches = recovery.lines(folder / JOURNAL_NAME)
    return [msgspec.json.decode(line, type=AttemptRecord).attempt_id for batch in batches for line in batch]


def test_a_record_is_on_disk_when_append_returns(tmp_path: Path) -> None:
    mine, record = Spool(tmp_path), attempt()
    mine.begin(record)
    assert records(mine.folder) == []
    record.output_tokens = 99
    mine.append(record)
    assert records(mine.folder) == [record]
    assert (mine.pending, mine.running) == (1, 0)


def test_a_segment_that_is_closed_is_whole_and_the_next_is_open_at_once(tmp_path: Path) -> None:
    mine, first, second = Spool(tmp_path), attempt(), attempt()
    mine.append(first)
    rotated = mine.rotate()
    assert rotated is not None
    mine.append(second)
    path, since = rotated
    assert records(mine.folder) == [first, second]
    assert [msgspec.json.decode(line, type=AttemptRecord) for batch in recovery.lines(path) for line in batch] == [
        first
    ]
    assert since > 0
    assert mine.pending == 2
    mine.settle(1)
    assert mine.pending == 1


def test_an_empty_segment_is_not_rotated(tmp_path: Path) -> None:
    assert Spool(tmp_path).rotate() is None


def test_many_threads_may_append(tmp_path: Path) -> None:
    mine = Spool(tmp_path)
    written: list[list[AttemptRecord]] = [[attempt() for _ in range(200)] for _ in range(8)]

    def write(batch: list[AttemptRecord]) -> None:
        for record in batch:
            mine.begin(record)
            mine.append(record)

    threads = [threading.Thread(target=write, args=(batch,)) for batch in written]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        mine.rotate()
    for thread in threads:
        thread.join()
    expected = {record.attempt_id for batch in written for record in batch}
    found = [record.attempt_id for record in records(mine.folder)]
    assert len(found) == 1600
    assert set(found) == expected
    assert (mine.pending, mine.running, mine.dropped) == (1600, 0, 0)


def test_the_journal_stays_small_and_keeps_the_running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "JOURNAL_LIMIT", 4096)
    mine, running = Spool(tmp_path), attempt()
    mine.begin(running)
    for _ in range(500):
        record = attempt()
        mine.begin(record)
        mine.append(record)
    assert mine.folder is not None
    assert (mine.folder / JOURNAL_NAME).stat().st_size < 6000
    assert running.attempt_id in begun(mine.folder)


def test_a_journal_of_long_running_calls_is_not_rewritten_at_every_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "JOURNAL_LIMIT", 4096)
    mine = Spool(tmp_path)
    count = 0
    real = mine._compact

    def compact() -> None:
        nonlocal count
        count += 1
        real()

    monkeypatch.setattr(mine, "_compact", compact)
    for _ in range(400):
        mine.begin(attempt())
    assert count < 10
    assert len(begun(mine.folder)) == 400


class Disk:
    """Stands between the spool and ``os.write``: full after ``room`` bytes, as ENOSPC after a partial write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self.real = os.write
        monkeypatch.setattr(spool.os, "write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self.real(descriptor, data[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize("room", [0, 1, 300, 500, 800])
def test_a_full_disk_leaves_whole_lines_and_the_rest_waits_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    mine, written = Spool(tmp_path, memory_limit=3), [attempt() for _ in range(5)]
    with monkeypatch.context() as patch:
        Disk(patch, room)
        for record in written:
            mine.append(record)
        on_disk = records(mine.folder)
        assert on_disk == written[: len(on_disk)]
        assert mine.in_memory == min(3, 5 - len(on_disk))
        assert mine.dropped == 5 - len(on_disk) - mine.in_memory
        assert mine.disk_error == "ENOSPC"
        assert mine.failed_writes > 0
    waiting = mine.take_memory()
    assert [msgspec.json.decode(line, type=AttemptRecord) for line in waiting] == written[len(on_disk) :][:3]
    mine.append(attempt())
    assert mine.disk_error == ""
    assert len(records(mine.folder)) == len(on_disk) + 1


def test_a_disk_that_takes_half_a_line_and_gives_nothing_back_spoils_no_other_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, written = Spool(tmp_path), [attempt() for _ in range(3)]
    mine.append(written[0])
    with monkeypatch.context() as patch:
        Disk(patch, 100)
        patch.setattr(spool.os, "ftruncate", _fail)
        mine.append(written[1])
        mine.begin(attempt())
    assert mine.rotate() is not None
    mine.append(written[2])
    assert records(mine.folder) == [written[0], written[2]]
    assert [msgspec.json.decode(line, type=AttemptRecord) for line in mine.take_memory()] == [written[1]]


def _fail(*args: Any) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_memory_that_comes_back_is_bounded_and_counted(tmp_path: Path) -> None:
    mine = Spool(tmp_path, memory_limit=2)
    mine.give_back([b"1\n", b"2\n", b"3\n"])
    assert (mine.take_memory(), mine.dropped) == ([b"1\n", b"2\n"], 1)


def test_beyond_the_limit_on_disk_records_are_dropped_and_counted(tmp_path: Path) -> None:
    mine = Spool(tmp_path, limit_bytes=2000)
    for _ in range(20):
        mine.append(attempt())
    kept = len(records(mine.folder))
    assert 1 < kept < 10
    assert mine.dropped == 20 - kept
    mine.rotate()
    mine.hold(2000)
    mine.append(attempt())
    mine.append(attempt())
    assert mine.dropped == 20 - kept + 1
    mine.hold(0)
    mine.append(attempt())
    assert len(records(mine.folder)) == kept + 2


def test_a_real_limit_of_the_kernel_is_survived(tmp_path: Path) -> None:
    """RLIMIT_FSIZE makes the kernel cut a write short and then refuse, as a full disk does."""
    code = """
        import resource, sys
        from pathlib import Path
        from tests.support.usage_factory import attempt
        from usage.spool import Spool
        mine = Spool(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
        for number in range(10):
            record = attempt(attempt_number=number)
            mine.begin(record)
            mine.append(record)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(mine.in_memory, mine.dropped, mine.disk_error, mine.running)
        mine.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], capture_output=True, text=True, check=True
    )
    in_memory, dropped, error, running = done.stdout.split()
    assert (int(dropped), error, int(running)) == (0, "ENOSPC", 0)
    assert int(in_memory) >= 6
    (folder,) = recovery.folders(tmp_path)
    assert [record.attempt_number for record in records(folder)] == list(range(10))
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_start_on_a_disk_that_takes_nothing_fails_no_call(tmp_path: Path) -> None:
    blocked = tmp_path / "spool"
    blocked.write_text("a file where the folder should be")
    mine, record = Spool(blocked), attempt()
    mine.begin(record)
    mine.append(record)
    assert (mine.in_memory, mine.disk_error) == (1, "ENOTDIR")
    blocked.unlink()
    mine.rotate()
    mine.append(attempt())
    assert len(records(mine.folder)) == 1
    assert mine.pending == 2


def test_a_folder_removed_under_the_process_is_noticed_and_made_anew(tmp_path: Path) -> None:
    mine, running = Spool(tmp_path), attempt()
    mine.begin(running)
    mine.append(attempt())
    assert mine.folder is not None
    gone = mine.folder
    spool.remove_folder(gone)
    mine.rotate()
    assert (mine.dropped, mine.pending) == (1, 0)
    assert mine.folder != gone
    assert begun(mine.folder) == [running.attempt_id]
    mine.append(attempt())
    assert len(records(mine.folder)) == 1


def test_hostile_texts_neither_fail_nor_fill_the_spool(tmp_path: Path) -> None:
    mine = Spool(tmp_path)
    for model in ("\ud800 lone surrogate", "x" * 10_000_000, 'new\nline " and \x00'):
        record = attempt(model_asked=model, metadata={"k" * 9000: "v" * 9000, **{str(i): "x" for i in range(1000)}})
        mine.begin(record)
        mine.append(record)
    assert len(records(mine.folder)) == 3
    assert mine.folder is not None
    assert sum(path.stat().st_size for path in segments(mine.folder)) < 3 * LINE_LIMIT


def test_a_forked_child_has_a_folder_of_its_own(tmp_path: Path) -> None:
    mine, before, ours, theirs = Spool(tmp_path), attempt(), attempt(), attempt()
    mine.append(before)
    child = os.fork()
    if child == 0:  # only what the test is about, then out, without pytest's own end
        mine.begin(theirs)
        mine.append(theirs)
        os._exit(0 if mine.folder is not None and records(mine.folder) == [theirs] else 1)
    assert os.waitpid(child, 0)[1] == 0
    mine.append(ours)
    assert records(mine.folder) == [before, ours]
    others = [folder for folder in recovery.folders(tmp_path) if folder != mine.folder]
    assert [records(folder) for folder in others] == [[theirs]]
    with recovery.claimed(others[0]) as dead:
        assert dead
    assert mine.folder is not None
    with recovery.claimed(mine.folder) as dead:
        assert not dead


def test_close_removes_an_empty_folder_and_keeps_a_full_one(tmp_path: Path) -> None:
    Spool(tmp_path).close()
    assert recovery.folders(tmp_path) == []
    mine = Spool(tmp_path)
    mine.append(attempt())
    mine.close()
    mine.close()
    assert recovery.pending(tmp_path) == 1


def test_a_record_after_close_is_not_lost(tmp_path: Path) -> None:
    mine = Spool(tmp_path)
    mine.close()
    mine.append(attempt())
    assert recovery.pending(tmp_path) == 1


def test_a_record_of_an_older_version_is_read() -> None:
    first = msgspec.json.encode(["id", "request", 5, "user"])
    assert msgspec.json.decode(first, type=AttemptRecord) == AttemptRecord(
        attempt_id="id", request_id="request", started_at=5, subject_type="user"
    )
    newer = msgspec.json.decode(msgspec.json.encode(attempt()))
    assert msgspec.json.decode(msgspec.json.encode([*newer, "a later field"]), type=AttemptRecord) == msgspec.convert(
        newer, AttemptRecord
    )
