"""A large body is read by its short text, and nothing shows it: the same is taken, refused, found and sent."""

import base64
import json
import random
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from accounts.caller import Caller
from gateway.body import json as json_body
from gateway.call import shortened as shortening
from gateway.call.call import Call
from gateway.call.errors import InvalidRequest
from gateway.call.headers import Options
from gateway.call.shortened import shortened
from gateway.objects import operations
from gateway.pipeline import describe

STEP, KEPT, KEPT_END = 32, 16, 4
LONG = 2 * STEP + KEPT + KEPT_END


@pytest.fixture(scope="module", autouse=True)
def _small_steps() -> Iterator[None]:
    """What is long is short here, so that examples are."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"STEP_BYTES": STEP, "KEPT_BYTES": KEPT, "KEPT_END_BYTES": KEPT_END}.items():
            patch.setattr(shortening, name, value)
        patch.setattr(shortening, "MOST_PERCENT", 100)
        patch.setattr(describe, "LARGE_BYTES", 0)
        yield


def code(size: int, seed: int = 1) -> str:
    """Base64 of a length."""
    return base64.b64encode(random.Random(seed).randbytes(size)).decode()[:size]


def described(raw: bytes, operation: Any = operations.CHAT, *, short: bool = True) -> tuple[Any, ...]:
    """What is known of a body once it is read: its fields and references, or how it is refused."""
    call = Call(cast(Caller, None), operation, Options(), "req_1")
    with pytest.MonkeyPatch.context() as patch:
        if not short:
            patch.setattr(describe, "LARGE_BYTES", len(raw))
        try:
            describe.read_json(call, raw)
        except InvalidRequest as error:
            return type(error), str(error), error.code, error.param
    assert short or call.body.short is None
    fields = {name: bytes(value) for name, value in call.body.fields.items()}
    return fields, call.references, call.stream, call.wants_usage, call.body.raw


def check(raw: bytes, operation: Any = operations.CHAT) -> None:
    assert described(raw, operation) == described(raw, operation, short=False)
    short = shortened(raw)
    if short is None:
        return
    assert bytes(short.restored(short.text) or b"") == raw
    assert is_json(short.text) == is_json(raw)


def is_json(raw: bytes) -> bool:
    try:
        json_body.decode_fields(raw)
    except InvalidRequest:
        return False
    return True


def test_what_is_long_is_left_out() -> None:
    body = json.dumps({"model": "a/b", "messages": [{"role": "user", "content": code(4000)}]}).encode()
    short = shortened(body)
    assert short is not None
    assert len(short.text) < 200
    assert bytes(short.restored(short.text) or b"") == body
    check(body)


@pytest.mark.parametrize(
    "long",
    [code(4000).replace("A", "-"), code(4000).replace("A", "\\/"), code(4000).replace("A", "é"), "a b" * 2000, ""],
    ids=["url-safe", "escaped", "beyond-ascii", "text", "nothing"],
)
def test_only_plain_base64_is_left_out(long: str) -> None:
    assert shortened(b'{"a": "%b"}' % long.encode()) is None


def test_a_body_that_stays_long_is_read_whole() -> None:
    body = json.dumps({"a": code(200), "b": ["short"] * 200}).encode()
    assert shortened(body) is not None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shortening, "MOST_PERCENT", 25)
        assert shortened(body) is None


def test_names_stay() -> None:
    name = code(400)
    for gap in ("", " ", "\n\t"):
        body = f'{{"{name}"{gap}: 1, "{name}"{gap}: 2, "x": "{code(400, 2)}"}}'.encode()
        short = shortened(body)
        assert short is not None
        assert short.text.count(name.encode()) == 2
        assert described(body)[2] == "duplicate_field"
        check(body)


# Parts of JSON, whole and broken, around runs that are long enough to be left out, and some that are not quite.
shards = st.one_of(
    st.sampled_from(
        [
            *('"', "{", "}", "[", "]", ":", ",", " ", "\n", "\\", '\\"', "\\\\", "\\u00", "\\u0041", "\\ud800", "é"),
            *(
                "\x01",
                "\x7f",
                "null",
                "true",
                "NaN",
                "1e5",
                "-",
                "1" * LONG,
                '"a":',
                '"id":"',
                "data:image/png;base64,",
            ),
            *('"stream":true', '"model":"a/b",', '{"type":"item_reference","id":"', "\U0001f600", "file_id"),
        ]
    ).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\0"]),
    st.builds(lambda size, seed: code(size, seed).encode(), st.integers(LONG - 40, LONG + 100), st.integers(0, 3)),
)
texts = st.one_of(
    st.text(max_size=12),
    st.builds(code, st.integers(LONG - 40, LONG + 200), st.integers(0, 3)),
    st.builds(lambda size: "data:image/png;base64," + code(size), st.integers(LONG, LONG + 200)),
    st.builds(lambda size, text: code(size) + text + code(size), st.integers(LONG, LONG + 50), st.text(max_size=3)),
)
values = st.recursive(
    st.one_of(texts, st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(["id", "type", "file_id", "url", "text", "tools", "stream"]), texts),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)
NAMES = ["model", "messages", "input", "tools", "stream", "stream_options", "previous_response_id", "x", "metadata"]
documents = st.dictionaries(st.sampled_from(NAMES), values, max_size=5)


@given(st.lists(shards, max_size=25).map(b"".join))
@example(b'{"a":"' + code(LONG).encode() + b'","a":"' + code(LONG, 2).encode() + b'"}')
@example(b'{"a":[1,' + b"1" * LONG + b'"]}')
@example(b'{"a":"x"' + code(LONG).encode() + b'"}')
@example(b'{"a":"\\' + code(LONG).encode() + b'"}')
@example(b'{"a":"' + code(KEPT - 1).encode() + b"\\u" + b"0" * LONG + b'"}')
@example(b'{"a":"\xff' + code(LONG).encode() + b'"}')
def test_anything_is_read_as_if_it_were_read_whole(text: bytes) -> None:
    check(text)
    check(b'{"messages":[' + text + b"]}")


@given(documents, st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", " : ")]), st.data())
def test_documents_are_read_as_if_they_were_read_whole(
    fields: dict[str, Any], ascii_only: bool, separators: tuple[str, str], data: st.DataObject
) -> None:
    raw = json.dumps(fields, ensure_ascii=ascii_only, separators=separators).encode("utf-8", "surrogatepass")
    for operation in (operations.CHAT, operations.RESPONSE):
        check(raw, operation)
    at = data.draw(st.integers(0, len(raw)))
    check(
        raw[:at] + data.draw(st.sampled_from([b"", b'"', b"\\", b"1", b",", b"\xff", b'","stream":true,"'])) + raw[at:]
    )


@given(st.lists(st.one_of(texts, st.sampled_from(["", "x"])), max_size=6), st.integers(0, 500), st.booleans())
def test_a_mark_that_does_not_come_through_is_noticed(found: list[str], at: int, cuts: bool) -> None:
    body = json.dumps({"messages": found}).encode()
    short = shortened(body)
    if short is None:
        return
    text = short.text
    changed = text[:at] if cuts else text[:at] + text[at + 1 :]
    restored = short.restored(changed)
    expected = body[: len(body) - (len(text) - at)] if cuts else None
    if restored is not None and cuts:  # nothing but what is behind the last mark is gone
        assert bytes(restored) == expected
    elif restored is not None:
        assert len(restored) in (len(body), len(body) - 1)
