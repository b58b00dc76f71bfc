"""What Azure's content filters say of chats: fields beside OpenAI's, and a chunk of their own before a stream."""

from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Any

import msgspec

from sandbox.azure.service import SAFE
from sandbox.wire.messages import Answer, Response, Stream, encode, event

PROMPT: dict[str, Any] = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": SAFE}]}
_FIRST = {"id": "", "object": "", "created": 0, "model": "", "choices": [], **PROMPT}
_DATA = b"data: {"


def annotated(answer: Answer) -> Answer:
    """A chat's answer with what the filters found."""
    if isinstance(answer, Stream):
        chunks = answer.chunks
        if not isinstance(chunks, AsyncIterable):
            answer.chunks = _chunks(chunks)
        return answer
    if answer.status != 200:
        return answer
    body = msgspec.json.decode(answer.body)
    return Response(encode({**_said(body), **PROMPT}), headers=answer.headers)


def _chunks(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield event(_FIRST)
    for chunk in chunks:
        yield event(_said(msgspec.json.decode(chunk[6:]))) if chunk.startswith(_DATA) else chunk


def _said(body: dict[str, Any]) -> dict[str, Any]:
    choices = [{**choice, "content_filter_results": SAFE} for choice in body.get("choices", ())]
    return {**body, "choices": choices} if "choices" in body else body
