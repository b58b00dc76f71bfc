"""Embeddings: the neutral form, and OpenAI's."""

import base64
import binascii
import struct
from collections.abc import Mapping
from typing import Any

import msgspec

from providers.dialects.failures import unreadable, unsupported
from providers.dialects.tokens import read_openai
from providers.dialects.wire import answer_fields, encode, invalid, listed, plain, take, text_of


class EmbeddingRequest(msgspec.Struct):
    """Texts to embed.

    ``base64`` is how the caller wants vectors, ``single`` whether a lone one was asked for (Gemini).
    """

    inputs: list[str]
    model: str = ""
    dimensions: int | None = None
    base64: bool = False
    user: str | None = None
    task: str = ""
    single: bool = False
    extra: dict[str, Any] = {}


class EmbeddingAnswer(msgspec.Struct):
    """Vectors in the order of the inputs; ``tokens`` is 0 where the vendor does not say."""

    vectors: list[list[float]]
    model: str = ""
    tokens: int = 0


def read_request(fields: Mapping[str, Any]) -> EmbeddingRequest:
    """Return OpenAI's request. Token ids belong to one vendor's vocabulary, so they cannot be translated."""
    body = plain(fields)
    given = body.pop("input", None)
    inputs = [given] if isinstance(given, str) else given
    if not isinstance(inputs, list) or not inputs:
        raise invalid("input", given, "It must be a string or a non-empty array of strings.")
    if not all(isinstance(each, str) for each in inputs):
        raise unsupported(
            "input", "must be text: arrays of token ids only work with the model that they were made for."
        )
    form = take(body, "encoding_format", str) or "float"
    if form not in ("float", "base64"):
        raise invalid("encoding_format", form, "Supported values are: 'float' and 'base64'.")
    return EmbeddingRequest(
        inputs,
        take(body, "model", str) or "",
        take(body, "dimensions", int),
        form == "base64",
        take(body, "user", str),
        extra=body,
    )


def write_request(request: EmbeddingRequest, model: str) -> bytes:
    """Return OpenAI's request."""
    body: dict[str, Any] = {"model": model, "input": request.inputs, "encoding_format": "float"}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return encode(body)


def read_answer(body: bytes) -> EmbeddingAnswer:
    """Return OpenAI's answer in the neutral form."""
    fields = answer_fields(body)
    usage = read_openai(fields.get("usage"))
    vectors = [_vector(each.get("embedding")) for each in listed(fields, "data")]
    return EmbeddingAnswer(vectors, text_of(fields.get("model")), usage.input if usage else 0)


def _vector(value: Any) -> list[float]:
    if isinstance(value, str):
        try:
            packed = base64.b64decode(value, validate=True)
            return list(struct.unpack(f"<{len(packed) // 4}f", packed))
        except (binascii.Error, ValueError, struct.error) as error:
            raise unreadable("an embedding is not valid base64") from error
    if isinstance(value, list) and all(isinstance(each, (int, float)) for each in value):
        return [float(each) for each in value]
    raise unreadable("an embedding is not a list of numbers")


def write_answer(answer: EmbeddingAnswer, request: EmbeddingRequest) -> bytes:
    """Return OpenAI's answer, its vectors in the form that was asked for."""
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(vector) if request.base64 else vector}
        for index, vector in enumerate(answer.vectors)
    ]
    usage = {"prompt_tokens": answer.tokens, "total_tokens": answer.tokens}
    return encode({"object": "list", "data": data, "model": answer.model or request.model, "usage": usage})


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
