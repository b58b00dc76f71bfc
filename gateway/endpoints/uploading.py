"""Views of multipart uploads that stream through to the upstream."""

import contextlib
from collections.abc import Iterator
from typing import Any, ClassVar

from gateway.billing.audio_length import AudioMeter
from gateway.body.upload import MultipartUpload
from gateway.call.body import Body
from gateway.call.call import Call
from gateway.call.operation import HEARD, Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import InferenceView
from gateway.endpoints.describe import begin_call
from gateway.pipeline import describe
from gateway.pipeline import run as pipeline_run


class ModelUploadView(InferenceView):
    """A ``POST`` of a multipart body that names a model and streams through."""

    operation: ClassVar[Operation]
    wanted: ClassVar[tuple[str, ...]] = ("stream",)

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Read up to the model, then send everything on as it comes."""
        call = begin_call(request, self.caller, self.operation)
        meter = AudioMeter() if self.operation.audio == HEARD else None
        unnamed = self.operation.unnamed or bool(call.model_of_path)
        upload = MultipartUpload(request, self.wanted, unnamed=unnamed, audio=meter)
        with closing_on_error(upload):
            await upload.open()
            describe.read_upload(call, upload)
            describe.read_model(call, required=True)
            await describe.find_account(call)
        return await send_upload(request, call, upload)


async def send_upload(request: InferenceRequest, call: Call, upload: MultipartUpload) -> Reply:
    """Run a call whose body is ``upload``, and close the upload with it.

    An upstream may answer before it has read everything: then the rest of the body is read here, so that a client which
    only reads after it has written gets to see the answer.
    """
    call.body = Body(content_type=upload.content_type, upload=upload)
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
    with contextlib.ExitStack() as stack:
        stack.callback(upload.close)
        yield
        stack.pop_all()
