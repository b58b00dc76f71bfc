"""Slow sides: each slows the other, and the gateway holds next to nothing in between."""

import asyncio
import json
import time
from pathlib import Path

from tests.gateway.realtime.conftest import FLOOD, Scripted
from tests.support.installation import Gateway
from tests.support.talk import SECONDS, dial, say_bare

FLOOD_MESSAGES = 1600  # of 64 kB: 100 MB
MAY_GROW = 24 * 2**20
STILL_SECONDS = 1.0


def memory(gateway: Gateway) -> int:
    """The server process's resident memory in bytes."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


async def settled(gateway: Gateway, seconds: float = STILL_SECONDS) -> int:
    """The highest memory seen for a while."""
    highest, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        highest = max(highest, memory(gateway))
        await asyncio.sleep(0.05)
    return highest


async def test_a_client_that_does_not_read(voices: Gateway, voice_token: str, scripted: Scripted) -> None:
    scripted.flood = FLOOD_MESSAGES
    before = memory(voices)
    async with dial(voices, voice_token, scripted.path) as socket:
        transport = socket.socket._response.connection.transport  # type: ignore[union-attr]
        transport.pause_reading()  # type: ignore[union-attr]
        highest = await settled(voices)
        sent = scripted.sent
        assert sent < FLOOD_MESSAGES / 4, "the upstream was not slowed"
        assert highest - before < MAY_GROW
        await asyncio.sleep(0.2)
        assert scripted.sent == sent, "it went on while no one read"

        transport.resume_reading()  # type: ignore[union-attr]
        for number in range(FLOOD_MESSAGES):
            message = await socket.socket.receive(SECONDS)
            assert message.data == FLOOD % number
    assert memory(voices) - before < MAY_GROW


async def test_an_upstream_that_does_not_read(voices: Gateway, voice_token: str, scripted: Scripted) -> None:
    scripted.deaf = True
    event = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * 65536})
    before = memory(voices)
    sent = 0
    async with dial(voices, voice_token, scripted.path) as socket:
        try:
            for _ in range(FLOOD_MESSAGES):
                await asyncio.wait_for(socket.socket.send_str(event), STILL_SECONDS)
                sent += 1
        except TimeoutError:
            pass
        assert 0 < sent < FLOOD_MESSAGES / 4, "the client was not slowed"
        assert await settled(voices, 0.3) - before < MAY_GROW
        scripted.hear.set()
        await socket.socket.send_str('{"type":"input_audio_buffer.clear"}')
        async with asyncio.timeout(SECONDS):
            while not (scripted.received and "clear" in str(scripted.received[-1])[:60]):
                await asyncio.sleep(0.02)
    # The message that the time ran out on was sent nevertheless.
    assert len(scripted.received) in (sent + 1, sent + 2)
    assert set(scripted.received[:-1]) == {event}


async def test_a_large_message(voices: Gateway, voice_token: str, scripted: Scripted) -> None:
    event = json.dumps({"type": "input_audio_buffer.append", "audio": "A" * (16 * 2**20)})
    async with dial(voices, voice_token, scripted.path) as socket:
        await socket.socket.send_str(event)
        async with asyncio.timeout(SECONDS):
            while not scripted.received:
                await asyncio.sleep(0.02)
    assert scripted.received == [event]


async def test_a_hundred_sessions_leave_nothing(voices: Gateway, voice_token: str) -> None:
    async def one() -> None:
        async with dial(voices, voice_token) as socket:
            await socket.event()
            await say_bare(socket, "Count from 1 to 5.")
            await socket.until("response.done")

    async def many() -> None:
        for _ in range(5):
            await asyncio.gather(*(one() for _ in range(20)))

    await many()
    before = await settled(voices, 0.2)
    await many()
    assert await settled(voices, 0.2) - before < 4 * 2**20
