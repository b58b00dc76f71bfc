"""What operators do beside starting and stopping: drain, kill a parent, listen on both families, pipe a command's
output.
"""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.gateway.server.test_start_and_stop import children, refuses
from tests.support import servers
from tests.support.calls import CHAT_PATH, chat
from tests.support.fixtures import USER, InstallationMaker, seed
from tests.support.installation import ROOT, Installation, environment
from tests.support.open_stream import OpenStream
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import free_port, wait_until
from tests.support.usage_factory import attempt
from usage.spool import Spool

SLOW = "hi [[sandbox: tokens=30 token-delay=100]]"


def test_a_drain_makes_the_server_unready_and_serves_on(make_installation: InstallationMaker) -> None:
    installation = make_installation()
    gateway = installation.gateway()
    token = gateway.token("t", user=USER)
    assert installation.command("drain").returncode == 0
    drained = gateway.http.get(f"{gateway.origin}/readyz")
    assert (drained.status_code, drained.json()["status"]) == (503, "draining")
    assert gateway.http.get(f"{gateway.origin}/healthz").status_code == 200
    assert gateway.post(token, CHAT_PATH, chat()).status_code == 200
    assert installation.command("drain", "--off").returncode == 0
    assert gateway.http.get(f"{gateway.origin}/readyz").status_code == 200
    assert installation.command("drain", "--wait", "0.1").returncode == 0
    gateway.stop()
    later = installation.gateway()  # waits until it is ready
    assert later.http.get(f"{later.origin}/readyz").json()["status"] == "ok"


def test_workers_close_the_port_at_once_and_end_with_their_parent(make_installation: InstallationMaker) -> None:
    installation = make_installation({"REDIS_URL": servers.redis_url()})
    token = installation.do("token", "t", user=USER)
    gateway = installation.gateway("--workers", "2")
    wait_until(lambda: len(children(gateway.process.pid)) == 2)
    wait_until(lambda: f"Gatehouse listens on {gateway.origin}" in gateway.log)
    with OpenStream(gateway, token, SLOW) as stream:
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(gateway), 3)
        assert gateway.process.poll() is None
        assert not stream.ended_at, "the port closes while the stream goes on"
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{gateway.origin}/healthz", trust_env=False, timeout=1)
        stream.wait()
    assert stream.fault is None
    gateway.process.wait(15)

    killed = installation.gateway("--workers", "2")
    wait_until(lambda: len(children(killed.process.pid)) == 2)
    workers = children(killed.process.pid)
    with OpenStream(killed, token, SLOW) as stream:
        killed.kill()
        wait_until(lambda: refuses(killed), 3)
        stream.wait()
    assert stream.fault is None, "what was open is finished first"
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), 10)


def test_the_server_says_that_it_listens_once_it_does_on_both_families(make_installation: InstallationMaker) -> None:
    installation = make_installation(seeded=False)
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "manage.py", "serve", "--host", "::", "--port", str(port)],
        cwd=ROOT,
        env=environment(installation.data, installation.env),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "listens" in line:
                break
        assert line == f"Gatehouse listens on http://[::]:{port}\n"
        for origin in (f"http://127.0.0.1:{port}", f"http://[::1]:{port}"):
            assert httpx.get(f"{origin}/healthz", trust_env=False).status_code == 200
            assert httpx.get(f"{origin}/admin/login/", trust_env=False).status_code == 200
    finally:
        process.terminate()
        process.wait(15)


def test_a_port_in_use_is_refused_without_a_word_of_listening(make_installation: InstallationMaker) -> None:
    installation = make_installation(seeded=False)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = installation.manage("serve", "--port", str(port))
    assert done.returncode == 1
    assert f"http://127.0.0.1:{port} can't be listened on (Address already in use)." in done.stderr
    assert "Gatehouse listens" not in done.stderr


READER_IS_GONE = 128 + signal.SIGPIPE
ROWS = 2500


@pytest.fixture(scope="module")
def exported(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, running_upstream: SandboxProcess
) -> Iterator[Installation]:
    """An installation to export from, with more usage records than a pipe or a batch of rows holds."""
    with Installation(tmp_path_factory.mktemp("exported") / "data", migrated_data) as installation:
        seed(installation, running_upstream.url)
        spool = Spool(installation.data / "spool")
        for _ in range(ROWS):
            spool.append(attempt())
        installation.command("usage_report", "--flush")
        spool.close()
        yield installation


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("export | true; exit ${PIPESTATUS[0]}", READER_IS_GONE),
        ("export_usage | true; exit ${PIPESTATUS[0]}", READER_IS_GONE),
        ("export >&-", READER_IS_GONE),
        ("export_usage --format csv >&-", READER_IS_GONE),
        ("export_usage --format focus >&-", READER_IS_GONE),
        ("usage_report --csv <&- >&- 2>&-", READER_IS_GONE),
        ("export_usage --output $FILE <&- >&- 2>&- && head -c 3 $FILE", 0),
        ("export_usage 2>&- | head -c 3", 0),
    ],
)
def test_a_command_whose_reader_has_enough_ends_quietly(
    exported: Installation, tmp_path: Path, command: str, status: int
) -> None:
    env = {**exported.env, "PYTHONUNBUFFERED": "1", "FILE": str(tmp_path / "usage.csv")}
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} manage.py {command}"],
        cwd=ROOT,
        env=environment(exported.data, env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.removesuffix(f"{ROWS:,} rows.\n")) == (status, "")
    assert done.stdout == ("" if status else "id,")


def test_large_bodies_wait_in_the_data_folder(make_installation: InstallationMaker) -> None:
    """Also where the system's own folder can't be written: a root file system that is read-only, another user."""
    installation = make_installation({"TMPDIR": "/proc/self"})
    gateway = installation.gateway()
    token = gateway.token("t", user=USER)
    with gateway.sdk(token) as client:
        made = client.files.create(file=("lines.jsonl", b"x" * 3_000_000), purpose="user_data")
        said = client.audio.transcriptions.create(model="openai-main/whisper-1", file=("a.wav", wav(2_000_000)))
    assert made.bytes == 3_000_000
    assert said.text
    assert (installation.data / "tmp").stat().st_mode & 0o777 == 0o700
    assert not list((installation.data / "tmp").iterdir())


def test_sqlite_sorts_in_the_data_folder(tmp_path: Path) -> None:
    """Where no system folder can be written, SQLite's temporary files would be a "disk I/O error" in any command."""
    code = (
        "import os; from django.db import connection; c = connection.cursor(); c.execute('PRAGMA temp_store = FILE'); "
        "c.execute('CREATE TEMP TABLE t AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 30000) "
        "SELECT i, hex(randomblob(100)) FROM n'); "
        "print([os.readlink(entry.path) for entry in os.scandir('/proc/self/fd') if os.path.lexists(entry.path)])"
    )
    env = {name: value for name, value in environment(tmp_path, {}).items() if name != "SQLITE_TMPDIR"}
    command = [sys.executable, "manage.py", "shell", "-v0", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert f"'{tmp_path}/tmp/etilqs_" in done.stdout


def wav(size: int) -> bytes:
    """Silence as a WAV file of about ``size`` bytes."""
    head = b"RIFF" + (size + 36).to_bytes(4, "little") + b"WAVEfmt " + (16).to_bytes(4, "little")
    form = b"\x01\x00\x01\x00" + (16_000).to_bytes(4, "little") + (32_000).to_bytes(4, "little") + b"\x02\x00\x10\x00"
    return head + form + b"data" + size.to_bytes(4, "little") + bytes(size)
