"""Secrets that are known, in every account, token, header and body of calls of every kind: no sink has them afterwards.

Each is looked for as it is, with JSON escapes, in base64 wherever it may begin, percent-encoded and in hex.
"""

import base64
import json
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect as websocket

from tests.support.batch_inputs import QUICK, jsonl, line
from tests.support.console_session import ConsoleSession
from tests.support.echo_host import SPELLINGS, echo_host
from tests.support.http_receiver import HttpReceiver
from tests.support.installation import Gateway, Installation, migrated_postgres_url
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

ADA, ROOT = "ada@example.com", "root@example.com"
PROVIDER_KEY = "sk-canary-Key/With+Signs=0123456789"
HEADER = "canary-extra/header+value=98765"
PROMPT = "canary-prompt-1b7f20c95e"
OWN_HEADERS = {
    "x-private": "canary-private-header-2d11",
    "cookie": "session=canary-cookie-77ab03",
    "idempotency-key": "canary-idempotency-5c5c5c",
    "user-agent": "canary-user-agent-90f1",
}
QUERY = "canary-query-6a6a6a"
WEBHOOK_SECRET = "canary-webhook-secret-44d2"
PASSWORD = "canary-Password-8e8e8e"
MODELS = [
    {"name": f"{spelling}{status}", "model_types": ["chat", "text_to_speech", "embedding", "realtime"]}
    for spelling in SPELLINGS
    for status in ("", "-401", "-500", "-429")
]
PROVIDERS_OWN = ("provider key", "extra header", "encryption key", "secret key", "webhook secret")


def spellings(secret: str) -> Iterator[bytes]:
    """Yield how a secret may be written."""
    raw = secret.encode()
    yield raw
    for form in ("%04x", "%04X"):
        yield "".join(f"\\u{form % ord(sign)}" for sign in secret).encode()
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        yield encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        yield base64.urlsafe_b64encode(bytes(before) + raw)[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
    yield quote(secret, safe="").encode()
    yield "".join(f"%{byte:02x}" for byte in raw).encode()
    yield raw.hex().encode()


def found_in(content: bytes, secrets: Mapping[str, str]) -> set[str]:
    """Return the names of the secrets that ``content`` has."""
    return {name for name, secret in secrets.items() if any(form in content for form in spellings(secret))}


def test_the_search_finds_what_it_looks_for() -> None:
    for spell in SPELLINGS.values():
        for text in (PROVIDER_KEY, f"Bearer {PROVIDER_KEY}", f"a{PROVIDER_KEY}b"):
            assert found_in(spell(text).encode(), {"key": PROVIDER_KEY}) == {"key"}
    assert found_in(b"nothing", {"key": PROVIDER_KEY}) == set()


@dataclass
class Scene:
    """The servers and the secrets; ``answers`` is all that callers got."""

    gateway: Gateway
    hooks: HttpReceiver
    database: str
    secrets: dict[str, str]
    answers: list[bytes] = field(default_factory=list)

    def post(self, path: str, body: Any = None, **options: Any) -> int:
        key = f"{OWN_HEADERS['idempotency-key']}-{uuid.uuid4()}"
        headers = {**OWN_HEADERS, "idempotency-key": key, **options.pop("headers", {})}
        answer = self.gateway.post(self.secrets["token"], f"{path}?token={QUERY}", body, headers=headers, **options)
        self.keep(answer)
        return answer.status_code

    def get(self, path: str) -> Any:
        answer = self.gateway.get(self.secrets["token"], path)
        self.keep(answer)
        return answer

    def keep(self, answer: Any) -> None:
        self.answers.append(f"{answer.status_code} {list(answer.headers.raw)}".encode() + answer.content)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def scene(request, tmp_path_factory, migrated_data: Path) -> Iterator[Scene]:
    database = migrated_postgres_url() if request.param == "postgresql" else ""
    data = tmp_path_factory.mktemp("canary") / "data"
    with (
        HttpReceiver() as hooks,
        SandboxProcess("--job-seconds", "0.5", "--key", PROVIDER_KEY) as upstream,
        echo_host() as echo,
        Installation(data, None if database else migrated_data, settings(hooks, database)) as installation,
    ):
        secret = {"key": PROVIDER_KEY, "extra_headers": {"X-Canary-Secret": HEADER}}
        everything = {"open_resources": ["*"], "proxy_paths": ["v1/*", "echo/*"]}
        known = ["gpt-4o-mini", "text-embedding-3-small", "omni-moderation-latest", "gpt-image-1", "whisper-1", "tts-1"]
        installation.apply(
            provider("main", upstream.url, models=known, **secret, **everything),
            provider("echo", echo, models=MODELS, **secret, **everything),
        )
        installation.do("person", ROOT, PASSWORD, is_staff=True, is_superuser=True)
        token, bot = (installation.do("token", "t", **owner) for owner in ({"user": ADA}, {"virtual_account": "bot"}))
        gateway = installation.gateway()
        wait_until(lambda: gateway.get(token, "/v1/models").status_code == 200)
        secrets = {
            "provider key": PROVIDER_KEY,
            "extra header": HEADER,
            "prompt": PROMPT,
            "query": QUERY,
            "webhook secret": WEBHOOK_SECRET,
            "password": PASSWORD,
            "token": token,
            "bot's token": bot,
            "encryption key": (data / "encryption_key").read_text().strip(),
            "secret key": (data / "secret_key").read_text().strip(),
            **{name: value.rpartition("=")[2] for name, value in OWN_HEADERS.items()},
        }
        made = Scene(gateway, hooks, database, secrets)
        hooks.first = [500]  # the second try is a webhook too
        drive(made)
        yield made


def settings(hooks: HttpReceiver, database: str) -> dict[str, str]:
    return {
        **QUICK,
        "GATEHOUSE_LOG_LEVEL": "DEBUG",
        "GATEHOUSE_JOB_WEBHOOK_URL": hooks.url,
        "GATEHOUSE_JOB_WEBHOOK_SECRET": WEBHOOK_SECRET,
        **({"DATABASE_URL": database} if database else {}),
    }


def drive(scene: Scene) -> None:
    """Make calls of every kind, with a secret wherever one fits."""
    say = [{"role": "user", "content": PROMPT}]
    for model in MODELS:
        body = {"model": f"echo/{model['name']}", "messages": say}
        for extra in ({}, {"stream": True}):
            scene.post("/v1/chat/completions", body | extra)
        scene.post("/v1/audio/speech", {"model": body["model"], "input": PROMPT, "voice": "alloy"})
        scene.post("/v1/embeddings", {"model": body["model"], "input": PROMPT})
    named = {"headers": {"x-tfy-provider-name": "echo"}}
    for path in ("/v1/proxy/v1/rerank", "/v1/proxy/echo/anything"):
        scene.post(path, {"model": "plain", "query": PROMPT}, **named)
    calls_to_the_sandbox(scene, say)
    broken_calls(scene, say)
    sockets(scene)
    batch(scene)


def calls_to_the_sandbox(scene: Scene, say: list[dict[str, str]]) -> None:
    mini = "main/gpt-4o-mini"
    for directive in (
        "",
        "[[sandbox: status=500]] ",
        "[[sandbox: cut]] ",
        "[[sandbox: garbage]] ",
        "[[sandbox: html]] ",
    ):
        told = [{"role": "user", "content": directive + PROMPT}]
        scene.post("/v1/chat/completions", {"model": mini, "messages": told})
        scene.post("/v1/chat/completions", {"model": mini, "messages": told, "stream": True})
    scene.post("/v1/chat/completions", {"model": mini, "messages": say, "store": True, "metadata": {"k": "v"}})
    scene.post("/v1/responses", {"model": mini, "input": PROMPT, "instructions": PROMPT})
    scene.post("/v1/responses", {"model": mini, "input": PROMPT, "stream": True})
    scene.post("/v1/responses", {"model": mini, "input": PROMPT, "background": True})
    scene.post("/v1/moderations", {"model": "main/omni-moderation-latest", "input": PROMPT})
    scene.post("/v1/embeddings", {"model": "main/text-embedding-3-small", "input": PROMPT})
    scene.post("/v1/images/generations", {"model": "main/gpt-image-1", "prompt": PROMPT})
    scene.post("/v1/conversations", {"items": []}, headers={"x-tfy-provider-name": "main"})
    with scene.gateway.sdk(scene.secrets["token"], default_headers=OWN_HEADERS) as client, suppress(Exception):
        client.audio.transcriptions.create(model="main/whisper-1", file=("a.wav", b"RIFF" + bytes(64)), prompt=PROMPT)


def broken_calls(scene: Scene, say: list[dict[str, str]]) -> None:
    chat = "/v1/chat/completions"
    scene.post(chat, content=f'{{"model": "{PROMPT}'.encode())
    scene.post(chat, {"model": "main/gpt-4o-mini", "messages": say}, headers={"x-tfy-metadata": f"{PROMPT}"})
    scene.post(chat, {"model": "main/gpt-4o-mini", "messages": say, "n": PROMPT})
    scene.post(chat, content=PROMPT.encode(), headers={"content-type": "text/plain"})
    scene.post(chat, content=b"\x1f\x8b" + PROMPT.encode(), headers={"content-encoding": "gzip"})
    for wrong in (scene.secrets["token"][:-1] + "x", scene.secrets["token"] + "x", PROVIDER_KEY):
        scene.keep(scene.gateway.post(wrong, chat, {"model": "main/gpt-4o-mini", "messages": say}))
    scene.keep(scene.gateway.get(scene.secrets["bot's token"], "/v1/models"))
    scene.keep(scene.gateway.post(scene.secrets["bot's token"], chat, {"model": "main/gpt-4o-mini", "messages": say}))


def sockets(scene: Scene) -> None:
    origin, token = f"ws://127.0.0.1:{scene.gateway.port}", scene.secrets["token"]
    bearer = {"Authorization": f"Bearer {token}", "x-private": OWN_HEADERS["x-private"]}
    for path, headers, subprotocols in (
        (f"/live/echo/realtime?model=plain&api_key={QUERY}", bearer, None),
        ("/live/echo/realtime?model=plain", {}, ["realtime", f"openai-insecure-api-key.{token}"]),
        (f"/v1/responses?token={QUERY}", bearer, None),
        ("/live/echo/realtime?model=plain", {"Authorization": f"Bearer {token}x"}, None),
        (f"/live/nowhere/realtime?model=plain&key={QUERY}", bearer, None),
    ):
        with (
            suppress(WebSocketException, TimeoutError, OSError),
            websocket(origin + path, additional_headers=headers, subprotocols=subprotocols) as socket,
        ):
            say = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": PROMPT}]}
            socket.send(json.dumps({"type": "conversation.item.create", "item": say}))
            for _ in range(2 * len(SPELLINGS) + 1):
                message = socket.recv(timeout=2)
                scene.answers.append(message.encode() if isinstance(message, str) else message)


def batch(scene: Scene) -> None:
    """Run a batch at the provider, and wait until its webhook has come."""
    headers = {"x-tfy-provider-name": "main"}
    with scene.gateway.sdk(scene.secrets["token"], default_headers=headers) as client:
        given = client.files.create(file=("in.jsonl", jsonl([line(1, PROMPT), line(2, PROMPT)])), purpose="batch")
        made = client.batches.create(
            input_file_id=given.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"k": "v"}
        )
        wait_until(lambda: client.batches.retrieve(made.id).status == "completed", 30, 0.2)
        wait_until(lambda: len(scene.hooks.got) >= 2, 30, 0.2)
        scene.answers.append(client.batches.retrieve(made.id).to_json().encode())


def check(content: bytes, secrets: Mapping[str, str], where: str) -> None:
    assert content, f"{where} is empty: nothing was looked at"
    shown = [around(content, form) for secret in secrets.values() for form in spellings(secret) if form in content]
    assert found_in(content, secrets) == set(), (where, shown[:5])


def around(content: bytes, form: bytes) -> bytes:
    """Return a found secret with what is before and behind it, for the developer who searches for the leak."""
    start = content.index(form)
    return content[max(0, start - 80) : start + len(form) + 20]


def only(scene: Scene, *names: str) -> dict[str, str]:
    return {name: scene.secrets[name] for name in names}


def test_answers_have_no_secret_of_the_provider(scene: Scene) -> None:
    """Neither bodies nor headers, whole or cut, nor messages of sockets: what was echoed is taken out."""
    whole = b"\n".join(scene.answers)
    assert len(scene.answers) > 150
    assert whole.count(b"[redacted]") > 400
    for content in scene.answers:
        check(content, only(scene, *PROVIDERS_OWN, "bot's token", "password"), repr(content[:300]))


def test_the_log_has_none(scene: Scene) -> None:
    check(scene.gateway.log.encode(), scene.secrets, "the log")


def test_records_have_none(scene: Scene) -> None:
    records = scene.gateway.installation.records()
    assert any("[redacted]" in record["error_message"] for record in records)
    check(json.dumps(records).encode(), scene.secrets, "usage records")


def test_webhooks_have_none(scene: Scene) -> None:
    assert scene.hooks.got
    for _, headers, body in scene.hooks.got:
        check(json.dumps(headers).encode() + body, scene.secrets, "a webhook")


def test_commands_print_none(scene: Scene) -> None:
    installation = scene.gateway.installation
    for command in (
        ("export",),
        ("usage_report",),
        ("list_tokens", "--json"),
        ("batches",),
        ("test_credentials", "echo", "--json"),
        ("test_credentials", "main"),
        ("bind_key",),
        ("check", "--database", "default"),
    ):
        done = installation.manage(*command)
        check((done.stdout + done.stderr).encode(), scene.secrets, " ".join(command))


def pages(console: ConsoleSession) -> Iterator[tuple[str, bytes]]:
    """Yield every page of the console that links lead to, as a superuser sees it, and the exports."""
    seen, todo = set(), ["/admin/", "/admin/spend/export/", "/api/schema/", "/api/docs/"]
    while todo:
        path = todo.pop()
        answer = console.get(path)
        yield path, answer.content + repr(answer.headers.raw).encode()
        if "text/html" not in answer.headers.get("content-type", ""):
            continue
        for part in answer.text.split('href="')[1:]:
            link = part.split('"')[0].replace("&amp;", "&")
            shape = "".join(sign for sign in link.partition("?")[0] if not sign.isdigit())
            own = link.endswith("/output/")  # a job's own lines, which who may see the job may download
            if link.startswith("/admin/") and "logout" not in link and not own and shape not in seen:
                seen.add(shape)
                todo.append(link)


def test_pages_and_exports_have_none(scene: Scene) -> None:
    with ConsoleSession(scene.gateway.origin, ROOT, PASSWORD) as console:
        found = dict(pages(console))
        for path, content in found.items():
            check(content, scene.secrets, path)
        tested = console.post(
            next(path for path in found if path.endswith("/test/") and "provideraccount" in path),
            {"model": ["plain", "escaped", "base64", "plain-401"]},
        )
        check(tested.content, scene.secrets, "the page that tests credentials")
        chosen = console.form("/admin/usage/usagerecord/").get("_selected_action", "")
        form = {"action": "export_selected", "select_across": "1", "_selected_action": chosen}
        check(console.post("/admin/usage/usagerecord/", form).content, scene.secrets, "the export of requests")
    assert len(found) > 40
    for part in ("accounts/auditentry/", "usage/usagerecord/", "/history/", "/admin/models/", "/admin/spend/"):
        assert any(part in path for path in found), part


def test_nothing_on_disk_or_in_the_database_has_one(scene: Scene) -> None:
    """The keys' own files aside: spool, temporary files, the embedded database with its log, or PostgreSQL's rows."""
    data = scene.gateway.installation.data
    looked = 0
    for file in sorted(data.rglob("*")):
        if file.is_file() and file.name not in ("secret_key", "encryption_key", "manifests.yaml"):
            looked += 1
            check(file.read_bytes() or b"-", scene.secrets, str(file))
    assert looked > 2
    if scene.database:
        rows = b"\n".join(postgres_rows(scene.database))
        assert rows.count(b"\n") > 200
        check(rows, scene.secrets, "the database")


def postgres_rows(url: str) -> Iterator[bytes]:
    with psycopg.connect(url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (table,) in tables:
            for row in connection.execute(sql.SQL("SELECT * FROM {}").format(sql.Identifier(table))):
                for value in row:
                    yield bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
