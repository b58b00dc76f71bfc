"""What makes two requests the same: their address, the headers that decide what answers them, and every byte of their
bodies, as they come.
"""

import hashlib
from collections.abc import MutableMapping
from typing import Any, Final

from django.conf import settings

from gateway.body.upload import boundary_of
from gateway.call.request import InferenceRequest

FORM: Final = b"multipart/"
TOKEN: Final = b"key="
"""Google's clients send their token in the query: another one of the same owner makes no other request."""
IN_PLACE_OF_BOUNDARY: Final = b"\0"
DECIDING: Final = (
    b"x-tfy-provider-name",
    b"x-gatehouse-strict",
    b"x-gatehouse-batch",
    b"x-tfy-strict-openai",
    b"x-tfy-cache-control",
    b"openai-beta",
    b"anthropic-version",
    b"anthropic-beta",
)
"""Headers that decide where a call goes, or what it is answered. Metadata, timeouts and retries are each try's own."""


class Fingerprint:
    """Follows a request's body while any endpoint reads it, in constant memory.

    A form's boundary is new with every try of a client, so it does not count. Raises
    :class:`~gateway.call.errors.InvalidRequest` for a form without a valid one.
    """

    def __init__(self, request: InferenceRequest) -> None:
        self._request = request
        query = request.scope.get("query_string", b"")
        asked = b"&".join(part for part in query.split(b"&") if not part.startswith(TOKEN))
        self._hash = hashlib.sha256(b"\0".join((request.path_info.encode("utf-8", "surrogatepass"), asked, b"")))
        headers = request.raw_headers
        for name in DECIDING:
            if name in headers:  # nothing is added for the others: answers kept before this counted stay usable
                self._hash.update(b"\0".join((name, headers[name].strip(), b"")))
        content_type = headers.get(b"content-type", b"")
        self._marker = b"--" + boundary_of(content_type) if content_type.lower().startswith(FORM) else b""
        self._held = b""
        self._receive = request.receive
        request.receive = self.receive

    async def receive(self) -> MutableMapping[str, Any]:
        """Take the place of the request's ``receive``."""
        event = await self._receive()
        if event["type"] == "http.request":
            self._take(event.get("body", b""))
        return event

    def _take(self, piece: bytes) -> None:
        if self._marker:  # what may be the beginning of a boundary waits for the next piece
            whole = (self._held + piece).replace(self._marker, IN_PLACE_OF_BOUNDARY)
            held = len(self._marker) - 1
            piece, self._held = whole[:-held], whole[-held:]
        self._hash.update(piece)

    async def read_rest(self) -> None:
        """Read what is left of the body, and keep nothing of it. What is too large for any endpoint is not read to its
        end. Raises :class:`~gateway.call.errors.BodyTimedOut` and :class:`~gateway.call.errors.ClientGone`."""
        most, size = max(settings.MAX_BODY_BYTES, settings.MAX_UPLOAD_BYTES), 0
        while not self._request.body_read and size <= most:
            size += len(await self._request.receive_piece())

    @property
    def value(self) -> bytes:
        """The digest of what has come so far."""
        whole = self._hash.copy()
        whole.update(self._held)
        return whole.digest()
