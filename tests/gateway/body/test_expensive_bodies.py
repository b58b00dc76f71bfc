"""Bodies that are dear to read are refused before they keep other calls waiting; honest ones pass byte for byte."""

import json
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.body.json import decode_fields
from gateway.body.references import find_references
from gateway.call.errors import InvalidRequest
from tests.support.calls import CHAT_PATH, assert_ours
from tests.support.installation import Gateway

BODY_BYTES = 24 * 2**20
HEAD = b'{"model": "openai-main/gpt-4o-mini", "messages": ['
# Each kept the process busy for 2 to 40 seconds, or for hours. Made by the test: every worker imports this file.
DEAR: dict[str, Callable[[], bytes]] = {
    "objects": lambda: HEAD + b",".join([b"{}"] * (BODY_BYTES // 3)) + b"]}",
    "lists": lambda: HEAD + b",".join([b"[]"] * (BODY_BYTES // 3)) + b"]}",
    "numbers": lambda: HEAD + b",".join([b"1"] * (BODY_BYTES // 2)) + b"]}",
    "messages": lambda: HEAD + b",".join([b'{"role":"user","content":"hello world"}'] * (BODY_BYTES // 40)) + b"]}",
    "fields": lambda: b'{"model": "a/b",' + b",".join(b'"k%d":1' % n for n in range(BODY_BYTES // 12)) + b"}",
    "names": lambda: HEAD + b'{"id":"x","file_id":"f",' + many_names() + b',"z":1,"z":2}]}',
}
SECONDS = 3.0


def many_names() -> bytes:
    return b",".join(b'"k%d":1' % n for n in range(90_000))


def read(body: bytes, operation: str) -> Any:
    """Read a body as the views do."""
    fields = decode_fields(body)
    return find_references(body, fields, operation)


@pytest.mark.parametrize("kind", DEAR)
def test_a_body_of_very_many_values_is_refused_at_once(kind: str, gateway: Gateway, token: str) -> None:
    body = DEAR[kind]()
    started = time.monotonic()
    response = gateway.post(token, CHAT_PATH, content=body)
    assert time.monotonic() - started < SECONDS
    if kind == "names":
        assert_ours(response, 400, "duplicate_field", "z")
    else:
        assert_ours(response, 400, "too_many_values")


@pytest.mark.parametrize("operation", ["", "chat/completions", "threads/runs"])
def test_the_dearest_body_that_passes_is_bearable(operation: str) -> None:
    body = b'{"model": "a/b", "messages": [' + b", ".join([b'{"id": "x"}'] * 290_000) + b"]}"
    started = time.process_time()
    assert read(body, operation) == []
    assert time.process_time() - started < SECONDS


def test_a_long_name_with_escapes_takes_no_memory() -> None:
    body = b'{"model" :1, "' + b"\\n" * 2_000_000 + b'":1}'
    tracemalloc.start()
    decode_fields(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * len(body)


def test_a_number_that_nobody_can_read_is_a_clear_error(gateway: Gateway, token: str) -> None:
    body = b'{"model":"openai-main/gpt-4o-mini","messages":[{"file_id":"f","n":' + b"1" * 5000 + b"}]}"
    assert_ours(gateway.post(token, CHAT_PATH, content=body), 400, "invalid_json")


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
SPACES = st.sampled_from(["", " ", "\n", "\t ", "\r\n"])


@given(st.lists(st.tuples(st.sampled_from(["a", "b", 'q"', "é", "\\"]), VALUES), max_size=5), SPACES, st.booleans())
def test_duplicate_names_are_found_however_the_body_is_written(
    pairs: list[tuple[str, Any]], blank: str, escaped: bool
) -> None:
    def text(value: Any) -> str:
        return json.dumps(value, ensure_ascii=escaped, separators=(f"{blank},{blank}", f"{blank}:{blank}"))

    inner = f"{blank},{blank}".join(f"{text(name)}{blank}:{blank}{text(value)}" for name, value in pairs)
    body = f"{blank}{{{blank}{inner}{blank}}}{blank}".encode()
    names = [name for name, _ in pairs]
    if len(set(names)) == len(names):
        assert {name: json.loads(bytes(raw)) for name, raw in decode_fields(body).items()} == dict(pairs)
    else:
        with pytest.raises(InvalidRequest) as caught:
            decode_fields(body)
        assert caught.value.code == "duplicate_field"
