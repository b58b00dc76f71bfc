"""Fields of events in another case, beside those of the API, and in items: none names a model that is not checked."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.call.call import Call
from gateway.call.errors import CallError, InvalidRequest, ModelNotFound
from gateway.call.headers import Options
from gateway.realtime.kinds import LIVE, REALTIME, RESPONSES, TRANSLATION, Kind
from gateway.realtime.realtime_dialogue import Dialogue
from gateway.realtime.responses_dialogue import ResponsesDialogue
from gateway.state import state
from providers.snapshot import Target
from tests.support.snapshots import account, caller, model

CLOSED = frozenset({"user:2"})
HERE = account(model("open", "gpt-open"), model("dear", "gpt-dear", subjects=CLOSED))


@pytest.fixture(autouse=True)
def nothing_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    directory = SimpleNamespace(accounts={"acme": HERE}, rules=None)
    monkeypatch.setattr(state, "spool", SimpleNamespace(begin=lambda record: None), raising=False)
    monkeypatch.setattr(state, "directory", directory, raising=False)


def dialogue(kind: Kind = REALTIME) -> Dialogue:
    return Dialogue(call_of(kind), HERE, kind, Target(HERE, HERE.models["open"]))


def call_of(kind: Kind) -> Call:
    return Call(caller(), kind.operation, Options(), "req-1")


MODEL: dict[str, Any] = {"model": "gpt-dear"}
UPDATE, CREATE, ITEM = {"type": "session.update"}, {"type": "response.create"}, {"type": "conversation.item.create"}
SOUND = {"type": "input_audio_buffer.append", "audio": "AAAA"}
REFUSED: list[dict[str, Any]] = [
    {**UPDATE, "Session": {"tools": [{"type": "image_generation", **MODEL}], **MODEL}},
    {**UPDATE, "SESSION": {}},
    {**UPDATE, "\u017fession": MODEL},
    {**CREATE, "Response": MODEL},
    {**CREATE, "Response": {"model": "gpt-open"}},
    {**SOUND, "Type": "response.create", "Response": MODEL},
    {**SOUND, "Session": MODEL},
    {**SOUND, "session": MODEL},
    {**CREATE, **MODEL},
    {**CREATE, "Model": "gpt-dear"},
    {**CREATE, "engine": "gpt-dear"},
    {**CREATE, "tools": [{"type": "image_generation", **MODEL}]},
    {**CREATE, "extra": {"deep": [{"Fallback_Model": "gpt-dear"}]}},
    {**CREATE, "extra": "gpt-dear"},
    {**UPDATE, "session": {"Model": "gpt-dear"}},
    {**UPDATE, "session": {"Model": "gpt-open"}},
    {**UPDATE, "session": {"Audio": {"input": {"transcription": {"model": "gpt-open"}}}}},
    {**UPDATE, "session": {"audio": {"input": {"Transcription": {"model": "gpt-open"}}}}},
    {**UPDATE, "session": {"Tools": [{"type": "x", "Model": "gpt-dear"}]}},
    {**ITEM, "item": {"type": "message", "role": "user", "content": [], **MODEL}},
    {**ITEM, "item": {"type": "message", "Model": "gpt-open"}},
    {**ITEM, "item": {"type": "message", "Content": []}},
    {**ITEM, "item": {"type": "message", "extra": {"models": ["gpt-dear"]}}},
    {**ITEM, "Item": {"type": "message"}},
]


@pytest.mark.parametrize("kind", [REALTIME, LIVE, TRANSLATION], ids=lambda kind: kind.name)
@pytest.mark.parametrize("event", REFUSED, ids=json.dumps)
async def test_what_another_reader_would_take_is_refused(event: dict[str, Any], kind: Kind) -> None:
    for message in (json.dumps(event), json.dumps(event).encode()):
        with pytest.raises((InvalidRequest, ModelNotFound)):
            await dialogue(kind).from_client(message)


ORDINARY: list[dict[str, Any]] = [
    {**UPDATE, "event_id": "e1", "session": {"instructions": "Model answers.", "metadata": {"Session": "gpt-dear"}}},
    {**CREATE, "response": {"output_modalities": ["text"]}},
    {
        **ITEM,
        "previous_item_id": "root",
        "item": {"type": "message", "role": "user", "content": [{"text": "gpt-dear"}]},
    },
    {**ITEM, "item": {"type": "function_call_output", "call_id": "c1", "output": '{"model": "gpt-dear"}'}},
    {"type": "conversation.item.truncate", "item_id": "i1", "content_index": 0, "audio_end_ms": 1500},
    {**SOUND, "sequence": 7},
    {"type": "something.new", "text": "Hello"},
]


@pytest.mark.parametrize("event", ORDINARY, ids=json.dumps)
async def test_ordinary_events_go_on_as_they_came(event: dict[str, Any]) -> None:
    message = json.dumps(event)
    assert await dialogue().from_client(message) == message


async def test_a_model_beside_the_apis_fields_gets_the_vendors_name() -> None:
    passed = await dialogue().from_client(json.dumps({**CREATE, "fallback_model": "acme/open"}))
    assert passed is not None
    assert json.loads(passed)["fallback_model"] == "gpt-open"


OTHERS: list[dict[str, Any]] = [
    {"type": "response.cancel", "Model": "gpt-dear"},
    {"type": "response.cancel", "Type": "response.create"},
    {"type": "response.cancel", "tools": [{"Model": "gpt-open"}]},
    {"type": "response.cancel", "Response": MODEL},
    {"type": "response.create", "Stream_ID": "a"},
]


@pytest.mark.parametrize("event", OTHERS, ids=json.dumps)
async def test_events_of_responses_sockets_are_checked_alike(event: dict[str, Any]) -> None:
    socket = ResponsesDialogue(call_of(RESPONSES), HERE, Target(HERE, HERE.models["open"]))
    with pytest.raises(CallError):
        await socket.from_client(json.dumps(event))
