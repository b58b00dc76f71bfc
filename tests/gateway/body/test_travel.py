"""What of a conversation's items goes to another account than the one that made them."""

import json
from typing import Any

import msgspec
import pytest

from gateway.body.json import decode_fields
from gateway.body.references import find_references
from gateway.body.travel import carried_ids, without_ids

THEIRS = {"id_1", "cntr_1"}
SAID = [
    {"type": "output_text", "text": "hi", "annotations": [{"type": "file_citation", "file_id": "id_1", "index": 0}]}
]
CALL = {"type": "function_call", "call_id": "call_1", "name": "f", "arguments": '{"id": "id_1"}'}
CODE = {
    "type": "code_interpreter_call",
    "status": "completed",
    "code": "print(1)",
    "outputs": [{"type": "logs", "logs": "1"}],
}
SAID_CODE = {"role": "assistant", "content": "```python\nprint(1)\n```\n1"}
SHELL = {"type": "shell_call", "call_id": "c", "action": {"commands": ["ls"]}}
SUMMARY = [{"type": "summary_text", "text": "thought"}]
THOUGHT = [{"type": "reasoning_text", "text": "thought"}]


def moved(item: dict[str, Any], ids: set[str] = THEIRS, operation: str = "responses") -> Any:
    """What becomes of an item; ``None`` when it goes."""
    name = "items" if operation.startswith("conversations") else "input"
    fields = decode_fields(json.dumps({"model": "m", name: [item, {"role": "user", "content": "go on"}]}).encode())
    changed = without_ids(fields, operation, ids)
    assert {key: raw for key, raw in changed.items() if key != name} == {"model": msgspec.Raw(b'"m"')}
    items = json.loads(bytes(changed[name]))
    assert items.pop() == {"role": "user", "content": "go on"}
    return items[0] if items else None


@pytest.mark.parametrize(
    "operation",
    ["responses", "responses/compact", "responses/input_tokens", "conversations", "conversations/{id}/items"],
)
@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (
            {"type": "message", "id": "id_1", "role": "assistant", "content": SAID},
            {"type": "message", "role": "assistant", "content": SAID},
        ),
        ({"id": "id_1", "role": "assistant", "content": "hi"}, {"role": "assistant", "content": "hi"}),
        ({**CALL, "id": "id_1"}, CALL),
        ({**CODE, "id": "of_mine", "container_id": "cntr_1"}, SAID_CODE),
        ({**CODE, "id": "id_1", "container_id": "mine"}, {**CODE, "container_id": "mine"}),
        ({**SHELL, "environment": {"type": "container_reference", "container_id": "cntr_1"}}, SHELL),
        ({**SHELL, "id": "id_1", "environment": {"type": "local"}}, {**SHELL, "environment": {"type": "local"}}),
        ({"type": "reasoning", "id": "id_1", "summary": []}, None),
        ({"type": "reasoning", "id": "id_1", "summary": SUMMARY, "encrypted_content": "gA"}, None),
        (
            {"type": "reasoning", "id": "id_1", "summary": [], "content": THOUGHT, "encrypted_content": "gA"},
            {"type": "reasoning", "summary": [], "content": THOUGHT},
        ),
    ],
)
def test_complete_items_go_on_without_ids(item: dict[str, Any], expected: Any, operation: str) -> None:
    assert moved(item, operation=operation) == expected
    assert moved(item, {"another"}, operation) == item


@pytest.mark.parametrize(
    "item",
    [
        {"type": "item_reference", "id": "id_1"},
        {"id": "id_1"},
        {"type": "message", "id": "id_1", "status": "completed"},
        {"type": "image_generation_call", "id": "id_1", "status": "completed"},
        {"type": "compaction", "id": "id_1", "encrypted_content": "gA"},
        {"type": "mcp_approval_request", "id": "id_1", "name": "a", "arguments": "{}", "server_label": "b"},
        {"role": "user", "content": [{"type": "input_file", "file_id": "id_1"}]},
        {**CALL, "call_id": "id_1"},
    ],
)
def test_references_and_what_answers_need_stay(item: dict[str, Any]) -> None:
    assert moved(item) == item


def test_what_is_no_list_of_items_stays() -> None:
    for body in (
        {"input": "id_1"},
        {"input": {"id": "id_1", "role": "user", "content": "hi"}},
        {"messages": [{"id": "id_1"}]},
    ):
        fields = decode_fields(json.dumps(body).encode())
        for operation in ("responses", "chat/completions", ""):
            assert without_ids(fields, operation, THEIRS) == fields


def test_the_glance_finds_every_id_that_can_be_left_out() -> None:
    items = [
        {"type": "message", "id": "msg_1", "role": "assistant", "content": SAID},
        {**CODE, "id": "ci_1", "container_id": "cntr_1"},
        {**SHELL, "environment": {"type": "container_reference", "container_id": "cntr_2"}},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"role": "user", "content": 'say {"id": "not_one"} ' + "x" * 9000},
    ]
    for separators in ((",", ":"), (", ", ": ")):
        body = json.dumps({"input": items}, separators=separators).encode()
        fields = decode_fields(body)
        assert carried_ids(fields, "responses") == {"msg_1", "ci_1", "cntr_1", "cntr_2", "rs_1"}
        assert carried_ids(fields, "chat/completions") == set()
        left = without_ids(fields, "responses", {"msg_1", "ci_1", "cntr_1", "cntr_2", "rs_1"})
        assert carried_ids(left, "responses") == set()
        assert find_references(msgspec.json.encode(left), left, "responses") == []
