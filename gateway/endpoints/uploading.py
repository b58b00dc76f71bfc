"""Views of multipart uploads that stream through to the upstream."""

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

from django.conf import settings

from gateway.body.json import MODEL_MISSING
from gateway.body.upload import MultipartUpload
from gateway.call import errors
from gateway.call.call import Call, Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import InferenceView
from gateway.endpoints.describe import begin_call
from gateway.pipeline import run as pipeline_run


class ModelUploadView(InferenceView):
    """A ``POST`` of a multipart body that names a model and streams through."""

    operation: ClassVar[Operation]
    wanted: ClassVar[tuple[str, ...]] = ("stream",)

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Read up to the model, then send everything on as it comes."""
        call = begin_call(request, self.caller, self.operation)
        upload = MultipartUpload(request, settings.MAX_UPLOAD_BYTES, self.wanted)
        with closing_on_error(upload):
            await upload.open()
            call.model_asked = upload.values["model"].strip()
            if not call.model_asked:
                raise errors.InvalidRequest(MODEL_MISSING, param="model", code="missing_required_parameter")
            call.references = upload.references
            call.stream = upload.wants_stream
        return await send_upload(request, call, upload)


async def send_upload(request: InferenceRequest, call: Call, upload: MultipartUpload) -> Reply:
    """Run a call whose body is ``upload``, and close the upload with it.

    An upstream may answer before it has read everything: then the rest of the body is read here, so that a client which only
    reads after it has written gets to see the answer.
    """
    call.upload = upload
    with closing_on_error(upload):
        reply = await pipeline_run.run(call)
    if reply.stream is not None:
        reply.also_on_close(upload.close)
        return reply
    upload.close()
    if not request.body_read:
        await request.discard_body()
    return reply


@contextlib.contextmanager
def closing_on_error(upload: MultipartUpload) -> Iterator[None]:
    """Close ``upload`` when the block raises."""
    try:
        yield
    except BaseException:  # whatever ends the call: the disk space goes back
        upload.close()
        raise
