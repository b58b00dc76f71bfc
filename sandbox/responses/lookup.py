"""Finding what an API key made before."""

import urllib.parse
from collections.abc import Iterable, Iterator
from typing import cast

from sandbox.errors import ApiError
from sandbox.responses.conversation import CONVERSATIONS, Conversation
from sandbox.responses.items import Item, Lookup
from sandbox.responses.model_response import ModelResponse
from sandbox.state import Store
from sandbox.store import stored_files
from sandbox.store.auth import owned
from sandbox.wire.messages import Request

RESPONSES = "responses"
MAX_OBJECTS = 5_000


def stored_responses(request: Request) -> Store[str, ModelResponse]:
    return owned(request.app.state, RESPONSES, MAX_OBJECTS)


def find_response(request: Request, response_id: str) -> ModelResponse:
    """Raises ApiError 404 for a response that was not stored, is gone, or is another key's."""
    found = stored_responses(request).get(response_id)
    if found is None:
        raise ApiError(f"Response with id '{response_id}' not found.", status=404)
    return found


def lookup(request: Request) -> Lookup:
    """What reading items needs, of the key that makes the request."""
    state = request.app.state
    return Lookup(
        new_id=lambda prefix: state.new_id(prefix, 48),
        # The newest item with this id in the key's responses and conversations.
        item=lambda item_id: next((item for item in _items(request) if item["id"] == item_id), None),
        filename=lambda file_id: str(stored_files.find(state, file_id, "input").shape["filename"]),
    )


def _items(request: Request) -> Iterator[Item]:
    for response in reversed(list(stored_responses(request))):
        yield from reversed(response.context())
    for conversation in cast(Iterable[Conversation], CONVERSATIONS.store(request)):
        yield from conversation.items


def query_list(request: Request, name: str) -> list[str]:
    """The values of a query parameter that is a list, written `name`, `name[]` or `name[0]`."""
    pairs = urllib.parse.parse_qsl(request.query_string.decode("latin-1"))
    return [value for key, value in pairs if key == name or (key.startswith(f"{name}[") and key.endswith("]"))]
