"""Responses over a WebSocket, through the SDK."""

from typing import Any

import pytest
from openai import OpenAI

from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess

MODEL = "gpt-4o-mini"


def until_the_end(connection: Any) -> list[Any]:
    found = []
    while not found or found[-1].type not in ("response.completed", "error"):
        found.append(connection.recv())
        if found[-1].type != "error":
            assert_valid("ResponseStreamEvent", found[-1].model_dump(exclude_unset=True, mode="json"))
    return found


def test_one_response_after_the_other(client: OpenAI) -> None:
    with client.responses.connect() as connection:
        connection.response.create(model=MODEL, input="My name is Ada", stream_id="one")
        first = until_the_end(connection)
        assert [event.sequence_number for event in first] == list(range(len(first)))
        assert {event.stream_id for event in first} == {"one"}

        connection.response.create(model=MODEL, input="What is my name?", previous_response_id=first[-1].response.id)
        last = until_the_end(connection)[-1].response
    assert last.output[0].content[0].text == "Your name is Ada."
    assert client.responses.retrieve(last.id).output_text == "Your name is Ada."


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"model": "nope", "input": "x"}, "model_not_found"),
        ({"model": MODEL, "input": "x", "previous_response_id": "resp_0"}, "previous_response_not_found"),
        ({"model": MODEL, "input": "x", "background": True}, None),
        ({"model": MODEL, "input": "x", "odd": 1}, "unknown_parameter"),
    ],
)
def test_errors_are_events(client: OpenAI, body: dict[str, Any], code: str | None) -> None:
    with client.responses.connect() as connection:
        connection.send({"type": "response.create", **body})
        [event] = until_the_end(connection)
        assert event.model_dump()["status"] == 400
        assert event.model_dump()["error"]["code"] == code
        for odd in ("{}", "[]", "no json"):
            connection.send_raw(odd)
            assert connection.recv().type == "error"
        connection.response.create(model=MODEL, input="What is 1+1?")
        assert until_the_end(connection)[-1].response.output[0].content[0].text == "2"


def test_without_a_key_there_is_no_connection(running_sandbox: SandboxProcess) -> None:
    with pytest.raises(Exception, match="401"), running_sandbox.client(api_key="sk-wrong").responses.connect():
        pass
