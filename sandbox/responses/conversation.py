"""What a conversation is: items that responses read from and write to."""

from dataclasses import dataclass, field
from typing import Any

from sandbox.errors import ApiError
from sandbox.responses.items import Item, newest, weight
from sandbox.responses.life import Life
from sandbox.responses.lookup import CONVERSATIONS, MAX_OBJECTS
from sandbox.state import Store
from sandbox.store.auth import owned
from sandbox.wire.messages import Request

# The oldest items of a conversation are forgotten.
MAX_ITEMS = 5_000
MAX_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class Conversation:
    """A conversation. `pending` are responses that are not over, with the input to add when they are."""

    id: str
    created_at: int
    metadata: dict[str, str]
    items: list[Item] = field(default_factory=list)
    pending: list[tuple[Life, list[Item]]] = field(default_factory=list)

    def add(self, items: list[Item]) -> None:
        self.items = newest([*self.items, *items], MAX_ITEMS, MAX_BYTES)

    def settle(self, now: float) -> bool:
        """Takes in what the responses that have ended said; whether any has."""
        waiting = []
        for life, asked in self.pending:
            if not life.is_over(now):
                waiting.append((life, asked))
            elif life.status(now) in ("completed", "incomplete"):
                self.add([*asked, *life.items])
        ended = len(self.pending) > len(waiting)
        self.pending = waiting
        return ended

    def body(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "conversation",
            "created_at": self.created_at,
            "metadata": self.metadata,
        }


def find(request: Request, conversation_id: str) -> Conversation:
    """The conversation with what responses have added; raises ApiError 404 for an unknown one."""
    found: Conversation | None = conversations(request).get(conversation_id)
    if found is None:
        raise ApiError(f"Conversation with id '{conversation_id}' not found.", status=404)
    if found.settle(request.app.state.now()):
        keep(request, found)
    return found


def keep(request: Request, conversation: Conversation) -> None:
    """Stores a new or changed conversation, with its weight."""
    size = 512 + sum(map(weight, conversation.items))
    conversations(request).put(conversation.id, conversation, size)


def conversations(request: Request) -> Store[str, Conversation]:
    return owned(request.app.state, CONVERSATIONS, MAX_OBJECTS)
