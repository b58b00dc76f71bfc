"""The rows of translation: what the upstreams answer in other vendors' words is as the vendors describe it, and each
server is given their address.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from benchmarks import calls, goals, payloads, runner, streamer, streams, upstream, vendors
from benchmarks.endpoint import ANTHROPIC, CLAUDE, GEMINI, MESSAGES, MODEL
from benchmarks.options import Options
from benchmarks.scenarios import SCENARIOS, TRANSLATIONS
from benchmarks.servers import BY_KEY, ferro, gatehouse, litellm
from providers.dialects import anthropic, chat, gemini
from providers.dialects.events import Finish, Start, TextDelta, UsageUpdate
from tests.benchmarks.test_load import ask
from tests.benchmarks.test_servers import HOST, PORTS
from tests.support.vendor_specs import assert_anthropic, assert_gemini

PATHS = {
    "anthropic": (f"{ANTHROPIC}/v1/messages", anthropic, streams.CHAT_TO_ANTHROPIC.others),
    "gemini": (f"/v1beta/models/{GEMINI}:streamGenerateContent", gemini, streams.CHAT_TO_GEMINI.others),
}


@pytest.mark.parametrize(("body", "dialect"), [(vendors.MESSAGE_ANSWER, anthropic), (vendors.CONTENT_ANSWER, gemini)])
def test_a_canned_answer_says_what_a_chat_says(body: str, dialect: Any) -> None:
    answer = dialect.read_answer(body.encode())
    assert [part.text for part in answer.choices[0].parts] == [payloads.CHAT_TEXT]
    assert answer.usage is not None
    assert (answer.usage.input, answer.choices[0].finish) == (payloads.PROMPT_TOKENS, "stop")
    assert "'" not in body


@pytest.mark.parametrize("vendor", PATHS)
async def test_a_stream_has_the_vendors_events(vendor: str) -> None:
    path, dialect, others = PATHS[vendor]
    await ask("/control/plan", "chunks=7&interval_ms=0")
    stream = await ask(path)
    data = [line[6:].strip() for line in stream.splitlines() if line.startswith(b"data: ")]
    assert len(data) == 7 + others
    assert stream.count(payloads.MARK) == 7
    reader = dialect.StreamReader()
    events = [event for each in data for event in reader.feed(each)]
    assert [type(event) for event in events if not isinstance(event, UsageUpdate)] == [
        Start,
        *[TextDelta] * 7,
        Finish,
    ]
    assert reader.usage is not None
    assert (reader.usage.input, reader.usage.output) == (payloads.PROMPT_TOKENS, 100)
    assert reader.end() == []


def test_the_upstreams_words_are_the_vendors_own() -> None:
    assert_anthropic("Message", json.loads(vendors.MESSAGE_ANSWER))
    assert_gemini("GenerateContentResponse", json.loads(vendors.CONTENT_ANSWER))
    assert_anthropic("CreateMessageParams", json.loads(vendors.message_body("m", stream=True)))


def test_the_end_of_a_message_is_seen() -> None:
    writer = anthropic.StreamWriter(anthropic.read_request(json.loads(vendors.message_body("m", stream=True))))
    reader, counter = chat.StreamReader(), streams.Counter(streams.MESSAGE_TO_OPENAI)
    body = payloads.STREAM_START + b"".join(payloads.STREAM_TOKENS[:3]) + payloads.STREAM_END + payloads.STREAM_DONE
    for line in body.splitlines():
        for event in reader.feed(line[6:]):
            counter.feed(writer.write(event))
    assert not counter.done
    counter.feed(writer.end())
    assert (counter.chunks, counter.done) == (3, True)


def test_each_translation_is_measured_plain_paced_and_in_a_burst() -> None:
    keys = [row.key for row in SCENARIOS if row.translated]
    assert keys == [f"{each.key}-{kind}" for each in TRANSLATIONS for kind in ("16", "stream", "burst")]
    assert set(keys) <= {goal.value.scenario for goal in goals.GOALS if goal.base is not None}


def test_a_goal_may_be_what_is_added() -> None:
    goal = next(goal for goal in goals.GOALS if goal.value.scenario == "claude-16")
    results: dict[str, dict[str, dict[str, Any]]] = {
        "chat-16": {"gatehouse": {"cpu_us": 300.0}},
        "claude-16": {"gatehouse": {"cpu_us": 390.0}},
    }
    assert goals.measured(results, goal) == 90
    assert goals.measured({"claude-16": results["claude-16"]}, goal) is None
    assert goals.measured({"chat-16": results["chat-16"]}, goal) is None


def test_an_early_commit_translates_nothing() -> None:
    plan = runner.Plan([], SCENARIOS, Options(), (0, 1))
    early = replace(BY_KEY["gatehouse"], translates=False)
    left = [row.key for row in plan.rows(early, fresh=False)]
    assert left == [row.key for row in plan.rows(BY_KEY["gatehouse"], fresh=False) if not row.translated]
    assert gatehouse.translates(gatehouse.revisions.HERE)


def test_every_server_is_told_each_vendors_address() -> None:
    ours = {manifest["name"]: manifest for manifest in gatehouse.manifests(HOST)}
    port = PORTS["streaming"]
    assert ours["streaming-anthropic"]["base_url"] == f"http://127.0.0.1:{port}{ANTHROPIC}/v1"
    assert ours["streaming-gemini"]["base_url"] == f"http://127.0.0.1:{port}/v1beta"
    theirs = {row["model_name"]: row["litellm_params"] for row in litellm.configuration(HOST)["model_list"]}
    assert theirs[f"{CLAUDE}-streaming"]["api_base"] == f"http://127.0.0.1:{port}{ANTHROPIC}"
    assert theirs[f"{GEMINI}-streaming"] == {
        "model": f"gemini/{GEMINI}",
        "api_base": f"http://127.0.0.1:{port}/v1beta",
        "api_key": "sk-upstream",
    }
    assert {model for target in ferro.configuration()["targets"] for model in target["models"]} >= {
        MODEL,
        CLAUDE,
        GEMINI,
    }


def test_calls_name_the_model_of_their_vendor() -> None:
    assert [each.call.model for each in TRANSLATIONS] == [each.stream.model for each in TRANSLATIONS]
    assert [each.call.model for each in TRANSLATIONS] == [CLAUDE, GEMINI, MODEL]
    said = calls.MESSAGE_TO_OPENAI.text({"content": [{"text": "x"}]})
    assert said == "x"


async def test_messages_that_are_passed_on_are_no_messages() -> None:
    """Or a server that translates nothing would seem to be fast."""
    assert f"/v1{MESSAGES}" not in upstream.CANNED
    await ask("/control/plan", "chunks=2&interval_ms=0")
    assert vendors.MESSAGE_END not in await ask(f"/v1{MESSAGES}", body=vendors.message_body("m", stream=True))


async def test_a_chat_stays_a_chat() -> None:
    await ask("/control/plan", "chunks=2&interval_ms=0")
    assert streamer.STREAM_DONE in await ask("/v1/chat/completions", body=payloads.chat_body("m", stream=True))
