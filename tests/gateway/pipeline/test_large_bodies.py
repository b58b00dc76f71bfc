"""A large body goes to any provider with its images as they came: it is held once, and not built again."""

import base64
import json
import random
from typing import Any

import msgspec
import pytest

from gateway.call.shortened import KEPT_BYTES, STEP_BYTES, shortened
from gateway.pipeline.convert import PASSED_FIELDS
from providers.dialects.conversion import Ask
from providers.dialects.conversions import DOORS, SIDES, ChatConversion
from providers.dialects.failures import DialectError
from providers.dialects.neutral import Settings
from providers.upstream.pieces import LARGE_BYTES
from tests.gateway.pipeline.test_usage_records import record_of
from tests.support.calls import CHAT_PATH
from tests.support.installation import Gateway
from tests.support.vendor_accounts import CLAUDE_PATH, GEMINI_PATH, model_of
from tests.support.vendor_upstream import CONTENT, MESSAGE, VendorUpstream

PNG = b"\x89PNG\r\n\x1a\n" + random.Random(1).randbytes(2**20)
IMAGE = base64.b64encode(PNG).decode()
SOUND = base64.b64encode(b"RIFF\0\0\0\0WAVE" + random.Random(2).randbytes(2**20)).decode()
PDF = base64.b64encode(b"%PDF-1.7\n" + random.Random(3).randbytes(2**20)).decode()
URI = f"data:image/png;base64,{IMAGE}"


def _chat(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    said = [{"type": "text", "text": "Look:"}, *parts]
    return {"model": "m", "messages": [{"role": "user", "content": said}], "max_tokens": 9, **fields}


def _image(url: str = URI) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


# What is asked for at each door; the media types and the ids in there are read, and what is long passes.
ASKED: dict[str, list[dict[str, Any]]] = {
    "chat/completions": [
        _chat(_image()),
        _chat(_image(), _image(URI[:-9]), {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}}),
        _chat({"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}}),
        {**_chat(), "messages": [{"role": "user", "content": IMAGE}]},
    ],
    "responses": [
        {"model": "m", "input": [{"role": "user", "content": [{"type": "input_image", "image_url": URI}]}]},
        {"model": "m", "input": [{"role": "user", "content": [{"type": "input_file", "file_data": PDF}]}]},
        {"model": "m", "input": IMAGE},
    ],
    "messages": [
        {
            "model": "m",
            "max_tokens": 9,
            "messages": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": IMAGE}},
                        {
                            "type": "document",
                            "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                        },
                    ],
                }
            ],
        }
    ],
    "generateContent": [
        {"contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": IMAGE}}]}]},
        {"contents": [{"parts": [{"inline_data": {"mime_type": "audio/pcm", "data": SOUND}}, {"text": IMAGE}]}]},
    ],
}


def _made(door: str, side: str, fields: Any) -> bytes | str:
    """What a conversion writes, or what it refuses with."""
    try:
        conversion = ChatConversion(DOORS[door], SIDES[side], Ask(fields=fields, model="m"))
        return conversion.write(Settings(model="gemini-3.8-flash" if side == "gemini" else "m-1", vendor="openai")).body
    except DialectError as error:
        return error.message


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("door", ASKED)
def test_conversions_of_the_short_text_are_those_of_the_whole(door: str, side: str) -> None:
    made = 0
    for asked in ASKED[door]:
        raw = json.dumps(asked).encode()
        short = shortened(raw)
        assert short is not None
        assert len(short.text) < 4 * (KEPT_BYTES + 500)
        decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
        short.fields = decode(short.text)
        assert short.marked_names() <= PASSED_FIELDS
        whole, shorter = _made(door, side, decode(raw)), _made(door, side, short.fields)
        if isinstance(whole, str):
            assert shorter == whole
            continue
        assert isinstance(shorter, bytes)
        restored = short.restored(shorter)
        assert restored is not None
        assert _without_ids(bytes(restored)) == _without_ids(whole)
        made += 1
    assert made


def _without_ids(body: bytes) -> Any:
    """Ids of our own are new with each conversion."""
    text = body.decode()
    for mark in ('"id":"call_', '"id":"toolu_', '"id":"msg_'):
        pieces = text.split(mark)
        text = mark.join([pieces[0], *(piece[piece.index('"') :] for piece in pieces[1:])])
    return text


@pytest.mark.parametrize(
    "part",
    [
        _image("data:image/png," + "a" * 2**20),  # not base64 yet: it is made so
        {"type": "file", "file": {"file_data": "data:text/plain;base64," + base64.b64encode(b"a" * 2**20).decode()}},
    ],
    ids=["escaped", "text"],
)
def test_what_is_long_and_read_is_converted_as_a_whole(part: dict[str, Any]) -> None:
    short = shortened(json.dumps(_chat(part)).encode())
    assert short is not None
    short.fields = msgspec.json.decode(short.text, type=dict[str, msgspec.Raw])
    made = _made("chat/completions", "anthropic", short.fields)
    assert isinstance(made, str) or short.restored(made) is None


def test_a_cut_mark_is_noticed() -> None:
    short = shortened(b'{"a":"%b"}' % IMAGE.encode())
    assert short is not None
    start = len(b'{"a":"') + KEPT_BYTES
    for end in range(start + 8, start + 32):
        assert short.restored(short.text[:end]) is None


# --- through a server -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "path", "answer"),
    [("anthropic", CLAUDE_PATH, MESSAGE), ("google-gemini", GEMINI_PATH, CONTENT)],
)
def test_an_image_of_a_megabyte_reaches_another_vendor(
    gateway: Gateway, token: str, vendor: VendorUpstream, kind: str, path: str, answer: Any
) -> None:
    vendor.answer(path, answer)
    body = json.dumps({**_chat(_image()), "model": model_of(kind)}).encode()
    assert len(body) > LARGE_BYTES + STEP_BYTES
    response = gateway.post(token, CHAT_PATH, content=body)
    assert response.status_code == 200, response.text
    sent = json.dumps(vendor.body)
    assert sent.count(IMAGE) == 1
    assert '"image/png"' in sent


def test_it_reaches_a_vendor_of_the_same_dialect_byte_for_byte(
    gateway: Gateway, token: str, vendor: VendorUpstream
) -> None:
    vendor.answer(CLAUDE_PATH, MESSAGE)
    asked = {**ASKED["messages"][0], "model": model_of("anthropic")}
    response = gateway.post(token, "/v1/messages", content=json.dumps(asked).encode())
    assert response.status_code == 200, response.text
    assert {**vendor.body, "model": ""} == {**asked, "model": ""}


# --- answers ----------------------------------------------------------------------------------------------------


def test_a_large_answer_that_is_converted_comes_whole(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    vendor.answer(CLAUDE_PATH, {**MESSAGE, "content": [{"type": "text", "text": IMAGE}]})
    response = gateway.post(token, CHAT_PATH, {**_chat(), "model": model_of("anthropic")})
    assert response.status_code == 200, response.text
    assert response.json()["choices"][0]["message"]["content"] == IMAGE
    assert response.content.endswith(b',"provider":"anthropic"}')
    assert response.headers["content-length"] == str(len(response.content))
    assert record_of(gateway, response)["bytes_out"] == len(response.content)


def test_a_large_answer_that_passes_is_metered(gateway: Gateway, token: str, vendor: VendorUpstream) -> None:
    said = {"content": [{"type": "text", "text": f"{IMAGE} error"}], "filler": {"data": IMAGE}}
    answer = {**MESSAGE, **said}
    vendor.answer(CLAUDE_PATH, answer)
    response = gateway.post(token, "/v1/messages", {**ASKED["messages"][0], "model": model_of("anthropic")})
    assert response.status_code == 200, response.text
    assert response.json() == answer
    record = record_of(gateway, response)
    assert (record["output_tokens"], record["price_gaps"], record["error_class"]) == (20, "", "")
