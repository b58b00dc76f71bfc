"""Behind a real PgBouncer in transaction mode, which gives a connection away after every transaction."""

import contextlib
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.support import servers
from tests.support.calls import CHAT_PATH, chat
from tests.support.fixtures import USER, seed
from tests.support.installation import Gateway, Installation
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import free_port, wait_until

CONFIG = """
[databases]
* = host={host} port={port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
max_client_conn = 100
"""


@contextlib.contextmanager
def pgbouncer(folder: Path, url: str) -> Iterator[str]:
    """Run PgBouncer in front of the database ``url`` and yield the address to use instead."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    assert program, "run tests/support/programs_setup.sh"
    parts, listen = urlsplit(url), free_port()
    config = folder / "pgbouncer.ini"
    config.write_text(CONFIG.format(host=parts.hostname, port=parts.port, listen=listen))
    nobody = pwd.getpwnam("nobody")
    owner = {"user": nobody.pw_uid, "group": nobody.pw_gid} if os.geteuid() == 0 else {}  # it refuses to run as root
    with config.open() as readable, (folder / "pgbouncer.log").open("wb") as log:
        command = [program, f"/dev/fd/{readable.fileno()}"]
        process = subprocess.Popen(command, stdout=log, stderr=log, pass_fds=[readable.fileno()], **owner)
    address = f"postgres://postgres@127.0.0.1:{listen}{parts.path}"
    try:
        wait_until(lambda: answers(address) or process.poll() is not None, 20)
        assert process.poll() is None, (folder / "pgbouncer.log").read_text()
        yield address
    finally:
        process.terminate()
        process.wait(10)


def answers(address: str) -> bool:
    with contextlib.suppress(psycopg.OperationalError), psycopg.connect(address, connect_timeout=2):
        return True
    return False


@pytest.fixture
def installation(tmp_path: Path, migrated_data: Path, running_upstream: SandboxProcess) -> Iterator[Installation]:
    with pgbouncer(tmp_path, servers.postgres_url()) as url:
        # Partitions of more days would need more locks than the server has.
        env = {"DATABASE_URL": url, "GATEHOUSE_DATABASE_POOLER": "true", "GATEHOUSE_USAGE_RETENTION_DAYS": "60"}
        with Installation(tmp_path / "data", migrated_data, env) as made:
            migrated = made.command("migrate", "--verbosity=0")
            assert migrated.returncode == 0, migrated.stderr
            seed(made, running_upstream.url)
            yield made


def test_the_whole_service_behind_a_pooler(installation: Installation) -> None:
    gateway = installation.gateway()
    token = gateway.token("t", user=USER)
    assert [gateway.post(token, CHAT_PATH, chat()).status_code for _ in range(5)] == [200] * 5
    assert len(installation.records(5)) == 5
    report = installation.command("usage_report", "--group-by", "model")
    assert report.returncode == 0, report.stderr
    assert "gpt-4o-mini" in report.stdout
    assert_usage_is_partitioned_and_back(installation, gateway, token)
    exported = installation.command("export")
    assert exported.returncode == 0, exported.stderr
    installation.do("revoke", "t")
    wait_until(lambda: gateway.get(token, "/v1/models").status_code == 401, 3)
    assert gateway.http.get(f"{gateway.origin}/readyz").json()["status"] == "ok"
    assert "can't be refreshed" not in gateway.log


def assert_usage_is_partitioned_and_back(installation: Installation, gateway: Gateway, token: str) -> None:
    """Usage goes on being stored while its table becomes one of partitions, and one table again."""
    for number, (option, state) in enumerate([((), "in partitions: 1 day"), (("--undo",), "in one table")], 1):
        done = installation.command("partition_usage", *option)
        assert done.returncode == 0, done.stderr
        assert state in done.stdout
        answer = gateway.post(token, CHAT_PATH, chat())
        assert len(installation.records(5 + number)) == 5 + number
        said = installation.command("why", answer.headers["x-request-id"])
        assert "asked for" in said.stdout, said.stderr
        pruned = installation.command("prune_usage")
        assert pruned.stdout == "Deleted 0 records older than 60 days.\n", pruned.stderr
        checked = installation.command("doctor")
        assert "partitions: All is well." in checked.stdout, checked.stdout


def test_a_statement_is_bounded_on_the_servers_own_connections(installation: Installation) -> None:
    shown = (
        "from django.db import connection as c; k = c.cursor(); "
        "k.execute('SHOW statement_timeout'); print(k.fetchone()[0])"
    )
    done = installation.manage("shell", "-v0", "-c", shown)
    assert done.stdout.strip() == "1min"
