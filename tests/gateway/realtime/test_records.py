"""What a session leaves in the ledger: a record for each response and transcription, and one for itself, each once."""

import asyncio
import base64
import time
from typing import Any

import pytest

from sandbox.media import tones
from tests.gateway.realtime.conftest import seed
from tests.support.fixtures import ACCOUNT, USER
from tests.support.installation import Gateway, Installation
from tests.support.sandbox_process import SandboxProcess
from tests.support.talk import MODEL, client, dial, events_until, say, say_bare, sound_pieces

ENDLESS = "[[sandbox: tokens=5000 token-delay=20]]"


class Ledger:
    """The records of a token of one test's own."""

    def __init__(self, gateway: Gateway, name: str) -> None:
        self.installation = gateway.installation
        self.name = name
        self.token = gateway.token(name, user=USER)

    def records(self, count: int) -> dict[str, list[dict[str, Any]]]:
        """All records, by operation, once there are ``count``; fails when there are more."""
        found = self.installation.records(count, token_prefix=self.token[:10])
        assert len(found) == count, [(row["operation"], row["error_class"]) for row in found]
        sorted_: dict[str, list[dict[str, Any]]] = {}
        for row in found:
            sorted_.setdefault(row["operation"], []).append(row)
        return sorted_


@pytest.fixture
def ledger(server: Gateway, request: pytest.FixtureRequest) -> Ledger:
    return Ledger(server, request.node.name)


async def test_each_response_is_charged(server: Gateway, ledger: Ledger) -> None:
    usage = (
        "[[sandbox: input_tokens=100 audio_input_tokens=40 cached_tokens=64 output_tokens=30 audio_output_tokens=20]]"
    )
    async with client(server, ledger.token).realtime.connect(model=MODEL) as connection:
        await connection.session.update(session={"type": "realtime", "instructions": "x"})
        ids = []
        for text in (f"hi {usage}", "hi"):
            await say(connection, text)
            ids.append((await events_until(connection, "response.done"))[-1].response.id)

    found = ledger.records(3)
    assert [row["object_id"] for row in found["realtime"]] == ids
    row = found["realtime"][0]
    assert (row["status"], row["error_class"], row["model_asked"]) == (101, "", f"{ACCOUNT}/{MODEL}")
    assert (row["input_tokens"], row["audio_input_tokens"], row["cached_tokens"]) == (100, 40, 64)
    assert (row["output_tokens"], row["audio_output_tokens"]) == (30, 20)
    # Cached tokens are text first here: 64 or as many as the text has, the rest cached audio.
    sound = row["units"].get("cache_audio_read_tokens", 0)
    text = 100 - 40 - (64 - sound)
    assert (
        row["cost_pico"]
        == 5_000_000 * text + 2_500_000 * 64 + 40_000_000 * (40 - sound) + 20_000_000 * 10 + 80_000_000 * 20
    )
    assert 0 < row["ttft_us"] < row["latency_us"]
    session = found["realtime_session"][0]
    assert (session["cost_pico"], session["error_class"], session["input_tokens"]) == (0, "", 0)
    assert session["units"]["session_ms"] > 0
    assert session["object_id"].startswith("sess_")
    assert len({row["id"] for rows in found.values() for row in rows}) == 3


async def test_a_transcription_is_charged_at_its_own_models_price(voices: Gateway) -> None:
    ledger = Ledger(voices, "transcribing")
    async with dial(voices, ledger.token, f"/live/{ACCOUNT}/realtime?intent=transcription") as socket:
        await socket.send(
            "session.update",
            session={
                "type": "transcription",
                "audio": {"input": {"transcription": {"model": "gpt-4o-mini-transcribe"}}},
            },
        )
        for piece in sound_pieces("take a letter"):
            await socket.send("input_audio_buffer.append", audio=piece)
        done = await socket.until("conversation.item.input_audio_transcription.completed")
    row = ledger.records(2)["realtime_transcription"][0]
    assert row["model_asked"] == f"{ACCOUNT}/gpt-4o-mini-transcribe"
    assert row["audio_input_tokens"] == row["input_tokens"] == done["usage"]["input_tokens"]
    assert row["cost_pico"] == row["input_tokens"] * 3_000_000 + row["output_tokens"] * 5_000_000


async def test_translations_and_live_sessions_are_charged_by_the_minute(voices: Gateway) -> None:
    ledger = Ledger(voices, "minutes")
    pieces = [base64.b64encode(piece).decode() for piece in tones.pcm("guten Morgen")]
    async with dial(
        voices, ledger.token, f"/live/{ACCOUNT}/realtime/translations?model=gpt-realtime-translate"
    ) as socket:
        for piece in pieces:
            await socket.send("session.input_audio_buffer.append", audio=piece)
        await socket.send("session.close")
        await socket.until("session.closed")
    async with dial(voices, ledger.token, f"/live/{ACCOUNT}/live/sessions") as socket:
        delegation = {"type": "responses", "responses": {"model": "gpt-4o-mini"}}
        await socket.send("session.start", session={"model": "gpt-live-1", "delegation": delegation})
        for piece in pieces:
            await socket.send("session.input_audio.append", audio=piece)
        await socket.send("response.create")
        await socket.send("session.close")
        seconds = (await socket.until("session.closed"))["usage"]["seconds"]
    found = ledger.records(3)
    translation = found["realtime_session"][0]
    assert translation["units"]["input_audio_ms"] == translation["units"]["output_audio_ms"] == 800
    assert translation["cost_pico"] == round(800 * 17 / 30_000_000 * 1e12)
    live = found["live_session"][0]
    assert live["model_asked"] == f"{ACCOUNT}/gpt-live-1"
    assert live["units"]["audio_ms"] == seconds * 1000 == 800
    assert live["cost_pico"] == round(800 / 1_200_000 * 1e12)
    delegated = found["live"][0]
    assert (delegated["model_served"], delegated["input_tokens"], delegated["output_tokens"]) == ("gpt-4o-mini", 20, 7)
    assert delegated["cost_pico"] > 0


async def test_a_client_that_leaves_amid_a_response(server: Gateway, ledger: Ledger) -> None:
    async with dial(server, ledger.token) as socket:
        await socket.event()
        await _begin(socket)
    row = ledger.records(2)["realtime"][0]
    # The gateway asked the vendor to stop, and was told what was used until then.
    assert row["client_gone"] is False
    assert row["output_tokens"] > 0
    assert row["cost_pico"] > 0


async def test_a_browser_that_goes_elsewhere(server: Gateway, ledger: Ledger) -> None:
    async with dial(server, ledger.token) as socket:
        await socket.event()
        await socket.socket.close(code=1001)
    session = ledger.records(1)["realtime_session"][0]
    assert (session["error_class"], session["client_gone"]) == ("", False)


async def test_a_client_that_is_lost_amid_a_response(server: Gateway, ledger: Ledger) -> None:
    async with dial(server, ledger.token) as socket:
        await socket.event()
        await _begin(socket)
        transport = socket.socket._response.connection.transport  # type: ignore[union-attr]
        transport.abort()  # type: ignore[union-attr]
        found = await asyncio.to_thread(ledger.records, 2)
    assert found["realtime"][0]["output_tokens"] > 0
    session = found["realtime_session"][0]
    assert (session["error_class"], session["client_gone"]) == ("client_closed_request", True)


async def test_a_response_that_reports_no_usage_is_estimated(server: Gateway, ledger: Ledger) -> None:
    async with client(server, ledger.token).realtime.connect(model=MODEL) as connection:
        for sound in sound_pieces("How are you?")[:-1]:  # without the silence that would ask for an answer
            await connection.input_audio_buffer.append(audio=sound)
        await say(connection, "hi [[sandbox: no-usage]]")
        await events_until(connection, "response.done")
    (row,) = ledger.records(2)["realtime"]
    assert row["estimated"]
    assert row["audio_input_tokens"] == row["input_tokens"] > 0
    assert 0 < row["audio_output_tokens"] < row["output_tokens"]
    assert row["cost_pico"] > 0


async def test_an_upstream_that_is_lost_amid_a_response(server: Gateway, ledger: Ledger) -> None:
    async with dial(server, ledger.token) as socket:
        await socket.event()
        await _begin(socket, "[[sandbox: tokens=50 cut-after=10 reset]]")
        event = await socket.until("error")
        assert event["error"]["code"] == "upstream_disconnected"
        assert await socket.closed() == (1011, "upstream_disconnected")
    found = ledger.records(2)
    row = found["realtime"][0]
    assert (row["error_class"], row["estimated"]) == ("upstream_disconnected", True)
    assert row["output_tokens"] > 0, "what came before the end is estimated"
    assert row["cost_pico"] > 0
    assert found["realtime_session"][0]["error_class"] == "upstream_disconnected"


async def test_a_worker_that_is_killed_amid_a_response(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Any, realtime_upstream: SandboxProcess
) -> None:
    with Installation(tmp_path_factory.mktemp("killed") / "data", migrated_data) as installation:
        seed(installation, realtime_upstream)
        token = installation.do("token", "killed", user=USER)
        gateway = installation.gateway()
        async with dial(gateway, token) as socket:
            await socket.event()
            await say_bare(socket, "hi")
            await socket.until("response.done")
            await _begin(socket)
            gateway.kill()
        installation.gateway()
        found = installation.records(3, seconds=30)
    assert sorted((row["operation"], row["error_class"]) for row in found) == [
        ("realtime", ""),
        ("realtime", "interrupted"),
        ("realtime_session", "interrupted"),
    ]
    assert len({row["object_id"] for row in found if row["operation"] == "realtime"}) == 2


async def test_a_token_revoked_during_the_session(voices: Gateway) -> None:
    ledger = Ledger(voices, "to-be-revoked")
    async with dial(voices, ledger.token) as socket:
        await socket.event()
        await _begin(socket)
        voices.installation.do("revoke", ledger.name)
        started = time.monotonic()
        assert (await socket.until("error"))["error"]["code"] == "token_revoked"
        assert (await socket.closed())[0] == 4401
        assert time.monotonic() - started < 1
    found = ledger.records(2)
    assert found["realtime_session"][0]["error_class"] == "token_revoked"


async def test_an_account_disabled_during_the_session(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Any, realtime_upstream: SandboxProcess
) -> None:
    with Installation(tmp_path_factory.mktemp("disabled") / "data", migrated_data) as installation:
        seed(installation, realtime_upstream)
        token = installation.do("token", "disabled", user=USER)
        gateway = installation.gateway()
        async with dial(gateway, token) as socket:
            await socket.event()
            installation.do("change_account", ACCOUNT, enabled=False)
            started = time.monotonic()
            assert (await socket.until("error"))["error"]["code"] == "access_ended"
            assert (await socket.closed())[0] == 4403
            assert time.monotonic() - started < 1


async def _begin(socket: Any, text: str = ENDLESS) -> None:
    """Have a response begun, and wait for its first word."""
    await say_bare(socket, text)
    await socket.until("response.output_text.delta")
