"""Embeddings: unit vectors that depend on the text only."""

import base64
import math
from array import array
from typing import Any

import pytest
from openai import BadRequestError, OpenAI, PermissionDeniedError

from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess


def embed(sandbox: SandboxProcess, text: Any, **options: Any) -> dict[str, Any]:
    body = {"model": "text-embedding-3-small", "input": text, **options}
    answer = sandbox.post("/embeddings", body).raise_for_status().json()
    assert_valid("CreateEmbeddingResponse", answer)
    return answer  # type: ignore[no-any-return]


def vectors(answer: dict[str, Any]) -> list[list[float]]:
    return [item["embedding"] for item in answer["data"]]


def cosine(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))


@pytest.mark.parametrize(
    ("model", "dimensions"),
    [("text-embedding-3-small", 1536), ("text-embedding-3-large", 3072), ("text-embedding-ada-002", 1536)],
)
def test_each_model_has_its_dimensions(sandbox: SandboxProcess, model: str, dimensions: int) -> None:
    [vector] = vectors(embed(sandbox, "TrueFoundry is an AI platform.", model=model))
    assert len(vector) == dimensions
    assert math.isclose(cosine(vector, vector), 1, abs_tol=1e-6)


def test_shared_words_bring_texts_together(sandbox: SandboxProcess) -> None:
    cat, cats, physics, again = vectors(
        embed(sandbox, ["the cat sat", "the cat slept", "quantum field theory", "the cat sat"])
    )
    assert cat == again
    assert cosine(cat, cats) > 0.4 > abs(cosine(cat, physics))


@pytest.mark.parametrize("dimensions", [1, 8, 256])
def test_fewer_dimensions_are_the_beginning_of_more(sandbox: SandboxProcess, dimensions: int) -> None:
    [short] = vectors(embed(sandbox, "hello world", dimensions=dimensions))
    [full] = vectors(embed(sandbox, "hello world"))

    assert len(short) == dimensions
    assert math.isclose(cosine(short, short), 1, abs_tol=1e-6)
    scale = math.sqrt(sum(value * value for value in full[:dimensions]))
    assert all(math.isclose(a, b / scale, abs_tol=1e-6) for a, b in zip(short, full, strict=False))


def test_base64_holds_the_same_numbers(sandbox: SandboxProcess) -> None:
    [plain] = vectors(embed(sandbox, "hi", dimensions=16))
    body = {"model": "text-embedding-3-small", "input": "hi", "dimensions": 16, "encoding_format": "base64"}
    packed = sandbox.post("/embeddings", body).json()["data"][0]["embedding"]
    assert array("f", base64.b64decode(packed)).tolist() == plain


def test_tokens_are_inputs_too(sandbox: SandboxProcess) -> None:
    assert len(vectors(embed(sandbox, [1, 2, 3]))) == 1
    several = embed(sandbox, [[1, 2, 3], [4]])
    assert [item["index"] for item in several["data"]] == [0, 1]
    assert several["usage"] == {"prompt_tokens": 4, "total_tokens": 4}


def test_through_the_sdk(client: OpenAI) -> None:
    answer = client.embeddings.create(
        model="text-embedding-3-small", input=["TrueFoundry is an AI platform.", "TrueFoundry helps teams deploy LLMs."]
    )
    assert [len(item.embedding) for item in answer.data] == [1536, 1536]


@pytest.mark.parametrize("value", ["", [], [""], [1, "a"], [[]], {"a": 1}, [None], "long " * 8000])
def test_bad_inputs_are_refused(sandbox: SandboxProcess, value: Any) -> None:
    answer = sandbox.post("/embeddings", {"model": "text-embedding-3-small", "input": value})
    assert answer.status_code == 400
    assert_valid("ErrorResponse", answer.json())


def test_too_many_dimensions_and_the_wrong_model(client: OpenAI) -> None:
    with pytest.raises(BadRequestError, match="dimensions"):
        client.embeddings.create(model="text-embedding-3-small", input="x", dimensions=2000)
    with pytest.raises(BadRequestError, match="dimensions"):
        client.embeddings.create(model="text-embedding-ada-002", input="x", dimensions=20)
    with pytest.raises(PermissionDeniedError):
        client.embeddings.create(model="gpt-4o", input="x")
