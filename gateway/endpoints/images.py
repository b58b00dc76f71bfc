"""``/images/generations``, ``/images/edits`` and ``/images/variations``.

Sizes, formats and numbers belong to the upstream; ours is the bound of the body alone.
"""

import re
from typing import Any

from accounts.numbers import whole_number
from gateway.body import json as json_body
from gateway.body.json import is_json
from gateway.call.call import Call, Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import ModelCallView
from gateway.endpoints.uploading import ModelUploadView

# More than any vendor makes at once; another number is the vendor's to refuse.
MOST_IMAGES = 10_000
ENDS = re.compile(rb"image_(?:generation|edit)\.completed")


def images(call: Call) -> dict[str, int]:
    """Count the images that were asked for, by quality and size: what models without image tokens are billed by."""
    if call.upload is not None:
        asked = call.upload.values
    else:
        asked = {name: json_body.text_of(call.fields.get(name)) for name in ("n", "size", "quality")}
    number = whole_number(asked.get("n", "").strip(), MOST_IMAGES)
    marks = [asked.get(name, "").strip() for name in ("quality", "size")]
    unit = ":".join(["images", *(mark for mark in marks if mark and mark != "auto")])
    return {unit: 1 if number is None else number}


class ImageGenerations(ModelCallView):
    """Create images from a text, whole or streamed."""

    operation = Operation("image_generation", "image", "images/generations", ends=ENDS, units=images)


class ImageEdits(ModelUploadView):
    """Change one or many images by a text, whole or streamed. The images come as files, or are named in a JSON body."""

    operation = Operation("image_edit", "image", "images/edits", ends=ENDS, units=images)
    wanted = ("stream", "n", "size", "quality")

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Send files on as they come, a JSON body as a whole."""
        if is_json(request.raw_headers.get(b"content-type", b"")):
            named = NamedImageEdits()
            named.caller = self.caller
            return await named.post(request, **kwargs)
        return await super().post(request, **kwargs)


class NamedImageEdits(ModelCallView):
    """The JSON form of an edit: its images are URLs or ids of files."""

    operation = ImageEdits.operation


class ImageVariations(ModelUploadView):
    """Create variations of an image."""

    operation = Operation("image_variation", "image", "images/variations", units=images)
    wanted = ("n", "size")
