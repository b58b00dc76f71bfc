"""What a request itself is billed by: the images that it asks for, the characters that it has spoken."""

from accounts.numbers import whole_number
from gateway.body.json import text_of
from gateway.call.call import Call

MAX_IMAGES = 10_000


def images(call: Call) -> dict[str, int]:
    """Count the images that were asked for, by quality and size: what models without image tokens are billed by."""
    if call.body.upload is not None:
        asked = call.body.upload.values
    else:
        asked = {name: text_of(call.body.fields.get(name)) for name in ("n", "size", "quality")}
    marks = [asked.get(name, "").strip() for name in ("quality", "size")]
    unit = ":".join(["images", *(mark for mark in marks if mark and mark != "auto")])
    return {unit: _count(asked.get("n", "").strip())}


def _count(number: str) -> int:
    """Return the number of images; one where the field is not a number that an upstream would take."""
    count = whole_number(number, MAX_IMAGES)
    return 1 if count is None else count


def spoken_characters(call: Call) -> dict[str, int]:
    """Count the characters to be spoken: what speech models without audio tokens are billed by."""
    return {"input_characters": len(text_of(call.body.fields.get("input")))}
