"""What the Responses API remembers: earlier turns, stored responses, conversations, work in the background."""

import time
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from sandbox.responses.items import newest, weight
from tests.support import sse
from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

MODEL = "gpt-4o-mini"
UNKNOWN = "resp_0123456789abcdef0123456789abcdef0123456789abcdef"


def ask(client: OpenAI, question: Any, **options: Any) -> Any:
    return client.responses.create(**{"model": MODEL, "input": question, **options})


class TestTurns:
    def test_an_answer_depends_on_what_was_said(self, client: OpenAI) -> None:
        first = ask(client, "My name is Ada. My favourite colour is teal.")
        second = ask(client, "Tell me a joke", previous_response_id=first.id)
        third = ask(client, "What is my favourite colour?", previous_response_id=second.id)

        assert second.output_text.endswith('Before that you said: "My name is Ada. My favourite colour is teal."')
        assert third.output_text == "Your favourite colour is teal."
        assert third.previous_response_id == second.id
        assert first.usage.input_tokens < second.usage.input_tokens < third.usage.input_tokens

    def test_a_branch_knows_only_its_own_past(self, client: OpenAI) -> None:
        root = ask(client, "Hello")
        ask(client, "My name is Ada", previous_response_id=root.id)
        assert "Ada" not in ask(client, "What is my name?", previous_response_id=root.id).output_text

    def test_instructions_are_not_carried_on(self, client: OpenAI) -> None:
        first = ask(client, "Hello", instructions="Be brief. " * 50)
        second = ask(client, "Hello", previous_response_id=first.id)
        assert second.instructions is None
        assert second.usage.input_tokens < first.usage.input_tokens

    def test_an_item_by_reference(self, client: OpenAI) -> None:
        first = ask(client, "Remember the lighthouse")
        items: list[Any] = [{"type": "item_reference", "id": first.output[0].id}, {"role": "user", "content": "Go on"}]
        again = ask(client, items)

        listed = client.responses.input_items.list(again.id, order="asc").data
        assert listed[0].id == first.output[0].id
        with pytest.raises(NotFoundError, match="Item with id 'msg_none' not found"):
            ask(client, [{"id": "msg_none"}])

    def test_what_is_unknown(self, client: OpenAI) -> None:
        with pytest.raises(BadRequestError) as caught:
            ask(client, "hi", previous_response_id=UNKNOWN)
        assert caught.value.code == "previous_response_not_found"
        with pytest.raises(NotFoundError, match="Conversation with id 'conv_none' not found"):
            ask(client, "hi", conversation="conv_none")
        with pytest.raises(BadRequestError, match="must be provided"):
            client.responses.create(model=MODEL)


class TestStored:
    def test_retrieve_shows_the_same(self, client: OpenAI) -> None:
        made = client.responses.with_raw_response.create(model=MODEL, input="Hello there").http_response.json()
        kept = client.responses.with_raw_response.retrieve(made["id"]).http_response.json()
        assert kept == made

    def test_more_can_be_included_later(self, client: OpenAI) -> None:
        tools: Any = [{"type": "file_search", "vector_store_ids": ["vs_1"]}]
        made = ask(client, "search my files", tools=tools)
        kept = client.responses.retrieve(made.id, include=["file_search_call.results"])
        assert made.output[0].results is None
        assert kept.output[0].results

    def test_not_with_store_false(self, client: OpenAI) -> None:
        made = ask(client, "hi", store=False)
        assert made.store is False
        with pytest.raises(NotFoundError, match=f"Response with id '{made.id}' not found"):
            client.responses.retrieve(made.id)

    def test_delete(self, client: OpenAI, running_sandbox: SandboxProcess) -> None:
        made = ask(client, "hi")
        gone = running_sandbox.http.delete(f"{running_sandbox.url}/responses/{made.id}").json()
        assert gone == {"id": made.id, "object": "response", "deleted": True}
        for call in (client.responses.retrieve, client.responses.delete, client.responses.cancel):
            with pytest.raises(NotFoundError):
                call(made.id)

    def test_input_items_are_paged(self, client: OpenAI) -> None:
        first = ask(client, [{"role": "user", "content": f"Line {number}"} for number in range(5)])
        second = ask(client, "And?", previous_response_id=first.id)

        raw = client.responses.input_items.with_raw_response.list(second.id, limit=3)
        assert_valid("ResponseItemList", raw.http_response.json())
        page = raw.parse()
        assert page.has_more
        assert page.data[0].content[0].text == "And?"
        assert page.data[1].role == "assistant"
        everything = list(client.responses.input_items.list(second.id, limit=2, order="asc"))
        assert [item.content[0].text for item in everything[:5]] == [f"Line {number}" for number in range(5)]
        assert len(everything) == 7
        after = client.responses.input_items.list(second.id, order="asc", after=everything[5].id)
        assert [item.id for item in after.data] == [everything[6].id]
        with pytest.raises(NotFoundError):
            client.responses.input_items.list(UNKNOWN)

    def test_keys_do_not_see_each_other(self) -> None:
        with SandboxProcess("--key", "sk-a", "--key", "sk-b") as sandbox:
            a, b = sandbox.client(api_key="sk-a"), sandbox.client(api_key="sk-b")
            made = ask(a, "hi")
            conversation = a.conversations.create()
            assert a.responses.retrieve(made.id).id == made.id
            for call in (b.responses.retrieve, b.responses.delete, b.responses.input_items.list):
                with pytest.raises(NotFoundError):
                    call(made.id)
            with pytest.raises(BadRequestError):
                ask(b, "hi", previous_response_id=made.id)
            with pytest.raises(NotFoundError):
                b.conversations.retrieve(conversation.id)


class TestCounting:
    def test_input_tokens_are_those_of_the_response(self, client: OpenAI) -> None:
        options: dict[str, Any] = {
            "model": MODEL,
            "input": "Count from 1 to 5",
            "instructions": "Be brief",
            "tools": [{"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": False}],
        }
        raw = client.responses.input_tokens.with_raw_response.count(**options)
        assert_valid("TokenCountsResource", raw.http_response.json())
        assert raw.parse().input_tokens == client.responses.create(**options).usage.input_tokens

    def test_earlier_turns_count(self, client: OpenAI) -> None:
        first = ask(client, "Hello " * 50)
        alone = client.responses.input_tokens.count(model=MODEL, input="Hi")
        behind = client.responses.input_tokens.count(model=MODEL, input="Hi", previous_response_id=first.id)
        assert behind.input_tokens > alone.input_tokens + 50

    def test_compaction_keeps_what_matters(self, client: OpenAI) -> None:
        first = ask(client, "My name is Ada")
        second = ask(client, "Hello", previous_response_id=first.id)
        raw = client.responses.with_raw_response.compact(model=MODEL, previous_response_id=second.id)
        assert_valid("CompactResource", raw.http_response.json())

        compacted = raw.parse()
        assert [item.type for item in compacted.output] == ["message", "message", "compaction"]
        items: list[Any] = [compacted.output[-1].model_dump(exclude_none=True)]
        answer = ask(client, [*items, {"role": "user", "content": "What is my name?"}])
        assert answer.output_text == "Your name is Ada."


class TestBackground:
    def test_from_queued_to_completed(self, client: OpenAI) -> None:
        made = ask(client, "Count from 1 to 3 [[sandbox: queued=60 working=60]]", background=True)
        assert (made.status, made.background, made.output, made.usage) == ("queued", True, [], None)

        seen = [made.status]
        deadline = time.monotonic() + 10
        while seen[-1] != "completed":
            assert time.monotonic() < deadline
            raw = client.responses.with_raw_response.retrieve(made.id)
            assert_valid("Response", raw.http_response.json())
            seen.append(raw.parse().status)
        assert sorted(set(seen), key=seen.index) == ["queued", "in_progress", "completed"]
        assert client.responses.retrieve(made.id).output_text == "1 2 3"
        assert client.responses.retrieve(made.id).usage is not None

    def test_time_can_be_moved(self) -> None:
        with SandboxProcess() as sandbox:
            client = sandbox.client()
            made = ask(client, "Hi [[sandbox: queued=60000 working=60000]]", background=True)
            sandbox.advance(61)
            assert client.responses.retrieve(made.id).status == "in_progress"
            with pytest.raises(BadRequestError, match="not completed"):
                ask(client, "And?", previous_response_id=made.id)
            sandbox.advance(61)
            assert client.responses.retrieve(made.id).status == "completed"

            streamed = ask(client, "Hi [[sandbox: queued=0 working=0]]", background=True, stream=True)
            [*_, last] = streamed
            sandbox.advance(301)
            with pytest.raises(BadRequestError, match="more than 5 minutes old"):
                client.responses.retrieve(last.response.id, stream=True)

    def test_cancel(self, client: OpenAI) -> None:
        made = ask(client, "Hi [[sandbox: queued=60000]]", background=True)
        raw = client.responses.with_raw_response.cancel(made.id)
        assert_valid("Response", raw.http_response.json())
        assert raw.parse().status == "cancelled"
        assert client.responses.cancel(made.id).status == "cancelled"
        assert client.responses.retrieve(made.id).status == "cancelled"
        with pytest.raises(BadRequestError, match="Cannot cancel a synchronous response"):
            client.responses.cancel(ask(client, "Hi").id)

    @pytest.mark.parametrize(("directive", "status"), [("fail", "failed"), ("", "incomplete")])
    def test_other_ends(self, client: OpenAI, directive: str, status: str) -> None:
        text = f"Count from 1 to 60 [[sandbox: queued=0 working=0 {directive}]]"
        made = ask(client, text, background=True, max_output_tokens=16)
        wait_until(lambda: client.responses.retrieve(made.id).status == status)

    def test_a_stream_that_is_resumed(self, client: OpenAI, running_sandbox: SandboxProcess) -> None:
        body = {"model": MODEL, "input": "Count from 1 to 9", "background": True, "stream": True}
        whole = sse.responses(running_sandbox.post("/responses", body, x_sandbox="queued=30 working=100"))

        assert sse.types(whole)[:3] == ["created", "queued", "in_progress"]
        assert [event["response"]["status"] for event in whole[:3]] == ["queued", "queued", "in_progress"]
        assert whole[-1]["type"] == "response.completed"
        response_id = whole[0]["response"]["id"]
        rest = sse.responses(running_sandbox.get(f"/responses/{response_id}", stream="true", starting_after=7))
        assert rest == whole[8:]
        again = list(client.responses.retrieve(response_id, stream=True))
        assert len(again) == len(whole)

    def test_a_stream_is_followed_while_it_is_made(self, client: OpenAI) -> None:
        text = "Count from 1 to 9 [[sandbox: queued=0 working=400]]"
        stream = ask(client, text, background=True, stream=True)
        first = next(iter(stream))
        stream.close()

        started = time.monotonic()
        events = list(client.responses.retrieve(first.response.id, stream=True, starting_after=0))
        assert time.monotonic() - started > 0.2
        assert events[-1].type == "response.completed"

    def test_a_cancelled_stream_ends(self, client: OpenAI) -> None:
        stream = ask(client, "Hi [[sandbox: queued=60000]]", background=True, stream=True)
        events = iter(stream)
        first = next(events)
        client.responses.cancel(first.response.id)
        assert [event.type for event in events] == ["response.queued"]

    def test_only_background_streams_can_be_resumed(self, client: OpenAI) -> None:
        for options in ({}, {"background": True}):
            with pytest.raises(BadRequestError, match="cannot be streamed"):
                client.responses.retrieve(ask(client, "Hi", **options).id, stream=True)


class TestConversations:
    def test_the_whole_life(self, client: OpenAI) -> None:
        raw = client.conversations.with_raw_response.create(
            metadata={"topic": "demo"}, items=[{"type": "message", "role": "user", "content": "My name is Ada"}]
        )
        assert_valid("ConversationResource", raw.http_response.json())
        made = raw.parse()
        assert client.conversations.retrieve(made.id) == made
        assert client.conversations.update(made.id, metadata={"topic": "new"}).metadata == {"topic": "new"}
        gone = client.conversations.with_raw_response.delete(made.id)
        assert_valid("DeletedConversationResource", gone.http_response.json())
        for call in (client.conversations.retrieve, client.conversations.delete, client.conversations.items.list):
            with pytest.raises(NotFoundError, match="Conversation with id"):
                call(made.id)

    def test_responses_read_and_write_it(self, client: OpenAI) -> None:
        made = client.conversations.create()
        first = ask(client, "My name is Ada", conversation=made.id)
        second = ask(client, "What is my name?", conversation={"id": made.id})

        assert first.conversation.id == made.id
        assert second.output_text == "Your name is Ada."
        raw = client.conversations.items.with_raw_response.list(made.id, order="asc")
        assert_valid("ConversationItemList", raw.http_response.json())
        assert [item.role for item in raw.parse().data] == ["user", "assistant", "user", "assistant"]
        assert raw.parse().data[3].id == second.output[0].id

    def test_streams_and_background_write_it_when_they_end(self, client: OpenAI) -> None:
        made = client.conversations.create()
        list(ask(client, "One", conversation=made.id, stream=True))
        assert len(client.conversations.items.list(made.id).data) == 2
        ask(client, "Two [[sandbox: queued=0 working=200]]", conversation=made.id, background=True)
        assert len(client.conversations.items.list(made.id).data) == 2
        wait_until(lambda: len(client.conversations.items.list(made.id).data) == 4)

    def test_items(self, client: OpenAI) -> None:
        made = client.conversations.create()
        raw = client.conversations.items.with_raw_response.create(
            made.id, items=[{"type": "message", "role": "user", "content": text} for text in ("a", "b", "c")]
        )
        assert_valid("ConversationItemList", raw.http_response.json())
        first, second, third = raw.parse().data
        one = client.conversations.items.with_raw_response.retrieve(second.id, conversation_id=made.id)
        assert_valid("ConversationItem", one.http_response.json())
        assert client.conversations.items.delete(second.id, conversation_id=made.id).id == made.id
        assert [item.id for item in client.conversations.items.list(made.id, limit=1)] == [third.id, first.id]
        with pytest.raises(NotFoundError):
            client.conversations.items.retrieve(second.id, conversation_id=made.id)

    def test_limits(self, client: OpenAI) -> None:
        with pytest.raises(BadRequestError, match="array too long"):
            client.conversations.create(items=[{"role": "user", "content": "x"}] * 21)
        with pytest.raises(BadRequestError, match="metadata"):
            client.conversations.update(client.conversations.create().id, metadata={str(n): "" for n in range(17)})


def test_only_so_much_is_remembered() -> None:
    items = [{"type": "message", "content": [{"type": "input_text", "text": "x" * 1000}]} for _ in range(10)]
    assert newest(items, 4, 10**6) == items[6:]
    assert newest(items, 10, 3 * weight(items[0])) == items[7:]
    assert newest(items, 10, 10**6) == items
    assert newest(items, 10, 0) == []
