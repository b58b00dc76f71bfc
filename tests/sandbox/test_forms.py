"""Multipart forms, which later resources read."""

from collections.abc import AsyncIterator

import pytest

from sandbox.errors import ApiError
from sandbox.wire.forms import Form, parse_form

TYPE = "multipart/form-data; boundary=frontier"
BODY = (
    b"--frontier\r\ncontent-disposition: form-data; name=model\r\n\r\ngpt-image-1\r\n"
    b'--frontier\r\ncontent-disposition: form-data; name="image[]"; filename="a \xc3\xa9.png"\r\n'
    b"content-type: image/png\r\n\r\n\x89PNG\r\n--front\x00\r\n"
    b'--frontier\r\ncontent-disposition: form-data; name="image[]"; filename="b.png"\r\n\r\nsecond\r\n'
    b'--frontier\r\ncontent-disposition: form-data; name="tags[]"\r\n\r\none\r\n'
    b'--frontier\r\ncontent-disposition: form-data; name="tags[]"\r\n\r\ntwo\r\n--frontier--\r\n'
)


async def read(body: bytes, content_type: str = TYPE, size: int = 7) -> Form:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    return await parse_form(content_type, pieces())


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_parts_arrive_byte_for_byte(size: int) -> None:
    form = await read(BODY, size=size)

    assert form.get("model") == "gpt-image-1"
    assert form.values("tags") == ["one", "two"]
    first, second = form.uploads("image")
    assert (first.filename, first.content_type, first.size) == ("a é.png", "image/png", 14)
    assert first.read() == b"\x89PNG\r\n--front\x00"
    assert (second.content_type, second.read()) == ("application/octet-stream", b"second")
    assert form.require_file("image") is first
    with pytest.raises(ApiError, match="Missing required parameter: 'mask'"):
        form.require_file("mask")


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"{}", "application/json", "only accepts 'multipart/form-data'"),
        (BODY, "multipart/form-data", "Could not parse"),
        (BODY[:-20], TYPE, "ended before its last boundary"),
        (b"hello", TYPE, "Could not parse"),
        (b"--frontier\r\ncontent-type: text/plain\r\n\r\nx\r\n--frontier--", TYPE, "Field name not found"),
        (b"--frontier\r\ncontent-disposition: form-data; name=x\r\n\r\ny\r\n" * 1002, TYPE, "more than 1000 parts"),
    ],
)
async def test_what_is_no_form_is_refused(body: bytes, content_type: str, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        await read(body, content_type)
