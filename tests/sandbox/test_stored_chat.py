"""Chat completions that `store=true` keeps."""

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess

MODEL = "gpt-4o-mini"


def store(client: OpenAI, text: str, **metadata: str) -> str:
    return client.chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": text}], store=True, metadata=metadata
    ).id


def test_the_life_of_a_stored_completion(client: OpenAI, sandbox: SandboxProcess) -> None:
    kept = store(client, "Count from 1 to 3.", topic="numbers")

    assert client.chat.completions.retrieve(kept).choices[0].message.content == "1 2 3"
    changed = client.chat.completions.update(kept, metadata={"topic": "counting"})
    assert changed.metadata == {"topic": "counting"}
    assert client.chat.completions.retrieve(kept).metadata == {"topic": "counting"}
    assert_valid("CreateChatCompletionResponse", sandbox.get(f"/chat/completions/{kept}").json())
    deleted = sandbox.http.delete(f"{sandbox.url}/chat/completions/{kept}").json()
    assert_valid("ChatCompletionDeleted", deleted)
    with pytest.raises(NotFoundError):
        client.chat.completions.retrieve(kept)


def test_lists_are_filtered_and_paged(client: OpenAI, sandbox: SandboxProcess) -> None:
    made = [store(client, f"number {index}", run="paging") for index in range(5)]
    store(client, "other", run="else")

    assert [item.id for item in client.chat.completions.list(metadata={"run": "paging"}, limit=2)] == made
    assert [item.id for item in client.chat.completions.list(metadata={"run": "paging"}, order="desc")] == made[::-1]
    page = sandbox.get("/chat/completions", limit=2, after=made[1]).json()
    assert_valid("ChatCompletionList", page)
    assert [item["id"] for item in page["data"]] == made[2:4]
    assert (page["first_id"], page["last_id"], page["has_more"]) == (made[2], made[3], True)
    assert list(client.chat.completions.list(model="gpt-4.1-2025-04-14")) == []


def test_its_messages(client: OpenAI, sandbox: SandboxProcess) -> None:
    kept = store(client, "first question")

    [message] = client.chat.completions.messages.list(kept)
    assert message.content == "first question"
    # OpenAI's description knows only assistant messages here, although its own example shows a user's.
    page = sandbox.get(f"/chat/completions/{kept}/messages").json()
    for item in page["data"]:
        assert item.pop("role") == "user"
        item["role"] = "assistant"
    assert_valid("ChatCompletionMessageList", page)


def test_what_is_not_stored_is_not_found(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    with pytest.raises(NotFoundError):
        client.chat.completions.retrieve(answer.id)


def test_another_key_does_not_see_it() -> None:
    with (
        SandboxProcess("--key", "sk-one", "--key", "sk-two") as sandbox,
        sandbox.client(api_key="sk-one") as one,
        sandbox.client(api_key="sk-two") as two,
    ):
        kept = store(one, "mine")
        assert [item.id for item in one.chat.completions.list()] == [kept]
        assert list(two.chat.completions.list()) == []
        with pytest.raises(NotFoundError):
            two.chat.completions.retrieve(kept)


def test_cursors_and_limits_are_checked(client: OpenAI) -> None:
    with pytest.raises(NotFoundError):
        client.chat.completions.list(after="chatcmpl-nope")
    with pytest.raises(BadRequestError, match="limit"):
        client.chat.completions.list(limit=1000)


@pytest.mark.parametrize(
    "metadata", [{"k" * 65: "v"}, {"k": "v" * 513}, {f"k{index}": "v" for index in range(17)}, {"k": 1}]
)
def test_metadata_is_checked(client: OpenAI, metadata: dict[str, str]) -> None:
    with pytest.raises(BadRequestError, match="metadata"):
        store(client, "x", **metadata)
