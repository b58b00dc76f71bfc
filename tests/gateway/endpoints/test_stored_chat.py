"""Stored chat completions through the SDK: kept on request only, owned, listed from our own records."""

import json
from typing import Any

import pytest
from openai import NotFoundError, OpenAI
from openai.types.chat import ChatCompletion

from tests.support.surface import Surface

ASKED: Any = {"model": "media/gpt-4o-mini", "messages": [{"role": "user", "content": "Count from 1 to 5."}]}


def stored(sdk: OpenAI, **more: Any) -> ChatCompletion:
    return sdk.chat.completions.create(**ASKED, store=True, **more)


def owned(surface: Surface, completion_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = surface.installation.do("owned", object_id=completion_id)
    return found


def test_the_life_of_a_stored_completion(surface: Surface) -> None:
    sdk = surface.sdk()
    made = stored(sdk, metadata={"topic": "numbers"})
    completions = sdk.chat.completions
    found = completions.retrieve(made.id)
    assert found.choices == made.choices
    assert found.model_extra is not None
    assert found.model_extra["provider"] == "openai"
    assert [message.content for message in completions.messages.list(made.id)] == ["Count from 1 to 5."]
    assert completions.update(made.id, metadata={"topic": "sums"}).metadata == {"topic": "sums"}
    assert completions.delete(made.id).deleted
    with pytest.raises(NotFoundError):
        completions.retrieve(made.id)


async def test_the_other_forms(surface: Surface) -> None:
    made = stored(surface.sdk())
    raw = surface.sdk().chat.completions.with_raw_response
    assert raw.retrieve(made.id).parse().id == made.id
    assert raw.messages.list(made.id).parse().data
    with surface.sdk().chat.completions.with_streaming_response.retrieve(made.id) as response:
        assert response.parse().id == made.id
    async with surface.async_sdk() as client:
        assert (await client.chat.completions.retrieve(made.id)).id == made.id
        assert [message async for message in client.chat.completions.messages.list(made.id)]
        assert (await client.chat.completions.delete(made.id)).deleted


@pytest.mark.parametrize("stream", [False, True])
def test_only_what_is_stored_is_recorded(surface: Surface, stream: bool) -> None:
    for store in (True, False, None):
        answer = surface.sdk().chat.completions.create(**ASKED, store=store, stream=stream)
        made = [chunk.id for chunk in answer][0] if stream else answer.id  # noqa: RUF015 - read to its end
        assert bool(owned(surface, made)) is (store is True)


def test_lists_hold_ones_own(surface: Surface) -> None:
    token = surface.gateway.token("lister", user="bob@example.com")
    sdk = surface.sdk(token, "media")
    made = [stored(sdk, metadata={"n": str(number), "odd__key": "x"}).id for number in range(3)]
    stored(surface.sdk())
    listed = sdk.chat.completions.list
    assert [each.id for each in listed(limit=2)] == made
    assert [each.id for each in listed(order="desc")] == made[::-1]
    assert [each.id for each in listed(metadata={"n": "1"})] == [made[1]]
    assert [each.id for each in listed(metadata={"odd__key": "x", "n": "2"})] == [made[2]]
    assert not list(listed(metadata={"n": "9"}))
    assert [each.id for each in listed(model="media/gpt-4o-mini")] == made
    assert not list(listed(model="gpt-unknown"))
    sdk.chat.completions.update(made[1], metadata={"n": "7"})
    assert [each.id for each in listed(metadata={"n": "7"})] == [made[1]]
    sdk.chat.completions.delete(made[0])
    assert [each.id for each in listed()] == made[1:]


def test_nobody_else_finds_it(surface: Surface) -> None:
    made = stored(surface.sdk()).id
    bob = surface.sdk(surface.bob, "media").chat.completions
    surface.upstream.clear()
    for act in (
        lambda: bob.retrieve(made),
        lambda: bob.update(made, metadata={"a": "b"}),
        lambda: bob.delete(made),
        lambda: bob.messages.list(made),
        lambda: bob.retrieve("chatcmpl-unknown"),
    ):
        with pytest.raises(NotFoundError) as refused:
            act()
        assert refused.value.code == "not_found"
    assert surface.upstream.requests() == []
    assert made not in [each.id for each in bob.list()]


def test_a_look_at_it_costs_nothing(surface: Surface) -> None:
    made = stored(surface.sdk()).id
    record = surface.record("chat.retrieve", lambda: surface.sdk().chat.completions.retrieve(made))
    assert (record["cost_pico"], record["output_tokens"]) == (0, 0)


def test_the_metadata_of_the_call_is_sent_as_it_came(surface: Surface) -> None:
    stored(surface.sdk(), metadata={"topic": "numbers"})
    sent = json.loads(surface.upstream.requests()[-1]["body"])
    assert (sent["store"], sent["metadata"]) == (True, {"topic": "numbers"})
