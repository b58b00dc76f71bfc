"""Generated images: the neutral form, and OpenAI's."""

import re
import time
from collections.abc import Mapping
from typing import Any

import msgspec

from providers.dialects.failures import unsupported
from providers.dialects.media import data_uri, from_url
from providers.dialects.neutral import Media, Usage
from providers.dialects.wire import Fields, encode, invalid, items, plain, take

_SIZE = re.compile(r"(\d{2,5})x(\d{2,5})")


class ImageRequest(msgspec.Struct):
    """Images to generate or, with ``sources``, to edit.

    ``size`` is width and height in pixels, ``None`` the model's choice.
    """

    prompt: str
    model: str = ""
    n: int = 1
    size: tuple[int, int] | None = None
    sources: list[Media] = []
    as_url: bool = False
    extra: dict[str, Any] = {}


class ImageAnswer(msgspec.Struct):
    """Images, each inline, and what the model said beside them."""

    images: list[Media]
    text: str = ""
    usage: Usage | None = None


def read_request(fields: Mapping[str, Any], sources: list[Media] | None = None) -> ImageRequest:
    """Return OpenAI's request for generations or edits; ``sources`` are the images of an edit's form."""
    body = plain(fields)
    prompt = take(body, "prompt", str)
    if not prompt:
        raise invalid("prompt", prompt or "", "It must be a non-empty string.")
    size = take(body, "size", str) or "auto"
    found = _SIZE.fullmatch(size)
    if found is None and size != "auto":
        raise invalid("size", size, "It must be 'auto' or WIDTHxHEIGHT.")
    form = take(body, "response_format", str) or "b64_json"
    model = take(body, "model", str) or ""
    count = take(body, "n", int)
    if count is not None and not 1 <= count <= 10:
        raise invalid("n", str(count), "It must be between 1 and 10.")
    pixels = (int(found[1]), int(found[2])) if found else None
    return ImageRequest(prompt, model, count or 1, pixels, sources or [], form == "url", body)


def read_edit(fields: Mapping[str, Any]) -> ImageRequest:
    """Return OpenAI's request for an edit, in its JSON form: ``images`` are URLs or data URIs."""
    body = plain(fields)
    rows = items(body.pop("images", None) or [], "images")
    if not rows:
        raise invalid("images", [], "Give at least one image.")
    if body.get("mask") is not None:
        raise unsupported("mask", "is not supported with this model: say in the prompt what is to change.")
    return read_request(body, [_source(row, f"images[{index}]") for index, row in enumerate(rows)])


def _source(row: Fields, where: str) -> Media:
    if row.get("file_id"):
        raise unsupported(f"{where}.file_id", "names a file by its id, which only its own provider knows.")
    place = f"{where}.image_url"
    url = take(dict(row), "image_url", str, where) or ""
    found = from_url(url, where=place)
    if found.kind != "image" or (found.data and not found.mime.startswith("image/")):
        raise invalid(place, found.mime, "It must be an image.")
    return found


def write_answer(answer: ImageAnswer, request: ImageRequest) -> bytes:
    """Return OpenAI's answer. Where a URL was asked for it is a data URI, as nothing is kept."""
    data: list[Fields] = []
    for image in answer.images:
        item: Fields = {"url": data_uri(image)} if request.as_url else {"b64_json": image.data}
        data.append({**item, "revised_prompt": answer.text} if answer.text else item)
    body: Fields = {"created": int(time.time()), "data": data}
    if answer.usage is not None:
        body["usage"] = {
            "input_tokens": answer.usage.input,
            "output_tokens": answer.usage.output,
            "total_tokens": answer.usage.input + answer.usage.output,
            "input_tokens_details": {
                "image_tokens": answer.usage.image_input,
                "text_tokens": max(answer.usage.input - answer.usage.image_input, 0),
            },
        }
    return encode(body)
