"""Readers take any bytes and values: they answer, or raise the one error of translation."""

import json
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from providers.dialects import anthropic, chat, gemini, responses
from providers.dialects.failures import DialectError
from providers.dialects.neutral import Settings
from tests.providers.dialects.test_front_doors import AGENT, CODEX, GOOGLE
from tests.support.dialect_cases import ANTHROPIC_STREAM, CHAT_STREAM, GEMINI_STREAM, TALK_FIELDS, ask

DIALECTS = {"chat": chat, "anthropic": anthropic, "gemini": gemini, "responses": responses}
REQUESTS = {"chat": TALK_FIELDS, "anthropic": AGENT, "gemini": GOOGLE, "responses": CODEX}
STREAMS = {
    "chat": CHAT_STREAM,
    "anthropic": ANTHROPIC_STREAM,
    "gemini": GEMINI_STREAM,
    "responses": [
        {"type": "response.created", "response": {"id": "r", "model": "m", "created_at": 1}},
        {
            "type": "response.output_item.added",
            "output_index": 0,
            "item": {"type": "function_call", "call_id": "c", "name": "f"},
        },
        {"type": "response.function_call_arguments.delta", "output_index": 0, "delta": "{}"},
        {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "hi"},
        {"type": "response.completed", "response": {"usage": {"input_tokens": 1, "output_tokens": 2}}},
    ],
}
junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["data:x", "text", "user", "{}", "https://a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "content", "id", "name", "role", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@contextmanager
def only(status):
    """Lets the one error of translation pass, if it has the right status."""
    try:
        yield
    except DialectError as error:
        if error.status != status:
            raise


def spoiled(draw, value):
    """A copy of a value with one place in it replaced by junk, or taken away."""
    if isinstance(value, dict) and value and draw(st.integers(0, 3)):
        key = draw(st.sampled_from(sorted(value)))
        if not draw(st.integers(0, 7)):
            return {name: each for name, each in value.items() if name != key}
        return {**value, key: spoiled(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 3)):
        index = draw(st.integers(0, len(value) - 1))
        return [*value[:index], spoiled(draw, value[index]), *value[index + 1 :]]
    return draw(junk)


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
@settings(max_examples=150)
def test_a_spoiled_request(name, data):
    fields = spoiled(data.draw, REQUESTS[name])
    if not isinstance(fields, dict):
        return
    request = None
    with only(400):
        request = DIALECTS[name].read_request(fields)
    if request is None:
        return
    for target, model in (
        (chat, "m"),
        (anthropic, "claude-opus-5"),
        (gemini, "gemini-3.8-flash"),
        (responses, "gpt-5.4"),
    ):
        with only(400):
            json.loads(target.write_request(request, Settings(model=model)).body)


@pytest.mark.parametrize("name", DIALECTS)
@given(data=st.data())
@settings(max_examples=150)
def test_a_spoiled_stream(name, data):
    reader = DIALECTS[name].StreamReader()
    writers = [
        chat.StreamWriter(ask()),
        anthropic.StreamWriter(ask()),
        gemini.StreamWriter(ask()),
        responses.StreamWriter(ask(), {"model": "m"}),
    ]
    for event in STREAMS[name]:
        body = spoiled(data.draw, event) if not data.draw(st.integers(0, 3)) else event
        events = []
        with only(502):
            events = reader.feed(json.dumps(body).encode())
        for each in events:
            for writer in writers:
                writer.write(each)
    for each in reader.end():
        for writer in writers:
            writer.write(each)
    for writer in writers:
        writer.end()


@pytest.mark.parametrize("name", DIALECTS)
@given(st.binary(max_size=60))
@settings(max_examples=60)
def test_any_bytes(name, body):
    dialect = DIALECTS[name]
    for read in (dialect.read_answer, dialect.StreamReader().feed):
        with only(502):
            read(body)
    assert dialect.read_error(500, body).status == 500
