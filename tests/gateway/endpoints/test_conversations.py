"""Conversations: what they remember, page by page. Every method in every form is tried in ``test_responses.py``."""

import json
from typing import Any

import pytest
from openai import AsyncOpenAI, NotFoundError, OpenAI

from tests.support.fixtures import CHAT
from tests.support.installation import Gateway
from tests.support.response_calls import COUNT, PROVIDER, SUM
from tests.support.sandbox_process import SandboxProcess


async def test_conversation_items_page_by_page(async_sdk: AsyncOpenAI) -> None:
    conversation = await async_sdk.conversations.create(extra_headers=PROVIDER)
    given: Any = [{"type": "message", "role": "user", "content": f"message {number}"} for number in range(5)]
    await async_sdk.conversations.items.create(conversation.id, items=given)
    pages = async_sdk.conversations.items.list(conversation.id, limit=2, order="asc")
    said = [item.content[0].text async for item in pages]  # type: ignore[union-attr]
    assert said == [f"message {number}" for number in range(5)]


def test_a_conversation_remembers(sdk: OpenAI) -> None:
    conversation = sdk.conversations.create(extra_headers=PROVIDER)
    sdk.responses.create(model=CHAT, input="My favourite colour is teal.", conversation=conversation.id)
    answer = sdk.responses.create(
        model=CHAT, input="What is my favourite colour?", conversation={"id": conversation.id}
    )
    assert "teal" in answer.output_text
    said = [item.role for item in sdk.conversations.items.list(conversation.id, order="asc") if item.type == "message"]
    assert said == ["user", "assistant", "user", "assistant"]


def test_a_stream_goes_into_a_conversation_too(sdk: OpenAI) -> None:
    conversation = sdk.conversations.create(extra_headers=PROVIDER)
    events: list[Any] = list(sdk.responses.create(model=CHAT, input=COUNT, conversation=conversation.id, stream=True))
    items: list[Any] = list(sdk.conversations.items.list(conversation.id, order="asc"))
    assert [item.content[0].text for item in items] == [COUNT, SUM]
    assert items[1].id == events[-1].response.output[0].id


def test_items_outlive_what_they_were_part_of(sdk: OpenAI) -> None:
    """Deleting an item takes it out of the conversation, deleting the conversation leaves its responses alone."""
    conversation = sdk.conversations.create(extra_headers=PROVIDER)
    response = sdk.responses.create(model=CHAT, input=COUNT, conversation=conversation.id)
    first = sdk.conversations.items.list(conversation.id, order="asc").data[0].id or ""
    sdk.conversations.items.delete(first, conversation_id=conversation.id)
    assert first not in [item.id for item in sdk.conversations.items.list(conversation.id)]
    sdk.conversations.delete(conversation.id)
    assert sdk.responses.retrieve(response.id).output_text == SUM
    with pytest.raises(NotFoundError):
        sdk.conversations.retrieve(conversation.id)
    with pytest.raises(NotFoundError):
        sdk.responses.create(model=CHAT, input="hi", conversation=conversation.id)


def test_bodies_pass_through(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    body = {"metadata": {"thread_id": "file-not-mine"}, "items": [{"role": "user", "content": "h\u00e4"}]}
    content = json.dumps(body, indent=1).encode()
    gateway.post(token, "/v1/conversations", content=content, headers=PROVIDER)
    assert upstream.requests("/v1/conversations")[-1]["body"] == content
