"""The demo: started again it keeps its sandbox's port and key, and never writes over what its user saved."""

import json
import re
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from accounts.models import VirtualAccount
from gateway.management import demo_traffic
from gateway.management.commands import demo
from providers.models import ProviderAccount
from tests.support.calls import CHAT_PATH, chat
from tests.support.console_session import ConsoleSession
from tests.support.fixtures import InstallationMaker
from tests.support.installation import Gateway, Installation
from tests.support.servers import wait_until
from tests.support.usage_rows import record
from usage.models import UsageRecord

SANDBOX = re.compile(r"Sandbox +(http://127\.0\.0\.1:[0-9]+/v1) +key (\S+)")
TOKEN = re.compile(r"Token +(gh-\S+)")
SHOW = """
import json
from providers.models import ProviderAccount
account = ProviderAccount.objects.get(name={name!r})
print(json.dumps({{key: getattr(account, key) for key in ("kind", "base_url", "api_key")}}))
"""


@pytest.fixture
def installation(make_installation: InstallationMaker) -> Installation:
    return make_installation(seeded=False)


def run_demo(installation: Installation, *options: str) -> tuple[Gateway, str]:
    """Start the demo; return it and what it printed of the sandbox's address and key."""
    gateway = installation.gateway(*(options or ("--no-traffic",)), server="demo")
    said = SANDBOX.search(gateway.log)
    assert said, gateway.log
    return gateway, " ".join(said.groups())


def shown(installation: Installation, account: str) -> dict[str, str]:
    """What an account has of what its user may save."""
    done = installation.command("shell", "-v0", "-c", SHOW.format(name=account))
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout)
    return found


def answers(gateway: Gateway) -> bool:
    """Whether the token that was printed gets an answer to a chat."""
    said = TOKEN.search(gateway.log)
    assert said
    return gateway.post(said[1], CHAT_PATH, chat()).status_code == 200


def test_the_other_vendors_answer_too(installation: Installation) -> None:
    gateway, _ = run_demo(installation)
    token = TOKEN.search(gateway.log)
    assert token
    for model in ("anthropic-main/claude-opus-5-5", "gemini-main/gemini-3.8-flash", "internal-google/gemini-2-0-flash"):
        answer = gateway.post(token[1], CHAT_PATH, chat("Count from 1 to 5.") | {"model": model})
        assert answer.json()["choices"][0]["message"]["content"] == "1 2 3 4 5", answer.text


def test_it_keeps_port_key_and_token_across_restarts(installation: Installation) -> None:
    first, sandbox = run_demo(installation)
    assert answers(first)
    url, key = sandbox.split()
    models = httpx.get(f"{url}/models", headers={"authorization": f"Bearer {key}"}, trust_env=False)
    assert models.status_code == 200
    first.stop()
    again, same = run_demo(installation)
    assert same == sandbox
    assert TOKEN.findall(again.log) == TOKEN.findall(first.log)
    assert answers(again)
    again.stop()

    port = int(re.search(r":([0-9]+)/", url)[1])  # type: ignore[index]
    wait_until(lambda: not listens(port))
    with socket.create_server(("127.0.0.1", port)):  # another program has it now
        moved, elsewhere = run_demo(installation)
        assert elsewhere != sandbox
        assert answers(moved)
        assert f"Port {port}, which the sandbox upstream had, is taken by another program." in moved.log


def test_a_port_that_is_taken_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PORT_PAUSE_SECONDS", 0)
    monkeypatch.setattr(demo, "_sandbox_on", lambda port: port if port != "0" else "4711")
    kept, said = tmp_path / "port", list[str]()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        kept.write_text(port)
        assert demo.start_sandbox(kept, said.append) == "http://127.0.0.1:4711/v1"
    assert f"Port {port}" in said[0]
    assert "it has 4711" in said[0]
    kept.write_text(port)  # it is free again
    assert demo.start_sandbox(kept, said.append) == f"http://127.0.0.1:{port}/v1"
    kept.write_text("none")
    assert demo.start_sandbox(kept, said.append).endswith(":4711/v1")
    kept.unlink()
    assert demo.start_sandbox(kept, said.append).endswith(":4711/v1")
    assert len(said) == 2


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_what_its_user_saved_stays(installation: Installation) -> None:
    """Another address, another key, or another kind: each in an account of its own."""
    changes = {
        "openai-main": {"base_url": "https://api.openai.com/v1", "api_key": "sk-mine"},
        "anthropic-main": {"api_key": "sk-mine"},
        "gemini-main": {"kind": "groq", "api_key": "sk-sandbox"},
    }
    run_demo(installation)[0].stop()
    wanted = {name: {**shown(installation, name), **change} for name, change in changes.items()}
    for name, change in changes.items():
        installation.do("change_account", name, **change)
    again, _ = run_demo(installation)
    for name in changes:
        assert f"The account {name} was changed: it is left as it is" in again.log
        assert shown(installation, name) == wanted[name]


def test_files_are_only_the_owners(installation: Installation) -> None:
    run_demo(installation)
    for name in ("demo_password", "demo_token"):
        assert (Path(installation.data) / name).stat().st_mode & 0o777 == 0o600


# --- made-up callers --------------------------------------------------------------------------------------------------
def test_a_fresh_demo_has_traffic_of_made_up_callers(installation: Installation) -> None:
    """Real calls to the sandbox, some refused and some failed as they are meant to be, seen on the overview."""
    gateway, _ = run_demo(installation, "--host", "127.0.0.1")
    assert "Made-up callers ask the sandbox for 5 minutes" in gateway.log
    first_round = sum(row.first_round for row in demo_traffic.ROWS)
    wait_until(lambda: len(installation.records()) >= first_round)
    records = installation.records()
    assert {record["subject_name"] for record in records} == {row.caller for row in demo_traffic.ROWS}
    assert {record["status"] for record in records} == {200, 404, 429, 503}
    refused = [record["subject_name"] for record in records if record["status"] == 429]
    assert set(refused) == {demo_traffic.LIMITED}
    assert {record["model_asked"] for record in records if record["status"] == 404} == {"openai-main/gpt-4o-mnii"}
    assert " call status=" not in gateway.log, "what was printed stays in sight"
    password = (Path(installation.data) / "demo_password").read_text()
    with ConsoleSession(gateway.origin, "admin@example.com", password) as console:
        page = console.get("/admin/").text
    assert "This is sandbox traffic" in page
    assert "Before the first call" not in page


@pytest.mark.django_db
def test_no_callers_are_made_beside_what_is_there() -> None:
    VirtualAccount.objects.create(name="docs-search")
    assert demo_traffic.make_callers([]) == {}
    VirtualAccount.objects.all().delete()
    UsageRecord.objects.bulk_create([record()])
    assert demo_traffic.make_callers([]) == {}
    UsageRecord.objects.all().delete()
    assert set(demo_traffic.make_callers([])) == {row.caller for row in demo_traffic.ROWS}
    assert demo_traffic.make_callers([]) == {}, "once only"


@pytest.mark.django_db
def test_what_is_not_the_sandboxs_any_more_ends_the_traffic() -> None:
    assert not demo.all_sandbox()
    for row in demo.ACCOUNTS:
        account = ProviderAccount(name=row.name, kind=row.kind, base_url=f"http://127.0.0.1:9{row.path}")
        account.api_key = demo.SANDBOX_KEY
        account.save()
    assert demo.all_sandbox()
    account = ProviderAccount.objects.get(name="gemini-main")
    account.api_key = "my-own-key"
    account.save()
    assert not demo.all_sandbox()


def test_a_round_is_made_only_while_all_is_the_sandboxs() -> None:
    asked: list[str] = []

    class Counting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *args: object) -> None:
            pass

    answers = iter([True, False])
    with ThreadingHTTPServer(("127.0.0.1", 0), Counting) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        callers = {row.caller: "gh-token" for row in demo_traffic.ROWS}
        traffic = demo_traffic.Traffic(f"http://127.0.0.1:{server.server_port}", callers, lambda: next(answers))
        first, second = traffic._work(), traffic._work()
        server.shutdown()
    assert (first, second) == (demo_traffic.PAUSE_SECONDS, None)
    assert len(asked) == 1 + sum(row.first_round for row in demo_traffic.ROWS), "none after the first round"
