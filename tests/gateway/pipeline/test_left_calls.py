"""A call that its client leaves is priced: the vendor's usage is waited for where it is about to come, and estimated
where the call is ended.
"""

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import toktok
from openai import AsyncOpenAI, OpenAI

from tests.support.fixtures import USER
from tests.support.installation import Gateway, Installation, promised
from tests.support.manifests import chat_model, provider
from tests.support.stage import Stage, Turn, completion, usage

PROMPT = "Tell me a story about a lighthouse keeper who collects forgotten words."
STORY = "Once upon a time there was a lighthouse whose keeper wrote every forgotten word into a book."
MESSAGES: list[Any] = [{"role": "user", "content": PROMPT}]
# Four tokens a message and three a conversation, as OpenAI counts them.
ASKED = toktok.batch_count([PROMPT], "o200k_base")[0] + 4 + 3
ANSWERED = toktok.batch_count([STORY], "o200k_base")[0]
INPUT_PICO, OUTPUT_PICO = 150_000, 600_000  # gpt-4o-mini, a token
MODELS = (
    "gpt-4o-mini",
    "gpt-3.5-turbo-instruct",
    "text-embedding-3-small",
    "tts-1",
    "gpt-image-1",
    "gpt-image-1.5",
    "gpt-image-2",
    chat_model("strange", model_id="of-no-known-family"),
)
AT_ONCE = 0.5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, stage: Stage) -> Iterator[Gateway]:
    """A gateway with the accounts ``hasty``, whose calls end with their client, and ``patient``, whose vendor may
    finish.
    """
    with Installation(tmp_path_factory.mktemp("left") / "data", migrated_data) as installation:
        installation.apply(
            provider("hasty", stage.url, models=MODELS),
            provider("patient", stage.url, models=MODELS, finish_seconds=1.5),
            provider("narrow", stage.url, models=MODELS, connection_limit=1),
        )
        yield installation.gateway()


@pytest.fixture(scope="module")
def token(server: Gateway) -> str:
    return server.token("leaver", user=USER)


@pytest.fixture
def client(server: Gateway, token: str) -> Iterator[OpenAI]:
    with server.sdk(token) as sdk:
        yield sdk


@pytest.fixture
def caller(server: Gateway, token: str) -> AsyncOpenAI:
    return server.async_sdk(token)


def record_of(server: Gateway, **filters: Any) -> dict[str, Any]:
    """The record of a call that its client left."""
    (record,) = server.installation.records(1, **filters)
    assert record["client_gone"] is True
    assert record["error_class"] == "client_closed_request"
    return record


def stream_story(turn: Turn, *, finish: bool) -> None:
    """Stream the story, word by word, and the finish reason."""
    turn.begin_stream()
    turn.event({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]})
    words = STORY.split(" ")
    for place, word in enumerate(words):
        turn.text(word if place == 0 else f" {word}")
    if finish:
        turn.text("", finish_reason="stop")


def finished_story(turn: Turn) -> None:
    """Stream the story to its finish reason; the usage behind it never comes."""
    stream_story(turn, finish=True)
    turn.wait_until_left()


def cut_story(turn: Turn) -> None:
    """Stream the story, and nothing more."""
    stream_story(turn, finish=False)
    turn.wait_until_left()


def seconds_until_left(stage: Stage, moment: float) -> float:
    """Return how long after ``moment`` the gateway left the upstream."""
    left_at = stage.ended().left_at
    assert left_at is not None
    return left_at - moment


def assert_estimated(record: dict[str, Any]) -> None:
    """Check that the whole story is charged by an estimate."""
    assert (record["input_tokens"], record["output_tokens"], record["estimated"]) == (ASKED, ANSWERED, True)
    assert record["cost_pico"] == ASKED * INPUT_PICO + ANSWERED * OUTPUT_PICO


def read_until(client: OpenAI, model: str, last: str, **options: Any) -> tuple[str, float]:
    """Read a chat stream up to ``last`` (or, ``stop``, its finish reason), leave; return request id and when."""
    with client.chat.completions.with_streaming_response.create(
        model=model, messages=MESSAGES, stream=True, **options
    ) as response:
        text = ""
        for line in response.iter_lines():
            text += line
            if last in text:
                break
        return response.headers["x-request-id"], time.time()


# --- a stream behind its last output ------------------------------------------------------------------------------


@pytest.mark.parametrize("wants_usage", [False, True])
def test_the_usage_behind_the_finish_reason_is_waited_for(
    server: Gateway, client: OpenAI, stage: Stage, wants_usage: bool
) -> None:
    def script(turn: Turn) -> None:
        stream_story(turn, finish=True)
        time.sleep(0.4)
        turn.usage(100, 50)
        turn.event("[DONE]")

    stage.play(script)
    options = {"stream_options": {"include_usage": True}} if wants_usage else {}
    stream = client.chat.completions.create(model="hasty/gpt-4o-mini", messages=MESSAGES, stream=True, **options)
    for chunk in stream:
        if chunk.choices and chunk.choices[0].finish_reason:
            break
    stream.close()
    record = record_of(server, request_id=stream.response.headers["x-request-id"])
    assert (record["input_tokens"], record["output_tokens"], record["estimated"]) == (100, 50, False)
    assert record["cost_pico"] == 100 * INPUT_PICO + 50 * OUTPUT_PICO
    assert (record["status"], record["upstream_status"], record["stream"]) == (200, 200, True)


def test_usage_that_never_comes_is_waited_for_two_seconds(server: Gateway, client: OpenAI, stage: Stage) -> None:
    stage.play(finished_story)
    request_id, moment = read_until(client, "hasty/gpt-4o-mini", '"stop"')
    record = record_of(server, request_id=request_id)
    assert 1.9 <= seconds_until_left(stage, moment) <= promised(2.6)
    assert_estimated(record)


def test_one_of_two_choices_at_its_end_is_not_the_end(server: Gateway, client: OpenAI, stage: Stage) -> None:
    stage.play(finished_story)
    request_id, moment = read_until(client, "hasty/gpt-4o-mini", '"stop"', n=2)
    assert record_of(server, request_id=request_id)["estimated"] is True
    assert seconds_until_left(stage, moment) <= promised(AT_ONCE)


# --- a stream before its last output ------------------------------------------------------------------------------


def test_a_stream_that_is_cut_is_ended_at_once_and_estimated(server: Gateway, client: OpenAI, stage: Stage) -> None:
    stage.play(cut_story)
    request_id, moment = read_until(client, "hasty/gpt-4o-mini", " book.")
    record = record_of(server, request_id=request_id)
    assert seconds_until_left(stage, moment) <= promised(AT_ONCE)
    assert_estimated(record)
    assert (record["status"], record["upstream_status"]) == (200, 200)


def test_a_long_stream_is_counted_by_its_beginning(server: Gateway, client: OpenAI, stage: Stage) -> None:
    repeats = 60

    def script(turn: Turn) -> None:
        turn.begin_stream()
        for _ in range(repeats):
            for word in STORY.split(" "):
                turn.text(f" {word}")
        turn.text(" THE-END")
        turn.wait_until_left()

    stage.play(script)
    request_id, _ = read_until(client, "hasty/gpt-4o-mini", "THE-END")
    record = record_of(server, request_id=request_id)
    assert record["bytes_out"] > 2 * 2**16
    assert record["output_tokens"] == pytest.approx(repeats * ANSWERED, rel=0.05)


def test_what_a_vendor_said_on_the_way_stays(server: Gateway, client: OpenAI, stage: Stage) -> None:
    """Some report usage with every chunk: what is known needs no estimate."""

    def script(turn: Turn) -> None:
        stream_story(turn, finish=False)
        turn.event({"choices": [{"index": 0, "delta": {"content": " More"}}], "usage": usage(90, 30)})
        turn.wait_until_left()

    stage.play(script)
    request_id, _ = read_until(client, "hasty/gpt-4o-mini", " More")
    record = record_of(server, request_id=request_id)
    assert (record["input_tokens"], record["output_tokens"]) == (90, 30)


def test_a_model_without_a_price_is_estimated_and_stays_unpriced(server: Gateway, client: OpenAI, stage: Stage) -> None:
    stage.play(cut_story)
    request_id, _ = read_until(client, "hasty/strange", " book.")
    record = record_of(server, request_id=request_id)
    assert (record["input_tokens"], record["output_tokens"], record["estimated"]) == (ASKED, ANSWERED, True)
    assert record["cost_pico"] is None


def test_a_revoked_caller_is_estimated_too(server: Gateway, stage: Stage) -> None:
    stage.play(cut_story)
    token = server.token("revoked-soon", user=USER)
    with server.sdk(token) as sdk:
        stream = sdk.chat.completions.create(model="hasty/gpt-4o-mini", messages=MESSAGES, stream=True)
        next(iter(stream))
        server.installation.do("revoke", "revoked-soon")
        stage.ended()
        (record,) = server.installation.records(1, request_id=stream.response.headers["x-request-id"])
        stream.close()
    assert (record["error_class"], record["client_gone"], record["estimated"]) == ("token_revoked", False, True)
    assert record["input_tokens"] == ASKED
    assert record["cost_pico"] > 0


# --- calls that are waited for ------------------------------------------------------------------------------------


async def leave(call: Any, stage: Stage, after: float = 0.3) -> float:
    """Cancel a call of the SDK once it has reached the stage and ``after`` seconds have passed; return when."""
    task = asyncio.ensure_future(call)
    await asyncio.to_thread(stage.turn)
    await asyncio.sleep(after)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return time.time()


def hang(turn: Turn) -> None:
    turn.wait_until_left()


async def test_a_plain_call_that_is_dropped(server: Gateway, caller: AsyncOpenAI, stage: Stage) -> None:
    stage.play(hang)
    tag = {"x-tfy-metadata": json.dumps({"case": "dropped"})}
    moment = await leave(
        caller.chat.completions.create(model="hasty/gpt-4o-mini", messages=MESSAGES, extra_headers=tag), stage
    )
    assert seconds_until_left(stage, moment) <= promised(AT_ONCE)
    record = record_of(server, metadata__case="dropped")
    assert (record["input_tokens"], record["output_tokens"], record["estimated"]) == (ASKED, 0, True)
    assert (record["status"], record["upstream_status"], record["cost_pico"]) == (499, 0, ASKED * INPUT_PICO)


async def test_a_plain_call_whose_vendor_may_finish(server: Gateway, caller: AsyncOpenAI, stage: Stage) -> None:
    def script(turn: Turn) -> None:
        time.sleep(1)
        turn.answer(completion(STORY, 100, 50))

    stage.play(script)
    tag = {"x-tfy-metadata": json.dumps({"case": "finished"})}
    await leave(
        caller.chat.completions.create(model="patient/gpt-4o-mini", messages=MESSAGES, extra_headers=tag), stage
    )
    record = record_of(server, metadata__case="finished")
    assert (record["input_tokens"], record["output_tokens"], record["estimated"]) == (100, 50, False)
    assert (record["status"], record["upstream_status"]) == (499, 200)
    assert record["cost_pico"] == 100 * INPUT_PICO + 50 * OUTPUT_PICO
    assert "status=499" in next(line for line in server.log.splitlines() if record["request_id"] in line)


async def test_a_vendor_that_does_not_finish_in_time(server: Gateway, caller: AsyncOpenAI, stage: Stage) -> None:
    stage.play(hang)
    tag = {"x-tfy-metadata": json.dumps({"case": "late"})}
    moment = await leave(
        caller.chat.completions.create(model="patient/gpt-4o-mini", messages=MESSAGES, extra_headers=tag), stage
    )
    assert 1.4 <= await asyncio.to_thread(seconds_until_left, stage, moment) <= promised(2.2)
    record = record_of(server, metadata__case="late")
    assert (record["input_tokens"], record["estimated"], record["cost_pico"]) == (ASKED, True, ASKED * INPUT_PICO)


async def test_nothing_is_tried_again_without_a_client(server: Gateway, caller: AsyncOpenAI, stage: Stage) -> None:
    def script(turn: Turn) -> None:
        time.sleep(0.7)
        turn.answer({"error": {"message": "busy"}}, 503)

    stage.play(script)
    headers = {
        "x-tfy-metadata": json.dumps({"case": "once"}),
        "x-tfy-retry-config": json.dumps({"attempts": 3}),
    }
    await leave(
        caller.chat.completions.create(model="patient/gpt-4o-mini", messages=MESSAGES, extra_headers=headers), stage
    )
    (record,) = server.installation.records(1, metadata__case="once")
    assert (record["upstream_status"], record["cost_pico"], record["estimated"]) == (503, 0, False)
    await asyncio.sleep(0.6)
    assert len(stage.turns) == 1


async def test_a_stream_whose_vendor_may_finish(server: Gateway, caller: AsyncOpenAI, stage: Stage) -> None:
    def script(turn: Turn) -> None:
        stream_story(turn, finish=False)
        time.sleep(0.8)
        turn.text("", finish_reason="stop")
        turn.usage(100, 50)
        turn.event("[DONE]")

    stage.play(script)
    stream = await caller.chat.completions.create(model="patient/gpt-4o-mini", messages=MESSAGES, stream=True)
    await anext(aiter(stream))
    await stream.close()
    record = record_of(server, request_id=stream.response.headers["x-request-id"])
    assert (record["input_tokens"], record["output_tokens"], record["estimated"]) == (100, 50, False)


async def test_a_call_that_never_left_costs_nothing(server: Gateway, caller: AsyncOpenAI, stage: Stage) -> None:
    """It waits for the account's only connection when its client goes."""
    stage.play(hang)
    first = asyncio.ensure_future(caller.chat.completions.create(model="narrow/gpt-4o-mini", messages=MESSAGES))
    await asyncio.to_thread(stage.turn)
    tag = {"x-tfy-metadata": json.dumps({"case": "unsent"})}
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.5):
            await caller.chat.completions.create(model="narrow/gpt-4o-mini", messages=MESSAGES, extra_headers=tag)
    record = record_of(server, metadata__case="unsent")
    assert (record["input_tokens"], record["cost_pico"], record["estimated"]) == (0, 0, False)
    assert len(stage.turns) == 1
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


# --- other operations, other content ------------------------------------------------------------------------------

LEFT_OPERATIONS: dict[str, tuple[str, dict[str, Any], int, str]] = {
    "embeddings": (
        "/v1/embeddings",
        {"model": "hasty/text-embedding-3-small", "input": [PROMPT, STORY]},
        sum(toktok.batch_count([PROMPT, STORY], "cl100k_base")),
        "embeddings",
    ),
    "token ids": (
        "/v1/embeddings",
        {"model": "hasty/text-embedding-3-small", "input": [[1, 2, 3], [4, 5]]},
        5,
        "embeddings",
    ),
    "completions": (
        "/v1/completions",
        {"model": "hasty/gpt-3.5-turbo-instruct", "prompt": PROMPT},
        toktok.batch_count([PROMPT], "cl100k_base")[0],
        "text_completion",
    ),
    "responses": (
        "/v1/responses",
        {"model": "hasty/gpt-4o-mini", "input": PROMPT, "instructions": STORY, "store": False},
        sum(toktok.batch_count([PROMPT, STORY], "o200k_base")),
        "responses",
    ),
    "tools and pictures": (
        "/v1/chat/completions",
        {
            "model": "hasty/gpt-4o-mini",
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": PROMPT},
                        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                        {"type": "image_url", "image_url": {"url": "https://example.com/x.png", "detail": "low"}},
                    ],
                }
            ],
            "tools": [{"type": "function", "function": {"name": "look"}}],
        },
        ASKED + toktok.batch_count(['[{"type":"function","function":{"name":"look"}}]'], "o200k_base")[0] + 765 + 85,
        "chat",
    ),
}


@pytest.mark.parametrize("case", LEFT_OPERATIONS)
def test_other_operations(server: Gateway, token: str, stage: Stage, case: str) -> None:
    path, body, expected, operation = LEFT_OPERATIONS[case]
    stage.play(hang)
    headers = {"authorization": f"Bearer {token}", "x-tfy-metadata": json.dumps({"case": case})}
    with httpx.Client(trust_env=False, timeout=0.6) as http, pytest.raises(httpx.ReadTimeout):
        http.post(server.origin + path, json=body, headers=headers)
    record = record_of(server, metadata__case=case)
    assert (record["input_tokens"], record["operation"], record["estimated"]) == (expected, operation, True)
    assert record["cost_pico"] > 0


def test_audio_counts_by_its_length(server: Gateway, token: str, stage: Stage) -> None:
    second = base64.b64encode(bytes(48_000)).decode()
    content = [{"type": "input_audio", "input_audio": {"data": second, "format": "wav"}}]
    stage.play(hang)
    headers = {"authorization": f"Bearer {token}", "x-tfy-metadata": json.dumps({"case": "audio"})}
    body = {"model": "hasty/gpt-4o-mini", "messages": [{"role": "user", "content": content}]}
    with httpx.Client(trust_env=False, timeout=0.6) as http, pytest.raises(httpx.ReadTimeout):
        http.post(f"{server.origin}/v1/chat/completions", json=body, headers=headers)
    record = record_of(server, metadata__case="audio")
    assert (record["audio_input_tokens"], record["input_tokens"]) == (10, 10 + 4 + 3)


def test_speech_is_billed_by_its_characters(server: Gateway, token: str, stage: Stage) -> None:
    stage.play(hang)
    headers = {"authorization": f"Bearer {token}", "x-tfy-metadata": json.dumps({"case": "speech"})}
    body = {"model": "hasty/tts-1", "input": STORY, "voice": "alloy"}
    with httpx.Client(trust_env=False, timeout=0.6) as http, pytest.raises(httpx.ReadTimeout):
        http.post(f"{server.origin}/v1/audio/speech", json=body, headers=headers)
    record = record_of(server, metadata__case="speech")
    assert (record["units"], record["estimated"]) == ({"input_characters": len(STORY)}, True)
    assert record["cost_pico"] == len(STORY) * 15_000_000


@pytest.mark.parametrize(
    ("model", "tokens", "pico", "gaps"),
    [
        ("gpt-image-1", 2 * 272, 40_000_000, ""),
        ("gpt-image-1.5", 2 * 272, 32_000_000, ""),
        ("gpt-image-2", 0, 0, "output_image_tokens"),
    ],
)
def test_images_are_billed_by_the_tokens_that_are_published(
    server: Gateway, token: str, stage: Stage, model: str, tokens: int, pico: int, gaps: str
) -> None:
    stage.play(hang)
    headers = {"authorization": f"Bearer {token}", "x-tfy-metadata": json.dumps({"case": model})}
    body = {"model": f"hasty/{model}", "prompt": PROMPT, "n": 2, "quality": "low", "size": "1024x1024"}
    with httpx.Client(trust_env=False, timeout=0.6) as http, pytest.raises(httpx.ReadTimeout):
        http.post(f"{server.origin}/v1/images/generations", json=body, headers=headers)
    record = record_of(server, metadata__case=model)
    assert (record["output_tokens"], record["image_output_tokens"], record["estimated"]) == (tokens, tokens, True)
    assert (record["units"], record["price_gaps"]) == ({"images:low:1024x1024": 2}, gaps)
    assert record["cost_pico"] == record["input_tokens"] * 5_000_000 + tokens * pico
    assert record["input_tokens"] > 0


def test_a_stream_of_images_that_is_cut(server: Gateway, client: OpenAI, stage: Stage) -> None:
    def script(turn: Turn) -> None:
        turn.begin_stream()
        turn.event({"type": "image_generation.partial_image", "b64_json": "AAAA", "partial_image_index": 0})
        turn.wait_until_left()

    stage.play(script)
    stream = client.images.generate(
        model="hasty/gpt-image-1", prompt=PROMPT, quality="low", size="1024x1024", stream=True, partial_images=2
    )
    next(iter(stream))
    stream.close()
    record = record_of(server, request_id=stream.response.headers["x-request-id"])
    assert (record["output_tokens"], record["image_output_tokens"], record["estimated"]) == (472, 472, True)
    assert record["cost_pico"] == record["input_tokens"] * 5_000_000 + 472 * 40_000_000


def test_a_stream_of_responses_that_is_cut(server: Gateway, client: OpenAI, stage: Stage) -> None:
    def script(turn: Turn) -> None:
        turn.begin_stream()
        response = {"id": "resp_1", "object": "response", "status": "in_progress", "output": []}
        turn.event({"type": "response.created", "response": response, "sequence_number": 0})
        for word in STORY.split(" "):
            turn.event({"type": "response.output_text.delta", "item_id": "msg_1", "delta": f" {word}"})
        turn.event({"type": "response.output_text.done", "item_id": "msg_1", "text": f" {STORY}"})
        turn.wait_until_left()

    stage.play(script)
    stream = client.responses.create(model="hasty/gpt-4o-mini", input=PROMPT, stream=True, store=False)
    for event in stream:
        if event.type == "response.output_text.done":
            break
    stream.close()
    record = record_of(server, request_id=stream.response.headers["x-request-id"])
    assert record["output_tokens"] == toktok.batch_count([f" {STORY}"], "o200k_base")[0]
    assert (record["input_tokens"], record["estimated"]) == (ASKED - 7, True)


def test_a_stream_of_completions_behind_its_end(server: Gateway, client: OpenAI, stage: Stage) -> None:
    def script(turn: Turn) -> None:
        turn.begin_stream()
        turn.event({"choices": [{"index": 0, "text": STORY, "finish_reason": "stop"}]})
        time.sleep(0.3)
        turn.event({"choices": [], "usage": usage(20, 30)})
        turn.event("[DONE]")

    stage.play(script)
    stream = client.completions.create(model="hasty/gpt-3.5-turbo-instruct", prompt=PROMPT, stream=True)
    next(iter(stream))
    stream.close()
    record = record_of(server, request_id=stream.response.headers["x-request-id"])
    assert (record["input_tokens"], record["output_tokens"], record["estimated"]) == (20, 30, False)


# --- what is shown ------------------------------------------------------------------------------------------------


def test_estimates_are_counted_in_the_report(server: Gateway, client: OpenAI, stage: Stage) -> None:
    stage.play(cut_story)
    before = json.loads(server.installation.do("manage", "usage_report", "--json"))["total"]["estimated"]
    request_id, _ = read_until(client, "hasty/gpt-4o-mini", " book.")
    record_of(server, request_id=request_id)
    after = json.loads(server.installation.do("manage", "usage_report", "--json"))["total"]["estimated"]
    assert after == before + 1


def test_an_end_of_the_server_keeps_what_is_being_estimated(tmp_path: Path, migrated_data: Path, stage: Stage) -> None:
    stage.play(cut_story)
    with Installation(tmp_path / "data", migrated_data) as installation:
        installation.apply(provider("hasty", stage.url, models=MODELS))
        gateway = installation.gateway()
        with gateway.sdk(gateway.token("short", user=USER)) as sdk:
            request_id, _ = read_until(sdk, "hasty/gpt-4o-mini", " book.")
            gateway.stop()
        record = record_of(gateway, request_id=request_id)
    assert (record["output_tokens"], record["estimated"]) == (ANSWERED, True)
