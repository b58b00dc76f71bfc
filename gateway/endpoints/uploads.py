"""``/uploads``: a large file in parts. What a completed upload becomes is a file of the same owner."""

from typing import Any, ClassVar

from gateway.body.upload import MultipartUpload
from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import ObjectView
from gateway.endpoints.describe import begin_call
from gateway.endpoints.uploading import send_upload
from gateway.objects import operations, ownership


class Uploads(ObjectView):
    """Begin an upload."""

    operations: ClassVar[dict[str, Operation]] = {"POST": operations.UPLOAD_CREATE}

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Begin an upload."""
        return await self.forward(request, "uploads")


class UploadParts(ObjectView):
    """The parts of an upload."""

    async def post(self, request: InferenceRequest, upload_id: str, **kwargs: Any) -> Reply:
        """Send a part, as it comes."""
        call = begin_call(request, self.caller, operations.UPLOAD_PART)
        account, call.parent = await ownership.locate(self.caller, upload_id, call.account_name)
        call.account_name, call.path = account.name, f"uploads/{upload_id}/parts"
        return await send_upload(request, call, MultipartUpload(request))


class CompleteUpload(ObjectView):
    """The end of an upload: the parts become a file."""

    operations: ClassVar[dict[str, Operation]] = {"POST": operations.UPLOAD_COMPLETE}

    async def post(self, request: InferenceRequest, upload_id: str, **kwargs: Any) -> Reply:
        """Put the parts together."""
        return await self.forward(request, f"uploads/{upload_id}/complete", upload_id)


class CancelUpload(ObjectView):
    """An upload that is given up."""

    operations: ClassVar[dict[str, Operation]] = {"POST": operations.UPLOAD_CANCEL}

    async def post(self, request: InferenceRequest, upload_id: str, **kwargs: Any) -> Reply:
        """Cancel the upload."""
        return await self.forward(request, f"uploads/{upload_id}/cancel", upload_id)
