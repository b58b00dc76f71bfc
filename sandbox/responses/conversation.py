"""What a conversation is: items that responses read from and write to."""

from dataclasses import dataclass, field

from sandbox.errors import ApiError
from sandbox.responses.items import Item as InputItem
from sandbox.responses.items import newest, weight
from sandbox.responses.model_response import ModelResponse
from sandbox.store.collection import Collection
from sandbox.store.objects import Item
from sandbox.wire.messages import Request

# The oldest items of a conversation are forgotten.
MAX_ITEMS = 5_000
MAX_BYTES = 16 * 1024 * 1024


def _missing(conversation_id: str) -> ApiError:
    return ApiError(f"Conversation with id '{conversation_id}' not found.", status=404)


CONVERSATIONS = Collection(
    "/v1/conversations", "conv_", "conversation", missing=_missing, digits=48, fields={"metadata": {}}
)


@dataclass(slots=True, kw_only=True)
class Conversation(Item):
    """A conversation. `pending` are responses that are not over, with the input to add when they are."""

    items: list[InputItem] = field(default_factory=list)
    pending: list[tuple[ModelResponse, list[InputItem]]] = field(default_factory=list)

    def add(self, items: list[InputItem]) -> None:
        self.items = newest([*self.items, *items], MAX_ITEMS, MAX_BYTES)

    def settle(self, now: float) -> bool:
        """Takes in what the responses that have ended said; whether any has."""
        waiting = []
        for response, asked in self.pending:
            if not response.is_over(now):
                waiting.append((response, asked))
            elif response.status(now) in ("completed", "incomplete"):
                self.add([*asked, *response.items])
        ended = len(self.pending) > len(waiting)
        self.pending = waiting
        return ended


def find(request: Request, conversation_id: str) -> Conversation:
    """The conversation with what responses have added; raises ApiError 404 for an unknown one."""
    found: Conversation = CONVERSATIONS.find(request, conversation_id)
    if found.settle(request.app.state.now()):
        keep(request, found)
    return found


def keep(request: Request, conversation: Conversation) -> None:
    """Stores a new or changed conversation, with its weight."""
    size = 512 + sum(map(weight, conversation.items))
    CONVERSATIONS.store(request).put(conversation.id, conversation, size)
