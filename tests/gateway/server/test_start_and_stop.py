"""Starting, refusing to start, and ending: the server as an operator runs it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from kombu import Connection

from gateway.config.database import database
from gateway.server.preflight import start_faults
from tests.support import servers
from tests.support.calls import CHAT_PATH, assert_body, chat, stream_error
from tests.support.fixtures import USER, InstallationMaker
from tests.support.installation import ROOT, Gateway, Installation, environment, within
from tests.support.open_stream import OpenStream
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

STRONG = "k3" + "Vw9xQ2mLr8TzN5bHs1Yd7Jf4Pg6Ac0Ku"


@pytest.fixture
def fresh(tmp_path: Path) -> Installation:
    """A installation on an empty data directory: no database yet."""
    return Installation(tmp_path / "fresh")


# --- daphne -------------------------------------------------------------------------------------------------


def test_daphne_serves_too(make_installation: InstallationMaker, upstream: SandboxProcess) -> None:
    installation = make_installation()
    token = installation.do("token", "t", user=USER)
    gateway = installation.gateway(server="daphne")
    with gateway.sdk(token) as client:
        assert client.chat.completions.create(**chat("What is 6*7?")).choices[0].message.content == "42"
        pieces = [
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(**chat("Count from 1 to 5."), stream=True)
        ]
    assert "".join(pieces) == "1 2 3 4 5"
    assert gateway.http.get(f"{gateway.origin}/admin/login/").status_code == 200
    assert gateway.http.get(f"{gateway.origin}/healthz").json() == {"status": "ok"}

    with OpenStream(gateway, token):
        pass
    wait_until(lambda: upstream.requests()[-1]["disconnected"], 5)
    with OpenStream(gateway, token) as stream:
        installation.do("revoke", "t")
        stream.wait(5)
    assert_body(stream_error(stream.content), "token_revoked")
    records = installation.records(4)
    assert [record["error_class"] for record in records] == ["", "", "client_closed_request", "token_revoked"]
    assert [record["client_gone"] for record in records] == [False, False, True, False]


# --- refusing to start --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("env", "options", "says"),
    [
        ({"GATEHOUSE_MAX_BODY_MB": "lots"}, [], ["GATEHOUSE_MAX_BODY_MB: 'lots' is not a number."]),
        ({"PORT": "99999"}, [], ["PORT: '99999' is not a port. Give a whole number from 1 to 65535."]),
        ({"DATABASE_URL": "postgres://nobody@127.0.0.1:9/none"}, [], ["Check DATABASE_URL"]),
        (
            {"DEBUG": "1", "SECRET_KEY": "short", "GATEHOUSE_ENCRYPTION_KEYS": f"{STRONG},changeme"},
            ["--workers", "2"],
            [
                "DEBUG: is on",
                "SECRET_KEY: is",
                "GATEHOUSE_ENCRYPTION_KEYS: holds",
                "REDIS_URL: 2 workers share the count",
            ],
        ),
    ],
    ids=["a-bad-setting", "no-port", "no-database", "all-faults-at-once"],
)
def test_a_start_that_is_refused(
    make_installation: InstallationMaker, env: dict[str, str], options: list[str], says: list[str]
) -> None:
    installation = make_installation(env, seeded=False)
    done = installation.manage("serve", "--port", "8000", *options)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [text for text in says if text not in done.stderr] == []
    assert STRONG not in done.stderr


@pytest.mark.parametrize(
    ("name", "value", "workers", "fault"),
    [
        ("DEBUG", True, 1, "DEBUG"),
        ("SECRET_KEY", "django-insecure-" + STRONG, 1, "SECRET_KEY"),
        ("SECRET_KEY", "a" * 64, 1, "SECRET_KEY"),
        ("FERNET_KEYS", [STRONG, "changeme"], 1, "GATEHOUSE_ENCRYPTION_KEYS"),
        ("REDIS_URL", "", 2, "REDIS_URL"),
        ("REDIS_URL", "", 0, "--workers"),
    ],
)
def test_what_production_refuses(settings: Any, name: str, value: object, workers: int, fault: str) -> None:
    settings.REDIS_URL, settings.SECRET_KEY, settings.FERNET_KEYS = "redis://127.0.0.1/0", STRONG, [STRONG]
    settings.ENVIRONMENT, settings.DEBUG = "production", False
    assert start_faults(2) == []
    setattr(settings, name, value)
    faults = start_faults(workers)
    assert [text.split(":")[0] for text in faults] == [fault]
    assert STRONG not in faults[0]
    settings.ENVIRONMENT = "development"
    assert [text for text in start_faults(workers) if not text.startswith("--workers")] == []


BAD_SETTINGS = [
    ("GATEHOUSE_ENV", "prod"),
    ("DEBUG", "maybe"),
    ("DATABASE_URL", "mysql://root@127.0.0.1/x"),
    ("DATABASE_URL", "nonsense"),
    ("REDIS_URL", "http://127.0.0.1:6379"),
    ("GATEHOUSE_PUBLIC_URL", "ai.example.com"),
    ("GATEHOUSE_PUBLIC_URL", "https://"),
    ("GATEHOUSE_BEHIND_PROXY", "2"),
    ("GATEHOUSE_EGRESS_ALLOW", "10.0.0.0/33"),
    ("GATEHOUSE_EGRESS_ALLOW", "two words"),
    ("GATEHOUSE_FORWARD_HEADERS", "x-team,bad name"),
    ("GATEHOUSE_FORWARD_HEADERS", "Authorization"),
    ("GATEHOUSE_FORWARD_HEADERS", "x-tfy-metadata"),
    ("GATEHOUSE_MAX_BODY_MB", "0"),
    ("GATEHOUSE_MAX_BODY_MB", "nan"),
    ("GATEHOUSE_MAX_ANSWER_MB", "inf"),
    ("GATEHOUSE_MAX_UPLOAD_MB", "-1"),
    ("GATEHOUSE_BODY_TIMEOUT_S", "0.5"),
    ("GATEHOUSE_DRAIN_SECONDS", "soon"),
    ("GATEHOUSE_CHANGE_POLL_SECONDS", "60"),
    ("GATEHOUSE_USAGE_FLUSH_SECONDS", "0"),
    ("GATEHOUSE_USAGE_RETENTION_DAYS", "0"),
    ("GATEHOUSE_FILE_STORAGE_OPTIONS", "{"),
    ("GATEHOUSE_FILE_STORAGE_OPTIONS", "[]"),
    ("GATEHOUSE_FILE_STORAGE_OPTIONS", "3"),
    ("GATEHOUSE_LOG_FORMAT", "xml"),
    *(("PORT", value) for value in ("abc", "0", "-1", "99999", "8000.0", "\u0663")),
    *(("GATEHOUSE_ALLOWED_HOSTS", value) for value in ("a b", "good.example,/", "http://x", "x:8000", "[::1")),
    *(("GATEHOUSE_PUBLIC_URL", value) for value in ("https://a b", "https://x:port", "https://:8000", "https://[::1")),
    *(("DATABASE_URL", value) for value in ("postgres://", "postgres://127.0.0.1:99999/x", "sqlite://")),
    *(("REDIS_URL", value) for value in ("redis://", "redis://x:port/0", "redis://x/one", "unix://", "redis://a b")),
    *(("GATEHOUSE_CELERY_BROKER_URL", value) for value in ("nonsense", "http://x", "amqp://", "redis://x;nonsense")),
    *(("GATEHOUSE_JOB_WEBHOOK_URL", value) for value in ("example.com", "https://", "ftp://x")),
    *(("GATEHOUSE_JOB_WEBHOOK_SECRET", value) for value in ("short", "whsec_" + "%" * 24, "whsec_c2hvcnQgb25lMTI=")),
    ("GATEHOUSE_REALTIME_SESSIONS_PER_ACCOUNT", "0.5"),
    ("GATEHOUSE_MANAGED_CONCURRENCY", "1.5"),
    ("GATEHOUSE_OBJECT_RETENTION_DAYS", "2.5"),
    ("GATEHOUSE_LOG_LEVEL", "loud"),
    ("GATEHOUSE_DATA_DIR", "/proc/none/such"),
    ("GATEHOUSE_DATABASE_POOLER", "pgbouncer"),
    *(
        ("GATEHOUSE_CORS_ORIGINS", value)
        for value in ("app.example.com", "https://x/", "https://x/path", "https://a b", "null")
    ),
    *(("DATABASE_URL", f"postgres://u:{password}@db/x") for password in ("p#w", "p/w", "p?w", "12/w", "p%w#", "[x")),
]
GOOD_SETTINGS = [
    ("GATEHOUSE_LOG_FORMAT", "json"),
    ("PORT", "65535"),
    ("GATEHOUSE_ALLOWED_HOSTS", "*,.example.org, AI.example.com,[::1],127.0.0.1"),
    ("GATEHOUSE_PUBLIC_URL", "https://[::1]:8443/"),
    ("DATABASE_URL", "postgres://u:p%40ss@db.internal:5432/gatehouse"),
    ("DATABASE_URL", "postgresql://u@%2Frun%2Fpostgresql/gatehouse?sslmode=require"),
    ("DATABASE_URL", "sqlite:////srv/gatehouse.sqlite3"),
    ("GATEHOUSE_CORS_ORIGINS", "https://App.example.com, http://localhost:3000,http://[::1]:3000"),
    ("GATEHOUSE_CORS_ORIGINS", "*"),
    ("REDIS_URL", "rediss://:secret@cache.internal:6380/2"),
    ("REDIS_URL", "unix:///run/redis.sock?db=1"),
    ("GATEHOUSE_CELERY_BROKER_URL", "amqp://u:p@rabbit:5672//"),
    ("GATEHOUSE_CELERY_BROKER_URL", "amqp://one//;amqp://two//"),
    ("GATEHOUSE_JOB_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    ("SECRET_KEY", "$" + STRONG),
]
READ_SETTINGS = """
import importlib, json, os, sys
for name, value in json.load(sys.stdin):
    kept = os.environ.get(name)
    os.environ[name] = value
    try:
        importlib.import_module("gateway.settings")
        print("started")
    except Exception as error:  # its type is what is tested
        print(type(error).__name__, str(error).replace("\\n", " "))
    os.environ.pop(name) if kept is None else os.environ.update({name: kept})
    sys.modules.pop("gateway.settings", None)
"""


def test_a_bad_setting_is_named(fresh: Installation) -> None:
    cases = [*BAD_SETTINGS, *GOOD_SETTINGS]
    done = subprocess.run(
        [sys.executable, "-c", READ_SETTINGS],
        input=json.dumps(cases),
        cwd=ROOT,
        env=environment(fresh.data, {}),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert [
        (case, line)
        for case, line in zip(cases, lines, strict=True)
        if (case in GOOD_SETTINGS) is not (line == "started")
    ] == []
    for (name, _), line in zip(BAD_SETTINGS, lines, strict=False):
        assert line.startswith(f"ImproperlyConfigured {name}: "), line
        assert line.count(". ") >= 1, f"says no fix: {line}"


@pytest.mark.parametrize("password", ["p#w", "p/w", "p?w", "12/w", "p[w"])
def test_an_unencoded_password_is_not_shown_and_the_fix_is(tmp_path: Path, password: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        database(f"postgres://user:secret{password}@db.internal:5432/gatehouse", tmp_path, pooler=False)
    assert "Percent-encode such characters" in str(caught.value)
    assert "# as %23" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgres://u:p%40%23s@db:6432/g%20h",
            {"USER": "u", "PASSWORD": "p@#s", "HOST": "db", "PORT": 6432, "NAME": "g h"},
        ),
        ("postgresql://u:p@ss@db/g", {"USER": "u", "PASSWORD": "p@ss", "HOST": "db", "PORT": "", "NAME": "g"}),
        ("postgres:///g", {"USER": "", "PASSWORD": "", "HOST": "", "NAME": "g"}),
        ("postgres://%2Frun%2Fpg/g", {"HOST": "/run/pg", "NAME": "g"}),
        (
            "postgres://db/g?sslmode=require&connect_timeout=9",
            {"OPTIONS": {"sslmode": "require", "connect_timeout": "9"}},
        ),
    ],
)
def test_a_database_address(tmp_path: Path, url: str, expected: dict[str, Any]) -> None:
    made = database(url, tmp_path, pooler=False)
    assert {name: made[name] for name in expected} == expected


@pytest.mark.parametrize("value", ["abc", "0", "65536"])
def test_a_port_option_that_is_none_is_refused(fresh: Installation, value: str) -> None:
    done = fresh.manage("serve", "--port", value)
    assert done.returncode == 2
    assert f"argument --port: {value!r} is not a port. Give a whole number from 1 to 65535." in done.stderr


@pytest.mark.parametrize("command", ["serve", "demo"])
@pytest.mark.parametrize("file", ["gatehouse.sqlite3", "secret_key"])
def test_a_data_folder_that_can_not_be_used_is_named(fresh: Installation, command: str, file: str) -> None:
    (fresh.data / file).mkdir()  # what root may not open either
    done = fresh.manage(command)
    assert done.returncode == 1
    assert str(fresh.data) in done.stderr
    assert "GATEHOUSE_DATA_DIR" in done.stderr
    assert "DATABASE_URL" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_data_folder_must_be_writable(settings: Any) -> None:
    settings.DATA_DIR = Path("/proc/self")
    (fault,) = [text for text in start_faults(1) if text.startswith("GATEHOUSE_DATA_DIR: ")]
    assert "/proc/self can't be written" in fault


def test_the_broker_in_memory_starts_without_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with Connection(django_settings.CELERY_BROKER_URL) as connection:
        assert connection.transport.driver_type == "memory"
        connection.info()
    assert caplog.records == []


def test_the_database_must_be_migrated(fresh: Installation) -> None:
    refused = fresh.manage("serve")
    assert refused.returncode == 2
    assert re.search(
        r"The database lacks \d+ migrations\. Run 'manage\.py migrate', or serve with --migrate\.", refused.stderr
    )
    with fresh:
        gateway = fresh.gateway("--migrate")
        assert gateway.http.get(f"{gateway.origin}/readyz").json()["status"] == "ok"


def test_a_first_start_makes_keys_that_only_the_owner_reads(fresh: Installation) -> None:
    assert fresh.manage("check").returncode == 0
    for name in ("secret_key", "encryption_key"):
        file = fresh.data / name
        assert file.stat().st_mode & 0o777 == 0o600
        assert len(file.read_text()) >= 60


def test_a_port_in_use_is_told(gateway: Gateway) -> None:
    done = gateway.installation.manage("serve", "--port", str(gateway.port))
    assert done.returncode != 0
    assert "address already in use" in done.stderr.lower()


def test_development_may_debug(make_installation: InstallationMaker) -> None:
    gateway = make_installation({"DEBUG": "true", "GATEHOUSE_ENV": "development"}, seeded=False).gateway()
    page = gateway.http.get(f"{gateway.origin}/v1/none", headers={"accept": "text/html"})
    assert page.headers["content-type"] == "application/json"


# --- several workers ----------------------------------------------------------------------------------------


def children(pid: int) -> list[int]:
    """The processes that a process has started and that run Gatehouse."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = entry.read_text().rpartition(") ")[2].split()
            command = (entry.parent / "cmdline").read_bytes()
            if int(fields[1]) == pid and b"spawn_main" in command:
                found.append(int(entry.parent.name))
    return found


def test_two_workers(make_installation: InstallationMaker) -> None:
    installation = make_installation({"REDIS_URL": servers.redis_url()})
    token = installation.do("token", "t", user=USER)
    gateway = installation.gateway("--workers", "2")
    wait_until(lambda: len(children(gateway.process.pid)) == 2)

    def ask() -> int:
        """A call over a connection of its own, which either worker may take."""
        return httpx.post(
            gateway.origin + CHAT_PATH, json=chat(), headers={"authorization": f"Bearer {token}"}, trust_env=False
        ).status_code

    ready = gateway.http.get(f"{gateway.origin}/readyz").json()
    assert ready["checks"]["redis"] == {"state": "ok"}
    wait_until(lambda: len({path.name.partition("-")[0] for path in (installation.data / "spool").iterdir()}) == 2)
    assert [ask() for _ in range(20)] == [200] * 20
    assert len(installation.records(20)) == 20

    killed = children(gateway.process.pid)[0]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: len(set(children(gateway.process.pid)) - {killed}) == 2)
    wait_until(lambda: [ask() for _ in range(5)] == [200] * 5)

    installation.do("revoke", "t")
    time.sleep(1)
    assert [ask() for _ in range(10)] == [401] * 10
    workers = children(gateway.process.pid)
    with within(15, "ending two workers"):
        gateway.stop()
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


# --- ending -------------------------------------------------------------------------------------------------


def test_an_open_stream_is_finished_first(make_installation: InstallationMaker) -> None:
    installation = make_installation()
    token = installation.do("token", "t", user=USER)
    gateway = installation.gateway()
    with OpenStream(gateway, token, "hi [[sandbox: tokens=40 token-delay=40]]") as stream, within(8, "draining"):
        gateway.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(gateway), 2)
        assert not stream.ended_at, "the stream must outlive the door's closing"
        code = gateway.process.wait(10)
    assert code in (0, -signal.SIGTERM)
    assert stream.fault is None
    assert stream.content.endswith(b"data: [DONE]\n\n")
    assert stream.content.count(b'"delta"') == 42
    (record,) = installation.records()
    assert (record["error_class"], record["client_gone"]) == ("", False)
    assert stream.headers["x-request-id"] in gateway.log, "the last line of the log was lost"


def refuses(gateway: Gateway) -> bool:
    """Whether no one listens any more."""
    try:
        httpx.get(f"{gateway.origin}/healthz", trust_env=False, timeout=1)
    except httpx.TransportError:
        return True
    return False


def test_a_call_that_outlasts_the_drain(make_installation: InstallationMaker, upstream: SandboxProcess) -> None:
    installation = make_installation({"GATEHOUSE_DRAIN_SECONDS": "1"})
    token = installation.do("token", "t", user=USER)
    gateway = installation.gateway()
    with OpenStream(gateway, token) as stream, OpenStream(gateway, token, "hi [[sandbox: hang]]", stream=False) as call:
        wait_until(lambda: len(upstream.requests()) == 2)
        with within(6, "ending with calls that never end"):
            gateway.stop()
        stream.wait()
        call.wait()
    assert_body(stream_error(stream.content), "shutting_down")
    assert call.status == 503
    assert_body(json.loads(call.content), "shutting_down")
    assert call.headers["retry-after"] == "1"
    records = installation.records()
    assert sorted((row["status"], row["error_class"], row["client_gone"]) for row in records) == [
        (200, "shutting_down", False),
        (503, "shutting_down", False),
    ]
    assert all(request["disconnected"] for request in upstream.requests())
