"""Which operations reach which dialects, and how: the front doors, the providers' sides, and the table of both.

An operation is named by its path, as ``gateway.objects.operations`` has it.
"""

from collections.abc import Callable
from functools import partial

from providers.dialects import anthropic, chat, gemini, responses
from providers.dialects.anthropic import vertex as claude_vertex
from providers.dialects.conversion import Ask, ChatConversion, Conversion, Door, Side
from providers.dialects.gemini.dialect import model_path
from providers.dialects.media_conversion import (
    GeminiEmbeddings,
    GeminiImageEdits,
    GeminiImages,
    GeminiSpeech,
    OpenAIEmbeddings,
    VertexEmbeddings,
)
from providers.dialects.neutral import Request, Settings
from providers.dialects.rerank import STYLES, Rerank
from providers.dialects.token_counts import CountConversion, anthropic_to_gemini, gemini_to_anthropic
from providers.dialects.wire import Fields, plain
from providers.vendor_row import Vendor

Maker = Callable[[Ask], Conversion]

RESPONSES = "responses"
RERANK = "rerank"


def _proven(ask: Ask) -> Fields:
    """Return a response's request so that reasoning comes with its proof: to go on from it, the proof is sent back, by
    the caller or by Gatehouse, which keeps it.
    """
    return {**plain(ask.fields), "include": ["reasoning.encrypted_content"]}


DOORS: dict[str, Door] = {
    "chat/completions": Door(
        read=lambda ask: chat.read_request(ask.fields),
        write=lambda answer, request, ask: chat.write_answer(
            answer, request, thinking_in_content=ask.thinking_in_content
        ),
        writer=lambda request, ask: chat.StreamWriter(request, thinking_in_content=ask.thinking_in_content),
        error=chat.write_error,
    ),
    RESPONSES: Door(
        read=lambda ask: responses.read_request(ask.fields, ask.history),
        write=lambda answer, request, ask: responses.write_answer(answer, request, _proven(ask)),
        writer=lambda request, ask: responses.StreamWriter(request, _proven(ask)),
        error=responses.write_error,
    ),
    "messages": Door(
        read=lambda ask: anthropic.read_request(ask.fields),
        write=lambda answer, request, ask: anthropic.write_answer(answer, request),
        writer=lambda request, ask: anthropic.StreamWriter(request),
        error=anthropic.write_error,
    ),
    "generateContent": Door(
        read=lambda ask: gemini.read_request(ask.fields, ask.model, stream=ask.stream),
        write=lambda answer, request, ask: gemini.write_answer(answer, request),
        writer=lambda request, ask: gemini.StreamWriter(request),
        error=gemini.write_error,
    ),
}
"""Of the operations that are a chat, in whatever words."""


def _nothing(request: Request, settings: Settings) -> list[str]:
    """Vendors that fetch what a URL names themselves, or refuse it."""
    return []


def _gemini_chat(settings: Settings, stream: bool) -> str:
    action, query = ("streamGenerateContent", "?alt=sse") if stream else ("generateContent", "")
    return model_path(settings.model, action, vertex=settings.vertex) + query


def _anthropic_chat(settings: Settings, stream: bool) -> str:
    return claude_vertex.placed("messages", settings.model, stream=stream) if settings.vertex else "messages"


SIDES: dict[str, Side] = {
    "openai": Side(
        path=lambda settings, stream: "chat/completions",
        write=chat.write_request,
        read=chat.read_answer,
        reader=chat.StreamReader,
        error=chat.read_error,
        urls=_nothing,
    ),
    "anthropic": Side(
        path=_anthropic_chat,
        write=anthropic.write_request,
        read=lambda body, written, semantics: anthropic.read_answer(body, written),
        reader=lambda written, semantics: anthropic.StreamReader(written),
        error=anthropic.read_error,
        urls=_nothing,
    ),
    "gemini": Side(
        path=_gemini_chat,
        write=gemini.write_request,
        read=lambda body, written, semantics: gemini.read_answer(body, written),
        reader=lambda written, semantics: gemini.StreamReader(written),
        error=gemini.read_error,
        urls=gemini.media_needed,
    ),
}
"""What a chat becomes, by the dialect of the provider."""

CONVERSIONS: dict[tuple[str, str], Maker] = {
    **{
        (operation, dialect): partial(ChatConversion, door, side)
        for operation, door in DOORS.items()
        for dialect, side in SIDES.items()
    },
    ("messages/count_tokens", "gemini"): partial(CountConversion, anthropic_to_gemini),
    ("countTokens", "anthropic"): partial(CountConversion, gemini_to_anthropic),
    ("embeddings", "gemini"): OpenAIEmbeddings,
    ("embedContent", "openai"): GeminiEmbeddings,
    ("batchEmbedContents", "openai"): GeminiEmbeddings,
    ("images/generations", "gemini"): GeminiImages,
    ("images/edits", "gemini"): GeminiImageEdits,
    ("audio/speech", "gemini"): GeminiSpeech,
    (RERANK, "openai"): Rerank,
}
"""What converts an operation for a dialect that is not its own."""

VERTEX: dict[str, Maker] = {"embedContent": VertexEmbeddings, "batchEmbedContents": VertexEmbeddings}
"""What Vertex AI does in other words than Gemini's API."""


ESTIMATED = frozenset({"messages/count_tokens", "countTokens"})
"""What is estimated here where the vendor has no count of its own."""


def passes(operation: str, door: str, vendor: Vendor) -> bool:
    """Whether calls pass as they come: the door speaks the vendor's dialect, or (empty) none of its own.

    A vendor of OpenAI's dialect that has no Responses API gets chats instead; one that reranks in words of its own is
    asked in those, as is Vertex AI for embeddings.
    """
    if (operation == RERANK and vendor.kind in STYLES) or operation in vendor.lacks or _own(operation, vendor):
        return False
    return not door or (door == vendor.dialect and (operation != RESPONSES or RESPONSES in vendor.abilities))


def maker_of(operation: str, door: str, vendor: Vendor) -> Maker | None:
    """Return what makes the conversion of an operation's calls for a vendor; ``None`` where they pass, or can't go."""
    return None if passes(operation, door, vendor) else _conversion(operation, vendor)


def _conversion(operation: str, vendor: Vendor) -> Maker | None:
    if operation in vendor.lacks:
        return None
    return _own(operation, vendor) or CONVERSIONS.get((operation, vendor.dialect))


def _own(operation: str, vendor: Vendor) -> Maker | None:
    return VERTEX.get(operation) if vendor.vertex and vendor.dialect == "gemini" else None


def serves(operation: str, door: str, vendor: Vendor) -> bool:
    """Whether an operation can be had with a vendor's models."""
    return counts(operation, door, vendor) or operation in ESTIMATED


def counts(operation: str, door: str, vendor: Vendor) -> bool:
    """Whether a vendor can be asked for an operation itself."""
    return passes(operation, door, vendor) or _conversion(operation, vendor) is not None
