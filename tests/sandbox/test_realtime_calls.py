"""Calls at the sandbox: an answer to each offer, and events on the sidebands."""

from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError

from tests.support.sandbox_process import SandboxProcess
from tests.support.talk import events_until

OFFER = "v=0\r\ns=-\r\n"
SESSION: Any = {
    "type": "realtime",
    "model": "gpt-realtime",
    "output_modalities": ["text"],
    "instructions": "[[sandbox: output_tokens=7]]",
}


async def test_a_call(sandbox: SandboxProcess) -> None:
    async with AsyncOpenAI(base_url=sandbox.url, api_key="sk-sandbox", max_retries=0) as sdk:
        answer = await sdk.realtime.calls.with_raw_response.create(sdp=OFFER, session=SESSION)
        assert answer.http_response.text.startswith("v=0\r\n")
        call_id = answer.headers["location"].removeprefix("/v1/realtime/calls/")
        async with sdk.realtime.connect(call_id=call_id) as first, sdk.realtime.connect(call_id=call_id) as second:
            for sideband in (first, second):
                assert (await events_until(sideband, "session.created"))[0].session.model == "gpt-realtime"
            assert (await events_until(first, "response.done"))[-1].response.usage.output_tokens == 7
            await sdk.realtime.calls.hangup(call_id)
            await first._connection.wait_closed()
            await second._connection.wait_closed()
        with pytest.raises(NotFoundError, match="No session found"):
            await sdk.realtime.calls.hangup(call_id)


async def test_incoming_calls(sandbox: SandboxProcess) -> None:
    async with AsyncOpenAI(base_url=sandbox.url, api_key="sk-sandbox", max_retries=0) as sdk:
        await sdk.realtime.calls.accept("rtc_1", **SESSION)
        await sdk.realtime.calls.refer("rtc_1", target_uri="tel:+14155550123")
        await sdk.realtime.calls.reject("rtc_2", status_code=486)
        assert sandbox.post("/realtime/calls/rtc_2/accept", SESSION).status_code == 409
        with pytest.raises(BadRequestError, match="Invalid SDP offer"):
            await sdk.realtime.calls.create(sdp="hello", session=SESSION)
