"""A form of an image edit as its JSON."""

import base64

import pytest

from gateway.body.form_as_json import form_as_json
from gateway.body.multipart import PartScanner

KIND = "multipart/form-data; boundary=edge"
PNG = b"\x89PNG\r\n\x1a\n\r\n\r\n"
LINK = {"image_url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}


def form(*parts: tuple[str, bytes], lead: bytes = b"") -> bytes:
    """A form of parts, each the end of its Content-Disposition and its value, which the scanner takes."""
    made = lead + b"".join(
        b"--edge\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + value + b"\r\n"
        for head, value in parts
    )
    made += b"--edge--\r\n"
    scanner = PartScanner(b"edge")
    scanner.feed(made)
    assert scanner.ended
    return made


@pytest.mark.parametrize("lead", [b"", b"\r\n"])
def test_texts_numbers_flags_and_files(lead: bytes) -> None:
    png = '; filename="a.png"\r\nContent-Type: image/png'
    body = form(
        ('name="model"', b"m"), ('name="prompt"', "Schöne\r\nGrüße".encode()),
        ('name="n"', b"2"), ('name="stream"', b"True"),
        (f'name="image[]"{png}', PNG), (f'name="image[]"{png}', PNG), (f'name="mask"{png}', PNG), lead=lead,
    )  # fmt: skip
    assert form_as_json(body, KIND) == {
        "model": "m", "prompt": "Schöne\r\nGrüße", "n": 2, "stream": True, "images": [LINK, LINK], "mask": LINK,
    }  # fmt: skip


def test_what_is_not_a_number_or_flag_stays_text() -> None:
    body = form(('name="n"', b"two"), ('name="stream"', b"perhaps"), ('name="quality"', b"1"), ('name="user"', b""))
    assert form_as_json(body, KIND) == {"n": "two", "stream": "perhaps", "quality": "1", "user": ""}


def test_a_file_that_says_no_type() -> None:
    body = form(('name="image"; filename="a"', PNG))
    [link] = form_as_json(body, KIND)["images"]
    assert link["image_url"].startswith("data:application/octet-stream;base64,")
