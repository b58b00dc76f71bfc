"""Which ids a body mentions: found wherever the upstream would follow them, and nowhere else."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body import reference_table, references
from gateway.body.json import decode_fields
from gateway.body.object_names import MENTIONED, normal_id
from gateway.body.references import MAX_REFERENCES, find_references
from gateway.call.errors import InvalidRequest
from providers.routing.naming import OWN_PREFIXES, REFERENCE_FIELDS
from tools import build_reference_table

PAD = {"instructions": [{"text": "x" * 5000}]}


def found(body: bytes, operation: str = "", door: str = "openai") -> set[tuple[str, str]]:
    pairs = find_references(body, decode_fields(body), operation, door)
    return {(field, object_id) for field, object_id in pairs if field != MENTIONED}


def mentioned(body: bytes, operation: str = "", door: str = "openai") -> set[str]:
    pairs = find_references(body, decode_fields(body), operation, door)
    return {object_id for field, object_id in pairs if field == MENTIONED}


@pytest.mark.parametrize("pad", [{}, PAD], ids=["short", "long"])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"input": "file_id conversation"}, set()),
        ({"previous_response_id": "resp_1"}, {("previous_response_id", "resp_1")}),
        ({"previous_response_id": None, "conversation": ""}, set()),
        ({"conversation": {"id": "conv_1"}}, {("conversation", "conv_1")}),
        (
            {"tools": [{"vector_store_ids": ["vs_1", "vs_2"]}]},
            {("vector_store_ids", "vs_1"), ("vector_store_ids", "vs_2")},
        ),
        ({"a": [{"b": {"c": [{"file_id": "file-1"}]}}]}, {("file_id", "file-1")}),
        ({"metadata": {"file_id": "file-1", "thread_id": "t"}}, set()),
        ({"tools": [{"parameters": {"properties": {"file_id": {"default": "file-1", "id": "x"}}}}]}, set()),
        ({"text": {"format": {"schema": {"file_id": "file-1"}}}}, set()),
        ({"input": [{"content": [{"annotations": [{"file_id": "file-1", "container_id": "cntr_1"}]}]}]}, set()),
        (
            {"input": [{"type": "file_search_call", "id": "fs_1", "queries": [], "results": [{"file_id": "f-1"}]}]},
            set(),
        ),
        (
            {"input": [{"type": "code_interpreter_call", "id": "ci", "container_id": "cntr_1"}]},
            {("container_id", "cntr_1")},
        ),
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
)
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


# --- by OpenAI's description --------------------------------------------------------------------------------


def example(place: str, object_id: str) -> dict[str, Any]:
    """A body with an id at one of the table's places, in lists as OpenAI has them."""
    names = place.split(".")
    value: Any = [object_id] if names[-1].endswith("ids") else object_id
    for name in reversed(names):
        value = {"variable" if name == "*" else name: value}
        if name in {"content", "input", "messages", "tools", "skills", "files", "images", "items", "attachments"}:
            value[name] = [value[name]]
    return value  # type: ignore[no-any-return]


PLACES = [(operation, place) for operation, places in reference_table.PLACES.items() for place in places]


@pytest.mark.parametrize("pad", [{}, PAD], ids=["short", "long"])
@pytest.mark.parametrize(("operation", "place"), PLACES)
def test_every_place_of_the_description_is_found(operation: str, place: str, pad: dict[str, Any]) -> None:
    field = place.rpartition(".")[2]
    object_id = f"{OWN_PREFIXES.get(field, 'x')}1"
    for shape in ({}, {"id": object_id}):
        body = example(place, object_id)
        if shape:
            if field.endswith("ids") or field == "file_id":
                continue
            body = json.loads(json.dumps(body).replace(f'"{object_id}"', json.dumps(shape)))
        assert found(json.dumps({**body, **pad}).encode(), operation) == {(field, object_id)}
        escaped = json.dumps({**body, **pad}).replace(f'"{field}"', f'"\\u{ord(field[0]):04x}{field[1:]}"')
        assert found(escaped.encode(), operation) == {(field, object_id)}


def names_only(value: Any) -> Any:
    """An object that uses every name of a reference for something of its own."""
    return {**dict.fromkeys(sorted(REFERENCE_FIELDS), "mine"), "audio": "audio_1", "voice": "voice_1", "nested": value}


TEXTS: list[tuple[str, dict[str, Any]]] = [
    ("responses", {"client_metadata": {"thread_id": "x"}}),
    ("responses", {"client_metadata": names_only(None)}),
    ("responses", {"metadata": names_only(None)}),
    ("responses", {"prompt": {"id": "pmpt_1", "variables": dict.fromkeys(sorted(REFERENCE_FIELDS), "text")}}),
    ("responses", {"tools": [{"type": "mcp", "server_label": "a", "headers": names_only(None)}]}),
    ("responses", {"tools": [{"type": "function", "name": "f", "parameters": {"properties": names_only({})}}]}),
    ("responses", {"tools": [{"type": "file_search", "filters": {"type": "eq", "key": "file_id", "value": "a"}}]}),
    ("responses", {"text": {"format": {"type": "json_schema", "schema": {"properties": names_only({})}}}}),
    ("responses", {"input": [{"type": "mcp_call", "id": "mcp_1", "arguments": "{}", "name": "a", "thread_id": "x"}]}),
    ("responses", {"input": [{"type": "function_call", "call_id": "call_1", "arguments": '{"file_id":"a"}'}]}),
    ("responses", {"tool_choice": {"type": "mcp", "file_id": "x"}}),
    ("chat/completions", {"thread_id": "x", "conversation": "y", "batch_id": "z", "file_id": "f", "container": "c"}),
    ("chat/completions", {"chat_template_kwargs": names_only(None), "extra": [names_only({"file_id": "x"})]}),
    ("chat/completions", {"messages": [{"role": "user", "content": "hi", "thread_id": "x", "container": {"id": "y"}}]}),
    (
        "chat/completions",
        {"prediction": {"type": "content", "content": [{"type": "text", "text": "", "file_id": "x"}]}},
    ),
    ("embeddings", names_only(None)),
    ("moderations", {"input": [names_only(None)]}),
    ("images/generations", names_only(None)),
    (
        "evals",
        {"data_source_config": {"type": "custom", "item_schema": names_only(None)}, "metadata": names_only(None)},
    ),
    (
        "evals/{id}/runs",
        {"data_source": {"type": "responses", "source": {"type": "file_content", "content": [names_only(None)]}}},
    ),
    ("evals/{id}/runs", {"data_source": {"input_messages": {"type": "item_reference", "item_reference": "item.x"}}}),
    ("vector_stores/{id}/search", {"query": "a", "filters": names_only(None)}),
    ("vector_stores/{id}/files/{id}", {"attributes": names_only(None)}),
    ("realtime", {"type": "session.update", "session": {"tools": [{"type": "mcp", "headers": names_only(None)}]}}),
]


@pytest.mark.parametrize("pad", [{}, PAD], ids=["short", "long"])
@pytest.mark.parametrize(("operation", "body"), TEXTS)
def test_what_callers_call_things_refers_to_nothing(operation: str, body: dict[str, Any], pad: dict[str, Any]) -> None:
    assert found(json.dumps({**body, **pad}).encode(), operation) == set()


def test_an_object_of_an_unknown_type_is_searched_by_names() -> None:
    tool = {"type": "memory_search_2027", "sources": [{"vector_store_ids": ["vs_1"], "deep": {"file_id": "file-1"}}]}
    expected = {("vector_store_ids", "vs_1"), ("file_id", "file-1")}
    assert found(json.dumps({"tools": [tool]}).encode(), "responses") == expected
    assert found(json.dumps({"input": [{"type": "new", "input": tool}]}).encode(), "responses") == expected
    event = {"type": "session.start", "session": {"delegation": {"vector_store_ids": ["vs_1"], "file_id": "file-1"}}}
    assert found(json.dumps(event).encode(), "realtime") == expected


def test_the_marks_of_the_table_are_no_names() -> None:
    body = {"input": [{"type": "message", "content": {"": "a", "*": "b", "#": "c", "1": "d"}, "": {"": "x"}}]}
    assert found(json.dumps({**body, **PAD}).encode(), "responses") == set()


def test_a_body_without_hints_has_no_marks() -> None:
    for _, marks, hints in [*references._TREES.values(), references._BY_NAMES, references._NATIVE]:
        assert marks
        assert [mark for mark in marks if not any(hint in mark for hint in hints)] == []


@pytest.mark.parametrize("nested", [[["ID"]], [{"id": "ID"}], "ID", {"id": "ID"}])
def test_other_shapes_than_the_description_has_are_found_too(nested: Any) -> None:
    body = json.dumps({"tools": {"vector_store_ids": nested}}).replace("ID", "vs_1")
    assert ("vector_store_ids", "vs_1") in found(body.encode(), "responses")


def test_the_table_has_all_that_openai_describes() -> None:
    """Made again of the description that the tests have, it names no place that the code does not know."""
    rows, items, types = build_reference_table.build(build_reference_table.read(build_reference_table.described()))
    for operation, places in rows.items():
        assert set(places) <= set(reference_table.PLACES[operation]), operation
    assert items.items() <= reference_table.ITEM_LISTS.items()
    assert set(types) <= reference_table.TYPES


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


# --- at the doors of other vendors --------------------------------------------------------------------------

ADDRESS = "https://generativelanguage.googleapis.com/v1beta/files/bob"
NATIVE: list[tuple[str, dict[str, Any], set[tuple[str, str]]]] = [
    ("anthropic", {"messages": [{"content": [{"source": {"file_id": "file_bob"}}]}]}, {("file_id", "file_bob")}),
    ("anthropic", {"tools": [{"type": "x", "file_id": "file_bob"}]}, {("file_id", "file_bob")}),
    ("anthropic", {"container": "c_bob"}, {("container", "c_bob")}),
    ("anthropic", {"container": {"id": "c_bob"}}, {("container", "c_bob")}),
    ("anthropic", {"container": {"skills": [{"skill_id": "skill_bob"}]}}, {("skill_id", "skill_bob")}),
    ("anthropic", {"container": {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}}, set()),
    ("anthropic", {"messages": [{"content": [{"type": "tool_use", "input": {"file_id": "mine"}}]}]}, set()),
    ("gemini", {"cachedContent": "cachedContents/bob"}, {("cachedContent", "bob")}),
    (
        "gemini",
        {"tools": [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/bob"]}}]},
        {("fileSearchStoreNames", "bob")},
    ),
    ("gemini", {"contents": [{"parts": [{"functionCall": {"args": {"fileUri": "files/mine"}}}]}]}, set()),
    ("gemini", {"contents": [{"parts": [{"fileData": {"fileUri": "https://example.com/files/a.png"}}]}]}, set()),
]


def escaped_names(body: dict[str, Any]) -> bytes:
    """A body with an escape in each name and each string that is longer than a letter."""
    return re.sub(r'"(\w)([^"\\]+)"', lambda at: f'"\\u{ord(at[1]):04x}{at[2]}"', json.dumps(body)).encode()


@pytest.mark.parametrize("pad", [{}, PAD], ids=["short", "long"])
@pytest.mark.parametrize(("door", "body", "expected"), NATIVE)
def test_other_dialects(door: str, body: dict[str, Any], expected: set[tuple[str, str]], pad: dict[str, Any]) -> None:
    body = {**body, **pad}
    assert found(json.dumps(body).encode(), "messages", door) == expected
    assert found(escaped_names(body), "messages", door) == expected


@pytest.mark.parametrize(
    "address",
    [
        ADDRESS,
        ADDRESS.upper().replace("/BOB", "/bob"),
        ADDRESS.replace(".com", ".com."),
        ADDRESS.replace("com/", "com:443/"),
        ADDRESS.replace("files", "%66iles"),
        ADDRESS.replace("/v1beta", "//v1beta"),
        ADDRESS[6:],
        ADDRESS + ":download?alt=media",
        ADDRESS.replace("//", "//x@"),
        ADDRESS.replace("/bob", "/%62ob/"),
        f" {ADDRESS}\n",
        " files/bob",
        "FILES/bob",
        "v1beta/files/bob",
        "/files/bob",
        "files/bob?x",
    ],
)
def test_googles_files_have_one_normal_form(address: str) -> None:
    body = {"contents": [{"parts": [{"fileData": {"fileUri": address}}]}]}
    assert found(json.dumps(body).encode(), "", "gemini") == {("fileUri", "bob")}
    assert found(escaped_names(body), "", "gemini") == {("fileUri", "bob")}
    if "google" in address.lower():
        linked = {"messages": [{"content": [{"type": "image_url", "image_url": {"url": address}}]}]}
        assert ("url", "bob") in found(json.dumps(linked).encode(), "chat/completions")


@pytest.mark.parametrize("value", ["file-1", " file-1 ", "files/file-1", "v1/files/file-1/", "file%2D1"])
def test_the_normal_form_of_an_id(value: str) -> None:
    assert normal_id(value) == "file-1"


# --- mentioned anywhere -------------------------------------------------------------------------------------

BOBS = "0d6b1fa5-7e9c-4a6e-9c51-3f0c1b3f8f54"
PARTS: list[Any] = [
    {"type": "file", "file_id": BOBS},
    {"type": "file", "id": BOBS},
    {"type": "input_file", "input_file": {"file": BOBS}},
    {"type": "image_file", "image_file": {"file_id": BOBS}},
    {"type": "image_file", "imageFile": {"fileId": BOBS}},
    {"type": "image_file", "image_file": BOBS},
    {"type": "document", "document_ids": [BOBS]},
    {"type": "text", "text": "a", "files": [{"id": BOBS}]},
]


@pytest.mark.parametrize("operation", ["", "chat/completions", "embeddings", "moderations", "audio/speech", "rerank"])
@pytest.mark.parametrize("part", PARTS)
def test_an_id_is_found_wherever_it_is(operation: str, part: dict[str, Any]) -> None:
    for body in ({"messages": [{"content": [part]}]}, {"extra": [part]}, {"parameters": part}):
        for padded in (body, {**body, **PAD}):
            assert BOBS in {each for _, each in find(json.dumps(padded).encode(), operation)}
            assert BOBS in {each for _, each in find(escaped_names(padded), operation)}


def find(body: bytes, operation: str) -> list[tuple[str, str]]:
    return find_references(body, decode_fields(body), operation)


@pytest.mark.parametrize("object_id", ["file-abc123", "vs_abc123", "resp_abc123", "thread_abc123"])
def test_what_looks_like_an_id_is_found_under_any_name(object_id: str) -> None:
    assert object_id in mentioned(json.dumps({"x": {"source": [object_id]}}).encode(), "chat/completions")


@pytest.mark.parametrize(
    "body",
    [
        {"metadata": {"thread_id": "thread_abc123"}},
        {"messages": [{"role": "tool", "tool_call_id": "call_file_abc123", "content": "file-abc123 is it"}]},
        {"tool_choice": "auto", "conversation": "auto"},
    ],
)
def test_labels_and_texts_mention_nothing(body: dict[str, Any]) -> None:
    assert mentioned(json.dumps({**body, "é": "\u00e9"}).encode(), "chat/completions") == set()


@pytest.mark.parametrize("part", PARTS[:1])
@pytest.mark.parametrize("field", ["file_id", "image_file", "input_file", "source"])
def test_files_in_messages_are_references_in_other_vendors_forms(field: str, part: dict[str, Any]) -> None:
    part = part if field == "file_id" else {"type": field, field: {"file_id": BOBS}}
    assert found(json.dumps({"messages": [{"content": [part]}]}).encode(), "chat/completions") == {("file_id", BOBS)}
