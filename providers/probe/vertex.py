"""The cheapest test of a model on Vertex AI, which has no list to look models up in: of Google's, or of Anthropic's."""

from collections.abc import Collection
from typing import Any, NamedTuple
from urllib.parse import quote

from providers.dialects.anthropic import vertex as claude
from providers.dialects.gemini import vertex

_TURN: dict[str, Any] = {"role": "user", "parts": [{"text": "Hi"}]}
_MESSAGES: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
_CHAT: dict[str, Any] = {"contents": [_TURN], "generationConfig": {"maxOutputTokens": 1}}


class Test(NamedTuple):
    """A call: its path, body, a field of a good answer; ``note`` is what a good answer says where it is not a real call
    of the model.
    """

    path: str
    body: dict[str, Any]
    field: str
    note: str = ""


def claude_test_of(model: str, types: Collection[str], default: str) -> Test:
    """Return the test of one of Anthropic's models; with no ``model``, ``default``'s tokens are counted."""
    chats = "chat" in types
    path, named = (claude.MESSAGES, model) if chats else (claude.COUNT, model or default)
    body = claude.body_fields({"messages": _MESSAGES, **({"max_tokens": 1} if chats else {})}, path, named)
    note = "" if chats else "is known; no call was made" if model else f"signs in, and reaches {default}"
    return Test(claude.placed(path, named), body, "content" if chats else "input_tokens", note)


def test_of(model: str, types: Collection[str], default: str) -> Test:
    """Return the test of a model by its types; with no ``model``, or one that only makes what costs, of ``default``."""
    place = vertex.resource(quote(model, safe="/:@+"))
    if "chat" in types:
        return Test(f"{place}:generateContent", _CHAT, "candidates")
    if "embedding" in types and vertex.predicts(model):
        return Test(f"{place}:predict", {"instances": [{"content": "Hi"}]}, "predictions")
    if "embedding" in types:
        return Test(f"{place}:embedContent", {"content": _TURN}, "embedding")
    known = "gemini" in model
    note = "is known; no call was made" if known else f"signs in, and reaches {default}; no other call was made"
    counting = place if known else vertex.resource(default)
    return Test(f"{counting}:countTokens", {"contents": [_TURN]}, "totalTokens", note)
