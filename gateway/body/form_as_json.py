"""A form of images as the JSON body that OpenAI has for the same call: what goes to a provider of another dialect is
converted from JSON alone.
"""

import base64
from typing import Any

from accounts.numbers import whole_number
from gateway.body.part_headers import part_headers, part_name
from gateway.body.upload import boundary_of

NUMBERS = frozenset({"n", "output_compression", "partial_images"})
FLAGS = {b"true": True, b"1": True, b"false": False, b"0": False}
FLAG = "stream"
IMAGES = ("image", "image[]")
ANY_TYPE = b"application/octet-stream"


def form_as_json(body: bytes, content_type: str) -> dict[str, Any]:
    """Return the fields of a whole form that ``PartScanner`` took: the files ``image`` as ``images``, any other file
    under its name, each with a data URI as ``image_url``.

    What is not a valid number or flag stays a string: who reads the field says what is wrong with it.
    """
    fields: dict[str, Any] = {}
    images: list[dict[str, str]] = []
    delimiter = b"\r\n--" + boundary_of(content_type.encode("latin1"))
    for part in (b"\r\n" + body).split(delimiter)[1:-1]:
        block, _, value = part[2:].partition(b"\r\n\r\n")
        headers = part_headers(block)
        name, is_file = part_name(headers)
        if not is_file:
            fields[name] = _value(name, value)
            continue
        link = {"image_url": _data_uri(headers.get(b"content-type", ANY_TYPE), value)}
        if name in IMAGES:
            images.append(link)
        else:
            fields[name] = link
    return {**fields, "images": images} if images else fields


def _value(name: str, value: bytes) -> Any:
    text = value.decode("utf-8", "replace")
    if name in NUMBERS:
        number = whole_number(text.strip())
        return text if number is None else number
    return FLAGS.get(value.strip().lower(), text) if name == FLAG else text


def _data_uri(content_type: bytes, value: bytes) -> str:
    media = content_type.partition(b";")[0].strip().decode("latin1")
    return f"data:{media};base64,{base64.b64encode(value).decode()}"
