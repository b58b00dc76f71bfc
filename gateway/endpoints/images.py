"""``/images/generations``, ``/images/edits`` and ``/images/variations``.

Sizes, formats and numbers belong to the upstream; ours is the bound of the body alone.
"""

from typing import Any

from gateway.body.json import is_json
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import ModelCallView
from gateway.endpoints.uploading import ModelUploadView
from gateway.objects import operations


class ImageGenerations(ModelCallView):
    """Create images from a text, whole or streamed."""

    operation = operations.IMAGE_GENERATION


class ImageEdits(ModelUploadView):
    """Change one or many images by a text, whole or streamed. The images come as files, or are named in a JSON body."""

    operation = operations.IMAGE_EDIT
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

    operation = operations.IMAGE_VARIATION
    wanted = ("n", "size")
