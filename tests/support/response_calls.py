"""What the tests of responses and conversations share: a call of any method in any of the SDK's forms."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from tests.support.fixtures import ACCOUNT, CHAT

COUNT = "Count from 1 to 5."
SUM = "1 2 3 4 5"
PROVIDER = {"x-tfy-provider-name": ACCOUNT}


class Person(BaseModel):
    name: str
    age: int


@dataclass(frozen=True)
class World:
    """Objects that a method may be tried on."""

    response: str
    background: str
    conversation: str
    item: str


@dataclass(frozen=True)
class Method:
    """A method of the SDK: where it is, what it is called with, and whether its result is right."""

    path: str
    arguments: Callable[[World], dict[str, Any]]
    right: Callable[[Any, World], bool]


def make_world(sdk: OpenAI) -> World:
    """Make one object of each kind."""
    response = sdk.responses.create(model=CHAT, input=COUNT)
    later = sdk.responses.create(model=CHAT, input="hi [[sandbox: queued=3000]]", background=True)
    message: Any = {"type": "message", "role": "user", "content": "My name is Ada."}
    conversation = sdk.conversations.create(items=[message], extra_headers=PROVIDER)
    item = sdk.conversations.items.list(conversation.id).data[0]
    return World(response.id, later.id, conversation.id, str(item.id))


def _create(world: World) -> dict[str, Any]:
    return {"model": CHAT, "input": COUNT}


METHODS = (
    Method(
        "responses.create",
        _create,
        lambda answer, world: answer.output_text == SUM and answer.model_extra["provider"] == "openai",
    ),
    Method(
        "responses.parse",
        lambda world: {"model": CHAT, "input": "Jane is 54 years old.", "text_format": Person},
        lambda answer, world: isinstance(answer.output_parsed, Person),
    ),
    Method(
        "responses.retrieve",
        lambda world: {"response_id": world.response},
        lambda answer, world: (
            (answer.id, answer.output_text) == (world.response, SUM) and answer.model_extra["provider"] == "openai"
        ),
    ),
    Method("responses.delete", lambda world: {"response_id": world.response}, lambda answer, world: answer is None),
    Method(
        "responses.cancel",
        lambda world: {"response_id": world.background},
        lambda answer, world: (answer.id, answer.status) == (world.background, "cancelled"),
    ),
    Method(
        "responses.compact",
        lambda world: {"model": CHAT, "input": "My name is Ada."},
        lambda answer, world: answer.object == "response.compaction" and answer.output[-1].type == "compaction",
    ),
    Method(
        "responses.input_items.list",
        lambda world: {"response_id": world.response},
        lambda page, world: page.data[0].content[0].text == COUNT,
    ),
    Method(
        "responses.input_tokens.count",
        lambda world: {"model": CHAT, "input": COUNT},
        lambda answer, world: answer.input_tokens > 0,
    ),
    Method(
        "conversations.create",
        lambda world: {"metadata": {"thread_id": "t-1", "conversation": "mine"}, "extra_headers": PROVIDER},
        lambda answer, world: answer.id.startswith("conv_") and answer.metadata["conversation"] == "mine",
    ),
    Method(
        "conversations.retrieve",
        lambda world: {"conversation_id": world.conversation},
        lambda answer, world: answer.id == world.conversation,
    ),
    Method(
        "conversations.update",
        lambda world: {"conversation_id": world.conversation, "metadata": {"topic": "names"}},
        lambda answer, world: answer.metadata == {"topic": "names"},
    ),
    Method(
        "conversations.delete",
        lambda world: {"conversation_id": world.conversation},
        lambda answer, world: answer.deleted is True and answer.id == world.conversation,
    ),
    Method(
        "conversations.items.create",
        lambda world: {
            "conversation_id": world.conversation,
            "items": [{"type": "message", "role": "user", "content": "And 54."}],
        },
        lambda answer, world: [item.content[0].text for item in answer.data] == ["And 54."],
    ),
    Method(
        "conversations.items.list",
        lambda world: {"conversation_id": world.conversation, "limit": 5},
        lambda page, world: [item.id for item in page.data] == [world.item],
    ),
    Method(
        "conversations.items.retrieve",
        lambda world: {"conversation_id": world.conversation, "item_id": world.item},
        lambda answer, world: answer.id == world.item and answer.content[0].text == "My name is Ada.",
    ),
    Method(
        "conversations.items.delete",
        lambda world: {"conversation_id": world.conversation, "item_id": world.item},
        lambda answer, world: answer.id == world.conversation,
    ),
)


def find(client: OpenAI | AsyncOpenAI, path: str, form: str = "") -> Any:
    """Return the method at ``path``, in the form ``with_raw_response`` or ``with_streaming_response`` when it is
    given.
    """
    *resources, name = path.split(".")
    holder: Any = client
    for resource in resources:
        holder = getattr(holder, resource)
    return getattr(getattr(holder, form) if form else holder, name)
