"""The request log: what of bodies is kept, when, how, for how long, and who sees it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import Client
from django.urls import reverse
from fernet_fields import EncryptedTextField
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.env import patterns
from tests.console.conftest import Installation as Console
from tests.console.conftest import installation, signed_in
from tests.support.calls import CHAT_PATH, assert_ours, chat
from tests.support.fixtures import ACCOUNT, USER, InstallationMaker, seed
from tests.support.installation import Gateway
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import PostgresServer, wait_until
from usage import request_log
from usage.models import LoggedCall
from usage.redacting import BUILT_IN, HINTS, Redactor
from usage.request_log import Bodies, Capture, RequestLog, seal, unseal

__all__ = ["installation"]

ENABLED = {"x-tfy-logging-config": '{"enabled": true}'}


def started(make: InstallationMaker, mode: str, **env: str) -> tuple[Gateway, str]:
    gateway = make(env={"GATEHOUSE_REQUEST_LOG": mode, **env}).gateway()
    return gateway, gateway.token("t", user=USER)


def bodies(gateway: Gateway, response: Any) -> dict[str, Any] | None:
    """What the log has of a call; it is complete once the record of a later call is there."""
    found: dict[str, Any] | None = gateway.installation.do("logged_bodies", response.headers["x-request-id"])
    return found


def kept(gateway: Gateway, response: Any) -> dict[str, Any]:
    wait_until(lambda: bodies(gateway, response))
    found = bodies(gateway, response)
    assert found is not None
    return found


# --- when ---------------------------------------------------------------------------------------------------


def test_off_by_default(gateway: Gateway, token: str) -> None:
    response = gateway.post(token, CHAT_PATH, chat(), headers=ENABLED)
    gateway.installation.records(1, request_id=response.headers["x-request-id"])
    assert bodies(gateway, response) is None


def test_always_keeps_what_was_said(make_installation: InstallationMaker) -> None:
    gateway, token = started(make_installation, "always")
    plain = gateway.post(token, CHAT_PATH, chat("What is 6*7?"), headers={"x-tfy-logging-config": '{"enabled": false}'})
    row = kept(gateway, plain)
    assert "What is 6*7?" in row["request"]
    assert row["response"] == plain.text
    assert row["response_bytes"] == len(plain.content)
    assert (row["account"], row["subject_type"]) == (ACCOUNT, "user")
    for said in ("Count to 3.", "Count to 3. [[sandbox: token-delay=30]]"):
        streamed = gateway.post(token, CHAT_PATH, chat(said, stream=True))
        assert kept(gateway, streamed)["response"] == streamed.text
    refused = gateway.post(token, CHAT_PATH, chat() | {"model": "openai-main/none"})
    assert "model_not_found" in kept(gateway, refused)["response"]
    embedded = gateway.post(token, "/v1/embeddings", {"model": f"{ACCOUNT}/text-embedding-3-small", "input": "hello"})
    assert "hello" in kept(gateway, embedded)["request"]


@pytest.mark.parametrize("default", ["false", "true"])
def test_the_header_decides_where_it_may(make_installation: InstallationMaker, default: str) -> None:
    gateway, token = started(make_installation, "header_controlled", GATEHOUSE_REQUEST_LOG_DEFAULT=default)
    refused = {"x-tfy-logging-config": '{"enabled": false}'}
    calls = [gateway.post(token, CHAT_PATH, chat(), headers=headers) for headers in (ENABLED, refused, {})]
    kept(gateway, gateway.post(token, CHAT_PATH, chat(), headers=ENABLED))  # all before it are done with
    assert [bodies(gateway, call) is not None for call in calls] == [True, False, default == "true"]


@pytest.mark.parametrize("bad", ["yes", "[]", '{"enabled": "yes"}', '{"enabled": 1}', "{" * 5000])
def test_a_bad_header_is_named(gateway: Gateway, token: str, bad: str) -> None:
    response = gateway.post(token, CHAT_PATH, chat(), headers={"x-tfy-logging-config": bad})
    assert_ours(response, 400, "invalid_request", "x-tfy-logging-config")


# --- how ----------------------------------------------------------------------------------------------------


def test_bodies_are_redacted_cut_and_encrypted(make_installation: InstallationMaker) -> None:
    env = {
        "GATEHOUSE_REQUEST_LOG_MAX_KB": "2",
        "GATEHOUSE_REQUEST_LOG_PATTERNS": '{"employee": "E[0-9]{6}"}',
    }
    gateway, token = started(make_installation, "always", **env)
    key = "sk-proj-" + "a1B2" * 8
    said = f"I am E123456, ada@example.com, my key is {key}, my card 4111 1111 1111 1111."
    row = kept(gateway, gateway.post(token, CHAT_PATH, chat(said)))
    assert "I am [employee], [email], my key is [secret], my card [card]." in row["request"]
    assert key not in row["response"]
    long = kept(gateway, gateway.post(token, CHAT_PATH, chat("word " * 5000)))
    assert len(long["request"]) == 2048
    assert long["request_bytes"] > 25_000
    assert b"I am" not in bytes.fromhex(row["sealed"])


def test_what_is_no_text_is_not_kept(make_installation: InstallationMaker) -> None:
    gateway, token = started(make_installation, "always")
    speech = gateway.post(token, "/v1/audio/speech", {"model": f"{ACCOUNT}/tts-1", "input": "hi", "voice": "alloy"})
    image = "data:image/png;base64," + "iVBORw0KGgo" * 500
    parts = [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": image}}]
    row = kept(gateway, gateway.post(token, CHAT_PATH, chat() | {"messages": [{"role": "user", "content": parts}]}))
    assert "data:image/png;base64,[5500 characters of base64]" in row["request"]
    if speech.status_code == 200:
        assert bodies(gateway, speech) is None


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("gh-abcdefghijklmnop1234567890", "secret"),
        ("ghp_abcdefghijklmnopqrst1234", "secret"),
        ("AKIAABCDEFGHIJKLMNOP", "secret"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijk", "secret"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "secret"),
        ("first.last+tag@mail.example.co.uk", "email"),
        ("4111-1111-1111-1111", "card"),
        ("DE89 3704 0044 0532 0130 00", "iban"),
    ],
)
def test_a_rule_finds_what_it_is_for(text: str, rule: str) -> None:
    assert Redactor(BUILT_IN, {}).text(f"a {text} b") == f"a [{rule}] b"


@pytest.mark.parametrize("text", ["a risky-business@ sign", "room 12345678", "gpt-4o-mini-2024-07-18", "sk-short"])
def test_a_rule_leaves_the_rest(text: str) -> None:
    assert Redactor(BUILT_IN, {}).text(text) == text


@pytest.mark.parametrize("piece", ["a" * 200_000, "a@" * 100_000, "1" * 200_000, "-----BEGIN PRIVATE KEY-----" * 8000])
def test_no_text_makes_the_redaction_slow(piece: str) -> None:
    began = time.process_time()
    Redactor(BUILT_IN, {}).text(piece)
    assert time.process_time() - began < 5


def test_a_pattern_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATTERNS", '{"bad": "("}')
    with pytest.raises(ImproperlyConfigured, match="'bad' is not a regular expression"):
        patterns("PATTERNS")


def test_memory_is_bounded() -> None:
    log = RequestLog(Redactor((), {}), limit=1000, memory=2500)
    for number in range(4):
        log.add(Bodies(f"req_{number}", "user", 1, "a", b"x" * 500, 500, [b"y" * 500], 500))
    assert log.dropped == 2
    capture = Capture(10)
    for _ in range(5):
        capture.add(b"abcd")
    assert (b"".join(capture.parts), capture.size) == (b"abcdabcdab", 20)


def test_a_database_that_is_away_costs_no_call(
    own_postgres: PostgresServer, make_installation: InstallationMaker, running_upstream: SandboxProcess
) -> None:
    with_database = {"DATABASE_URL": f"{own_postgres.url}/postgres"}
    place = make_installation(env={"GATEHOUSE_REQUEST_LOG": "always", **with_database}, seeded=False)
    assert place.command("migrate", "--verbosity=0").returncode == 0
    seed(place, running_upstream.url)
    gateway = place.gateway()
    token = gateway.token("t", user=USER)
    own_postgres.stop()
    response = gateway.post(token, CHAT_PATH, chat())
    assert response.status_code == 200
    wait_until(lambda: "Bodies can't be stored" in gateway.log)
    own_postgres.start()
    place.do("forget_connection")
    assert kept(gateway, response)["response"] == response.text


# --- who sees it, for how long ------------------------------------------------------------------------------


def page(client: Client, record: Any) -> str:
    response = client.get(reverse("admin:usage_usagerecord_change", args=[record.pk]))
    assert response.status_code == 200
    return str(response.content.decode())


def test_superusers_and_the_caller_see_bodies(installation: Console) -> None:
    record = installation.mine["usage"]
    LoggedCall.objects.create(
        request_id=record.request_id,
        created_at=datetime.now(UTC),
        subject_type="user",
        subject_id=1,
        account=record.account,
        request=seal(b'{"messages": ["<b>said</b>"]}'),
        request_bytes=30,
        response=seal(b"data: cut"),
        response_bytes=900,
    )
    shown = page(signed_in(installation.root), record)
    assert "&lt;b&gt;said&lt;/b&gt;" in shown
    assert "data: cut" in shown
    managed = page(signed_in(installation.mia), record)
    assert "said" not in managed
    assert "data: cut" not in managed


def test_a_key_that_is_gone_is_said(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal(b"text")
    assert unseal(sealed) == "text"
    settings.FERNET_KEYS = ["another-key-of-thirty-two-characters"]
    monkeypatch.setattr(request_log, "_cipher", EncryptedTextField())
    assert unseal(sealed) is None


def test_old_bodies_are_deleted(db: None) -> None:
    now = datetime.now(UTC)
    for number, days in enumerate((1, 29, 31, 90)):
        LoggedCall.objects.create(
            request_id=f"req_{number}",
            created_at=now - timedelta(days=days),
            subject_type="user",
            subject_id=1,
            account="a",
            request=b"",
            request_bytes=0,
            response=b"",
            response_bytes=0,
        )
    call_command("prune_request_log", batch=1)
    assert set(LoggedCall.objects.values_list("pk", flat=True)) == {"req_0", "req_1"}
    call_command("prune_request_log", days=0)
    assert not LoggedCall.objects.exists()


@pytest.mark.parametrize("name", BUILT_IN)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_whatever_a_rule_finds_has_its_hint(name: str, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(BUILT_IN[name]))
    assert HINTS[name](text)
    assert f"[{name}]" in Redactor([name], {}).text(text)


def test_a_rule_of_the_operator_needs_no_hint() -> None:
    assert Redactor(["card"], {"card": "plain"}).text("in plain words") == "in [card] words"
