"""Which ids a body mentions: found wherever the upstream would follow them, and nowhere else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body.json import decode_fields
from gateway.body.references import MAX_REFERENCES, find_references
from gateway.call.errors import InvalidRequest

PAD = {"instructions": [{"text": "x" * 5000}]}


def found(body: bytes) -> set[tuple[str, str]]:
    return set(find_references(body, decode_fields(body)))


@pytest.mark.parametrize("pad", [{}, PAD], ids=["short", "long"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"input": "file_id conversation"}, set()),
        ({"previous_response_id": "resp_1"}, {("previous_response_id", "resp_1")}),
        ({"previous_response_id": None, "conversation": ""}, set()),
        ({"conversation": {"id": "conv_1"}}, {("conversation", "conv_1")}),
        ({"tools": [{"vector_store_ids": ["vs_1", "vs_2"]}]}, {("vector_store_ids", "vs_1"), ("vector_store_ids", "vs_2")}),
        ({"a": [{"b": {"c": [{"file_id": "file-1"}]}}]}, {("file_id", "file-1")}),
        ({"metadata": {"file_id": "file-1", "thread_id": "t"}}, set()),
        ({"tools": [{"parameters": {"properties": {"file_id": {"default": "file-1", "id": "x"}}}}]}, set()),
        ({"text": {"format": {"schema": {"file_id": "file-1"}}}}, set()),
        ({"input": [{"content": [{"annotations": [{"file_id": "file-1", "container_id": "cntr_1"}]}]}]}, set()),
        ({"input": [{"type": "file_search_call", "id": "fs_1", "queries": [], "results": [{"file_id": "f-1"}]}]}, set()),
        ({"input": [{"type": "code_interpreter_call", "id": "ci", "container_id": "cntr_1"}]}, {("container_id", "cntr_1")}),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, {("item_reference", "msg_1")}),
        ({"input": [{"id": "msg_1"}]}, {("item_reference", "msg_1")}),
        ({"items": [{"id": "msg_1", "type": None}]}, {("item_reference", "msg_1")}),
        ({"input": [{"id": "msg_1", "type": "message", "role": "user", "content": "hi"}]}, set()),
        ({"input": [{"id": "rs_1", "type": "reasoning", "summary": []}]}, {("item_reference", "rs_1")}),
        ({"input": [{"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gA"}]}, set()),
        ({"input": [{"id": "ig_1", "type": "image_generation_call"}]}, {("item_reference", "ig_1")}),
        ({"input": [{"id": "ig_1", "type": "image_generation_call", "result": "iVBO"}]}, set()),
        ({"data_source": {"source": {"type": "file_id", "id": "file-1"}}}, {("file_id", "file-1")}),
        ({"tools": [{"environment": {"skills": [{"skill_id": "skill_1"}]}}]}, {("skill_id", "skill_1")}),
        ({"tools": [{"environment": {"skills": [{"skill_id": "openai-spreadsheets"}]}}]}, set()),
        ({"prompt_cache_options": {"comparison_response_id": "resp_1"}}, {("comparison_response_id", "resp_1")}),
    ],
)  # fmt: skip
def test_what_is_found(body: dict[str, Any], expected: set[tuple[str, str]], pad: dict[str, Any]) -> None:
    assert found(json.dumps({**body, **pad}).encode()) == expected
    assert found(json.dumps({**pad, **body}, separators=(",", ":"), ensure_ascii=False).encode()) == expected


@pytest.mark.parametrize("pad", ["", "x" * 5000], ids=["short", "long"])
@pytest.mark.parametrize(
    "inner",
    ['{"file_id":"a","file_id":"b"}', '{"file_id":"a","file_id":null}', '{"type":"item_reference","id":"a","id":"b"}'],
)
def test_a_name_given_twice_is_refused(inner: str, pad: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        found(f'{{"input":[{inner},{{"text":"{pad}"}}]}}'.encode())
    assert refused.value.code == "duplicate_field"


texts = st.text('ab"\\\\{}[]:,é\n', max_size=30).map(lambda text: text * 40) | st.text('a"\\\\', max_size=5)


@given(texts=st.lists(texts, max_size=40), place=st.integers(0, 40), ascii=st.booleans(), escaped=st.booleans())
def test_long_texts_hide_nothing(texts: list[str], place: int, ascii: bool, escaped: bool) -> None:
    parts: list[Any] = [{"type": "text", "text": text} for text in texts]
    parts.insert(place, {"type": "file", "file": {"file_id": "file-1"}})
    messages = [{"role": "user", "content": [*parts, {"text": "x" * 5000}]}]
    body = json.dumps({"messages": messages}, ensure_ascii=ascii)
    if escaped:
        body = body.replace('"file_id"', '"' + "".join(f"\\u{ord(letter):04x}" for letter in "file_id") + '"')
    assert found(body.encode()) == {("file_id", "file-1")}


def test_there_is_a_bound() -> None:
    ids = [f"file-{number}" for number in range(MAX_REFERENCES + 1)]
    assert len(found(json.dumps({"file_ids": ids[:-1]}).encode())) == MAX_REFERENCES
    with pytest.raises(InvalidRequest):
        found(json.dumps({"a": {"file_ids": ids}}).encode())
