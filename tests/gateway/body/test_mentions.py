"""What a call of an unknown operation mentions is found in every form that some parser reads."""

import json
import re
from typing import Any

import pytest

from gateway.body.mentions import Mentions, read_body
from gateway.body.readable_types import check_part_type
from gateway.call.errors import InvalidRequest, UnsupportedMedia

ID = "file-AbCdEfGhIjKlMnOp"
FIELDS = {"x": {"deep": [{"file": ID}]}}
TEXT = json.dumps(FIELDS)
JSON, FORM, FILE, NOTHING = b"application/json", b"application/x-www-form-urlencoded", b"application/octet-stream", b""


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


def percent(text: str) -> str:
    return "".join(f"%{ord(character):02X}" for character in text)


BODIES: dict[str, tuple[bytes, bytes]] = {
    "json": (JSON, TEXT.encode()),
    "json, by lines in a string": (JSON, json.dumps({"files": f"a\n{ID}\n\t{ID}"}).encode()),
    "json that is not quite": (JSON, json.dumps({"a": f"{{'x': '{ID}'}}"}).encode()),
    "json list": (JSON, json.dumps([FIELDS]).encode()),
    "json string": (JSON, json.dumps(ID).encode()),
    "json name": (JSON, json.dumps({ID: 1}).encode()),
    "json in a string": (JSON, json.dumps({"filter": TEXT}).encode()),
    "json in a string in a string": (JSON, json.dumps({"filter": json.dumps({"filter": TEXT})}).encode()),
    "escaped json": (JSON, f'{{"a": "{escaped(ID)}"}}'.encode()),
    "comma list": (JSON, json.dumps({"files": f"a,{ID},b"}).encode()),
    "in an address": (JSON, json.dumps({"url": f"https://vendor.example/v1/files/{ID}/content"}).encode()),
    "vendor's json": (b"application/vnd.acme+json; charset=utf-8", TEXT.encode()),
    "json without a type": (NOTHING, TEXT.encode()),
    "json as a picture": (b"image/png", TEXT.encode()),
    "ndjson": (b"application/x-ndjson", f"{{}}\n{TEXT}\n".encode()),
    "ndjson without a type": (NOTHING, f"{TEXT}\r\n{{}}\r\n".encode()),
    "form": (FORM, f"a=1&b={ID}".encode()),
    "form, escaped": (FORM, f"a={percent(ID)}".encode()),
    "form, escaped twice": (FORM, f"a={percent(percent(ID))}".encode()),
    "form, list": (FORM, f"files[]={ID}".encode()),
    "form with json": (FORM, f"filter={percent(TEXT)}".encode()),
    "form name": (FORM, f"f[{ID}]=1".encode()),
    "binary": (b"application/octet-stream", bytes(range(256)) + ID.encode() + bytes(range(256))),
    "at a piece's end": (FILE, b" " * (2**18 - 7) + ID.encode() + b" " * 100),
}


@pytest.mark.parametrize("case", BODIES)
def test_an_id_is_found(case: str) -> None:
    content_type, raw = BODIES[case]
    found = Mentions()
    read_body(found, raw, content_type)
    assert ID in found.ids


REFUSED: dict[str, tuple[bytes, bytes]] = {
    "half": (JSON, b'{"a": '),
    "nan": (JSON, b'{"a": NaN}'),
    "nan without a type": (NOTHING, b'{"a": NaN}'),
    "nan in a file": (FILE, b'{"a": -Infinity}'),
    "a mark": (NOTHING, b"\xef\xbb\xbf" + TEXT.encode()),
    "a mark as json": (JSON, b"\xef\xbb\xbf" + TEXT.encode()),
    "utf-16": (NOTHING, TEXT.encode("utf-16")),
    "utf-16 without a mark": (FILE, TEXT.encode("utf-16-le")),
    "utf-16 as json": (b"application/json; charset=utf-16", TEXT.encode("utf-16")),
    "comments": (NOTHING, b'// hi\n{"a": 1}'),
    "a comment in C": (FILE, b'/* hi */ {"a": 1}'),
    "single quotes": (NOTHING, b"{'a': 1}"),
    "a comma too many": (b"application/vnd.acme+json", b'{"a": 1,}'),
    "two values": (NOTHING, b'{"a": 1} {"b": 2}'),
    "a broken line": (b"application/x-ndjson", b'{"a": 1}\n{"b": \n'),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_others_could_read_differently_is_refused(case: str) -> None:
    content_type, raw = REFUSED[case]
    with pytest.raises(InvalidRequest) as refused:
        read_body(Mentions(), raw, content_type)
    assert refused.value.code == "invalid_json"


@pytest.mark.parametrize("charset", ["utf-7", "cp037", "shift_jis", "base64"])
def test_charsets_that_hide_letters(charset: str) -> None:
    with pytest.raises(UnsupportedMedia):
        read_body(Mentions(), b"{}", f"application/json; charset={charset}".encode())


UNREADABLE = [
    "application/cbor", "application/msgpack", "application/x-msgpack", "application/protobuf",
    "application/x-protobuf", "application/grpc", "application/xml", "text/xml", "image/svg+xml",
    "application/soap+xml", "application/yaml", "text/yaml", "text/plain", "text/csv", "text/html",
    "application/json5", "text/json", "application/graphql", "application/vnd.acme+cbor", "application/bson",
    "application/x-www-form-urlencoded-too", "application/jsonp", "multipart/mixed; boundary=x", "json",
    "*/*", "audio/x+xml", "Application/XML;charset=utf-8",
]  # fmt: skip


@pytest.mark.parametrize("content_type", UNREADABLE)
def test_types_that_can_not_be_read(content_type: str) -> None:
    with pytest.raises(UnsupportedMedia, match="/proxy/ can't read"):
        read_body(Mentions(), TEXT.encode(), content_type.encode())


@pytest.mark.parametrize("raw", [b"x", b"a=b", b"x: y", b"<a/>", b"\xa1\x61x\x61y", b"\x81\xa1x\xa1y"])
def test_only_json_needs_no_type(raw: bytes) -> None:
    with pytest.raises(UnsupportedMedia, match="Content-Type"):
        read_body(Mentions(), raw, b"")


@pytest.mark.parametrize("content_type", ["audio/wav", "image/png", "VIDEO/mp4; codecs=x", "application/pdf"])
def test_files_pass(content_type: str) -> None:
    assert read_body(Mentions(), bytes(range(256)), content_type.encode()) is None


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/cbor", "text/xml", "text/yaml", "text/x-json"]
)
def test_a_file_that_could_be_a_field(content_type: str) -> None:
    with pytest.raises(UnsupportedMedia, match="'a'"):
        check_part_type(content_type.encode(), "a", is_file=True)
    for plain in ("", "text/plain; charset=utf-8", "application/octet-stream", "audio/wav"):
        check_part_type(plain.encode(), "a", is_file=True)


@pytest.mark.parametrize("content_type", ["application/cbor", "text/xml", "text/yaml", "image/png"])
def test_a_field_that_can_not_be_read(content_type: str) -> None:
    with pytest.raises(UnsupportedMedia, match="'a'"):
        check_part_type(content_type.encode(), "a", is_file=False)
    for plain in ("", "text/plain; charset=utf-8", "Application/JSON"):
        check_part_type(plain.encode(), "a", is_file=False)


MODELS: list[Any] = [
    {"model": "secret"},
    {"Model": "secret"},
    {"MODEL_NAME": "secret"},
    {"modelId": "secret"},
    {"models": ["a", "secret"]},
    {"models": "a, secret"},
    {"a": [{"b": {"judge_model": "secret"}}]},
    {"parameters": {"model": "secret"}},
    {"metadata": {"model": "secret"}},
    {"fallbacks": [{"a": ["secret"]}]},
    {"deployment": {"id": "secret"}},
    {"filter": '{"model": "secret"}'},
]


@pytest.mark.parametrize("value", MODELS, ids=json.dumps)
def test_a_model_is_found(value: Any) -> None:
    found = Mentions()
    read_body(found, json.dumps(value).encode(), JSON)
    assert "secret" in found.models


@pytest.mark.parametrize(
    "form", ["model=secret", "models[]=secret", "session[model]=secret", "a.model=secret", "Model=a%2Csecret"]
)
def test_a_model_in_a_form_is_found(form: str) -> None:
    found = Mentions()
    read_body(found, form.encode(), FORM)
    assert "secret" in found.models


@pytest.mark.parametrize(
    "text", ["model: secret-1", "model: Secret_1-2024-01-01", "<m>models/secret.1</m>", '"acme/secret-1:latest"']
)
def test_a_model_anywhere_else_is_looked_for(text: str) -> None:
    found = Mentions(re.compile(rb"(?<![a-z0-9])secret[._\s-]+1(?![a-z0-9])"))
    read_body(found, text.encode(), FILE)
    (word,) = found.words
    assert re.search("secret.1", word)


def test_too_many_to_look_up() -> None:
    with pytest.raises(InvalidRequest, match="20000"):
        read_body(Mentions(), " ".join(f"thing-{number}" for number in range(30_000)).encode(), FILE)


def test_prose_is_not_looked_up() -> None:
    found = Mentions()
    read_body(found, json.dumps({"documents": ["The well-known keeper of words, and so on."] * 50}).encode(), JSON)
    assert found.ids == {"documents"}
