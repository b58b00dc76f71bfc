"""The spool takes a record whole or not at all, and says what it could not take."""

import errno
import mmap
import os
import random
import resource
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import msgspec
import pytest

from tests.support.usage_factory import attempt
from usage import recovery, spool, spool_file
from usage.journal import SLOT
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
    batches = recovery.interrupted(folder)
    return [msgspec.json.decode(line, type=AttemptRecord).attempt_id for batch in batches for line in batch]


@pytest.fixture(params=["mapped", "written"], autouse=True)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test here holds for mapped files and for those that are written."""
    monkeypatch.setattr(spool, "can_map", lambda directory: request.param == "mapped")
    return str(request.param)


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


def test_the_journal_stays_small_and_has_the_running_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_file, "CHUNK", 4096)
    mine, running = Spool(tmp_path), attempt()
    mine.begin(running)
    for _ in range(500):
        record = attempt()
        mine.begin(record)
        mine.append(record)
    assert mine.folder is not None
    assert (mine.folder / JOURNAL_NAME).stat().st_size <= 4096
    assert begun(mine.folder) == [running.attempt_id]


def test_the_journal_has_many_at_once_long_ones_and_short_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_file, "CHUNK", 4096)
    mine, chance = Spool(tmp_path), random.Random(7)
    running: dict[str, AttemptRecord] = {}
    for _ in range(400):
        record = attempt(metadata={"note": "x" * chance.choice([0, 300, 1000, 5000])})
        running[record.attempt_id] = record
        mine.begin(record)
        if len(running) > 40:
            mine.append(running.pop(chance.choice(list(running))))
    assert sorted(begun(mine.folder)) == sorted(running)
    assert mine.folder is not None
    found = [
        msgspec.json.decode(line, type=AttemptRecord) for batch in recovery.interrupted(mine.folder) for line in batch
    ]
    assert {record.attempt_id: record.metadata for record in found} == {
        key: record.metadata for key, record in running.items()
    }


def test_a_journal_with_a_slot_that_was_half_written_has_all_others(tmp_path: Path) -> None:
    mine, first, last = Spool(tmp_path), attempt(), attempt()
    for record in (first, attempt(metadata={"note": "x" * 3000}), last):
        mine.begin(record)
    assert mine.folder is not None
    with (mine.folder / JOURNAL_NAME).open("r+b") as file:
        file.seek(2 * SLOT)
        file.write(b"\0")
    assert begun(mine.folder) == [first.attempt_id, last.attempt_id]


def test_what_an_older_release_wrote_is_read(tmp_path: Path) -> None:
    mine, ended, cut = Spool(tmp_path), attempt(), attempt()
    assert mine.folder is not None
    lines = [msgspec.json.encode(record) + b"\n" for record in (ended, cut)]
    (mine.folder / "journal").write_bytes(b"".join(lines) + b'["cut off')
    (mine.folder / "0000000007.segment").write_bytes(lines[0])
    assert records(mine.folder) == [ended]
    assert begun(mine.folder) == [ended.attempt_id, cut.attempt_id]


class Disk:
    """Is between the spool and the disk: full after ``room`` bytes, as ENOSPC after a partial write.

    Mapped files get their blocks there, written ones their bytes.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room = room
        self.real = os.pwrite
        self.allocate = os.posix_fallocate
        monkeypatch.setattr(spool_file.os, "pwrite", self.write)
        monkeypatch.setattr(spool_file.os, "posix_fallocate", self.reserve)

    def write(self, descriptor: int, data: bytes, position: int) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = self.real(descriptor, data[: self.room], position)
        self.room -= written
        return written

    def reserve(self, descriptor: int, start: int, size: int) -> None:
        taken = min(size, self.room)
        if taken > 0:
            self.allocate(descriptor, start, taken)  # a full disk gives what it has, and refuses all the same
        self.room -= taken
        if taken < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("room", [0, 1, 300, 500, 800, 2000])
def test_a_full_disk_leaves_whole_lines_and_the_rest_waits_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    monkeypatch.setattr(spool_file, "CHUNK", mmap.PAGESIZE)
    mine, written = Spool(tmp_path, memory_limit=3), [attempt() for _ in range(15)]
    with monkeypatch.context() as patch:
        Disk(patch, room)
        for record in written:
            mine.append(record)
        on_disk = records(mine.folder)
        assert on_disk == written[: len(on_disk)]
        assert len(on_disk) < 12
        assert mine.in_memory == 3
        assert mine.dropped == 15 - len(on_disk) - mine.in_memory
        assert mine.disk_error == "ENOSPC"
        assert mine.failed_writes > 0
    waiting = mine.take_memory()
    assert [msgspec.json.decode(line, type=AttemptRecord) for line in waiting] == written[len(on_disk) :][:3]
    mine.append(attempt())
    assert mine.disk_error == ""
    assert len(records(mine.folder)) == len(on_disk) + 1


def test_a_full_disk_that_keeps_half_a_line_spoils_no_other_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_file, "CHUNK", mmap.PAGESIZE)
    mine, written = Spool(tmp_path), [attempt() for _ in range(12)]
    for record in written[:6]:
        mine.append(record)
    with monkeypatch.context() as patch:
        Disk(patch, 100)
        for record in written[6:]:
            mine.append(record)
        mine.begin(attempt())
    missing = [msgspec.json.decode(line, type=AttemptRecord) for line in mine.take_memory()]
    assert missing
    assert records(mine.folder) + missing == written
    assert mine.rotate() is not None
    last = attempt()
    mine.append(last)
    assert [*records(mine.folder)] == [*written[: 12 - len(missing)], last]


def test_a_begun_attempt_that_the_journal_did_not_take_is_in_it_once_the_disk_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, running = Spool(tmp_path), attempt()
    with monkeypatch.context() as patch:
        Disk(patch, 0)
        mine.begin(running)
    assert begun(mine.folder) == []
    mine.rotate()
    assert begun(mine.folder) == [running.attempt_id]


def test_what_waits_in_memory_leaves_what_it_began_with_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_file, "CHUNK", mmap.PAGESIZE)
    mine, record = Spool(tmp_path), attempt()
    mine.begin(record)
    with monkeypatch.context() as patch:
        Disk(patch, 0)
        mine.rotate()
        while not mine.in_memory:
            mine.append(attempt())
        mine.append(record)
    assert mine.in_memory == 2
    assert begun(mine.folder) == [record.attempt_id]


def test_room_for_more_is_no_record_and_counts_as_no_bytes(tmp_path: Path) -> None:
    mine = Spool(tmp_path)
    assert mine.folder is not None
    assert (segments(mine.folder), recovery.held_bytes(tmp_path)) == ([], 0)
    mine.append(attempt())
    (path,) = segments(mine.folder)
    used = path.read_bytes().rstrip(b"\0")
    assert recovery.held_bytes(tmp_path) == len(used)
    mine.rotate()
    assert path.read_bytes() == used


@pytest.mark.parametrize(
    ("mount", "expected"),
    [("ext4", True), ("xfs", True), ("tmpfs", True), ("btrfs", False), ("zfs", False), ("overlay", False), ("", False)],
)
def test_files_are_mapped_where_an_allocated_block_is_written_in_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mount: str, expected: bool
) -> None:
    device = tmp_path.stat().st_dev
    line = f"27 1 {os.major(device)}:{os.minor(device)} / / rw,relatime shared:1 - {mount} /dev/x rw\n"
    (tmp_path / "mounts").write_text("22 27 0:9999 / /proc rw - proc proc rw\n" + (line if mount else ""))
    monkeypatch.setattr(spool_file, "MOUNTS", tmp_path / "mounts")
    assert spool_file.can_map(tmp_path) is expected


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


def test_a_real_limit_of_the_kernel_is_survived(tmp_path: Path, kind: str) -> None:
    """RLIMIT_FSIZE makes the kernel refuse blocks, and cut a write short and then refuse, as a full disk does."""
    code = """
        import resource, sys
        from pathlib import Path
        from tests.support.usage_factory import attempt
        from usage import spool, spool_file
        spool.can_map = lambda directory: sys.argv[2] == "mapped"
        spool_file.CHUNK = 4096
        mine = spool.Spool(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (1500, resource.RLIM_INFINITY))
        for number in range(20):
            record = attempt(attempt_number=number)
            mine.begin(record)
            mine.append(record)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print(mine.in_memory, mine.dropped, mine.disk_error, mine.running)
        mine.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), kind], capture_output=True, text=True, check=True
    )
    in_memory, dropped, error, running = done.stdout.split()
    assert (int(dropped), error, int(running)) == (0, {"mapped": "EFBIG", "written": "ENOSPC"}[kind], 0)
    assert int(in_memory) >= 6
    (folder,) = recovery.folders(tmp_path)
    assert [record.attempt_number for record in records(folder)] == list(range(20))
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
    assert recovery.held_bytes(tmp_path) < 3 * LINE_LIMIT


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
