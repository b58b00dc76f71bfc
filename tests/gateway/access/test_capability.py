"""What a provider can be asked for: as it comes, converted, or not at all."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.access.capability import refusal
from gateway.call.operation import Operation
from gateway.objects import operations
from providers.snapshot import ModelSnapshot
from providers.vendors import VENDORS


@pytest.mark.parametrize(
    ("operation", "kind", "code"),
    [
        (operations.CHAT, "anthropic", ""),
        (operations.RESPONSE, "anthropic", ""),
        (operations.RESPONSE, "groq", ""),
        (operations.RESPONSE, "openai", "unsupported_model_type"),
        (operations.RESPONSES_SOCKET, "anthropic", "unsupported_by_provider"),
        (operations.RESPONSES_SOCKET, "groq", "unsupported_by_provider"),
        (operations.MESSAGES, "google-gemini", ""),
        (operations.MESSAGES_COUNT, "openai", ""),
        (operations.MODERATION, "google-gemini", "unsupported_by_provider"),
        (operations.FILE_LIST, "anthropic", "unsupported_by_provider"),
        (operations.PROXY_READ, "anthropic", ""),
        (operations.MODERATION, "azure-openai", "unsupported_by_provider"),
        (operations.RERANK, "azure-openai", "unsupported_by_provider"),
        (operations.RESPONSE_CANCEL, "azure-openai", ""),
        (operations.RESPONSE_CANCEL, "azure-openai-dated", "unsupported_by_provider"),
        (operations.EMBED_CONTENT, "google-vertex-anthropic", "unsupported_by_provider"),
        (operations.MESSAGES_COUNT, "google-vertex-anthropic", ""),
    ],
)
def test_a_chat_model(operation: Operation, kind: str, code: str) -> None:
    account: Any = SimpleNamespace(name="a", vendor=VENDORS[kind])
    refused = refusal(operation, account, ModelSnapshot("a", "m", "m", frozenset({"chat"})))
    assert (refused.code if refused is not None else "") == code
