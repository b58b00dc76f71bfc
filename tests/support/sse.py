"""Reading streams of named server-sent events, each checked against OpenAI's description."""

import json
from typing import Any

import httpx

from tests.support.openapi import assert_valid


def read(answer: httpx.Response, schema: str) -> list[dict[str, Any]]:
    """The events of a whole stream: each valid by `schema`, and under the name that its `type` says."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.text.endswith("\n\n")
    found = []
    for block in answer.text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert_valid(schema, event)
        found.append(event)
    return found


def responses(answer: httpx.Response) -> list[dict[str, Any]]:
    """The events of a response's stream, numbered without a gap."""
    events = read(answer, "ResponseStreamEvent")
    first = events[0]["sequence_number"]
    assert [event["sequence_number"] for event in events] == list(range(first, first + len(events)))
    return events


def types(events: list[dict[str, Any]]) -> list[str]:
    """The types in order, each run of deltas once, without `response.`."""
    names = [event["type"].removeprefix("response.") for event in events]
    return [name for index, name in enumerate(names) if not (name.endswith(".delta") and names[index - 1] == name)]
