"""A multipart body on its way to the upstream: streamed through, with the model's name replaced wherever it stands.

Every byte but the value of the ``model`` part goes on as it came. What comes before that part is kept (on disk beyond
``MEMORY_BYTES``), because only the model tells where the call goes; what comes after it is never kept.
"""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterable

from python_multipart.multipart import parse_options_header

from gateway.errors import InvalidRequest, TooLarge, UnsupportedMedia
from gateway.handler import InferenceRequest

MEMORY_BYTES = 2**20
CHUNK_BYTES = 2**16
MAX_HEADER_BYTES = 16 * 2**10
MAX_PARTS = 512
MAX_FIELD_BYTES = 4096
MAX_BOUNDARY_CHARACTERS = 70
FILE_PART = "file"


class PartScanner:
    """Follows the parts of a multipart body, fed piece by piece; keeps the values of the wanted text parts.

    ``model_span`` is where the model's value stands in the body, as soon as it is known. ``on_file`` gets the content of the part
    ``file`` as it comes. Raises :class:`InvalidRequest` for what is not a sound multipart body, and for a doubled part where
    another reader could see the other one.
    """

    def __init__(self, boundary: bytes, wanted: Iterable[str], on_file: Callable[[bytes], None] | None = None) -> None:
        self.values: dict[str, bytes] = {}
        self.model_span: tuple[int, int] | None = None
        self.ended = False
        self._wanted = frozenset(wanted) | {"model"}
        self._delimiter = b"\r\n--" + boundary
        self._buffer = b"\r\n"  # the first delimiter may do without its line break
        self._position = -2
        self._step = self._before_first
        self._parts = 0
        self._field: str | None = None
        self._value = bytearray()
        self._value_start = 0
        self._on_file = on_file
        self._in_file = False
        self._seen: set[str] = set()

    def feed(self, data: bytes) -> None:
        """Take the next piece of the body."""
        self._buffer += data
        while not self.ended and self._step():
            continue
        if self.ended:
            self._buffer = b""

    def _advance(self, count: int) -> None:
        self._buffer = self._buffer[count:]
        self._position += count

    def _before_first(self) -> bool:
        if self._buffer.startswith(b"\r\n\r\n"):
            self._advance(2)
        if len(self._buffer) < len(self._delimiter):
            return False
        if not self._buffer.startswith(self._delimiter):
            raise InvalidRequest(
                "The multipart body does not begin with the boundary of the Content-Type header.",
                code="invalid_multipart",
            )
        self._advance(len(self._delimiter))
        self._step = self._after_delimiter
        return True

    def _after_delimiter(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer.startswith(b"--"):
            self.ended = True
            return False
        if not self._buffer.startswith(b"\r\n"):
            raise InvalidRequest("A multipart boundary is not followed by a line break.", code="invalid_multipart")
        self._step = self._headers
        return True

    def _headers(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or end > MAX_HEADER_BYTES:
            if len(self._buffer) > MAX_HEADER_BYTES:
                raise InvalidRequest("The headers of a multipart part are too long.", code="invalid_multipart")
            return False
        self._begin_part(self._buffer[2:end])
        self._advance(end + 4)
        # An empty part's delimiter begins with the line break that ends its headers.
        self._buffer, self._position = b"\r\n" + self._buffer, self._position - 2
        self._value_start = self._position + 2
        self._step = self._data
        return True

    def _begin_part(self, block: bytes) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidRequest(f"The multipart body has more than {MAX_PARTS} parts.", code="invalid_multipart")
        name, is_file = "", False
        for line in block.split(b"\r\n"):
            key, _, value = line.partition(b":")
            if key.strip().lower() == b"content-disposition":
                _, options = parse_options_header(value.strip())
                name = options.get(b"name", b"").decode("utf-8", "replace")
                is_file = b"filename" in options
        if not name:
            raise InvalidRequest("A multipart part has no name.", code="invalid_multipart")
        if name == "model" and (is_file or "model" in self.values):
            raise InvalidRequest("The part 'model' must be one text.", param="model", code="invalid_multipart")
        if self._on_file is not None:
            self._check_single(name, is_file)
        self._in_file = self._on_file is not None and name == FILE_PART
        self._field = name if name in self._wanted and not is_file else None
        self._value.clear()

    def _check_single(self, name: str, is_file: bool) -> None:
        if name in self._seen and (name in self._wanted or name == FILE_PART):
            raise InvalidRequest(f"The part {name!r} is given twice.", param=name, code="invalid_multipart")
        if is_file and name != FILE_PART:
            raise InvalidRequest(
                f"The part {name[:80]!r} must not be a file.", param=name[:80], code="invalid_multipart"
            )
        self._seen.add(name)

    def _data(self) -> bool:
        found = self._buffer.find(self._delimiter)
        if found >= 0:
            self._take(self._buffer[:found])
            self._end_part()
            self._advance(found + len(self._delimiter))
            self._step = self._after_delimiter
            return True
        safe = len(self._buffer) - len(self._delimiter) + 1
        if safe > 0:
            self._take(self._buffer[:safe])
            self._advance(safe)
        return False

    def _take(self, data: bytes) -> None:
        if self._in_file and self._on_file is not None:
            skipped = max(0, self._value_start - self._position)  # the line break that we set before the data
            if len(data) > skipped:
                self._on_file(data[skipped:])
        if self._field is None:
            return
        self._value += data
        if len(self._value) > MAX_FIELD_BYTES:
            if self._field == "model":
                raise InvalidRequest("The part 'model' is too long.", param="model", code="invalid_multipart")
            self._field = None

    def _end_part(self) -> None:
        if self._field is None:
            return
        value = bytes(self._value[2:])  # the line break that we set before the data
        self.values[self._field] = value
        if self._field == "model":
            self.model_span = (self._value_start, self._value_start + len(value))
        self._field = None


class MultipartUpload:
    """The body of a multipart request; :meth:`open` reads it up to the model, :meth:`body` sends it on."""

    def __init__(
        self,
        request: InferenceRequest,
        limit: int,
        wanted: Iterable[str] = (),
        on_file: Callable[[bytes], None] | None = None,
    ) -> None:
        self.content_type = request.raw_headers.get(b"content-type", b"").decode("latin1")
        self.fault: Exception | None = None
        self.sent = 0
        self.received = 0
        self._request = request
        self._limit = limit
        self._scanner = PartScanner(boundary_of(request.raw_headers.get(b"content-type", b"")), wanted, on_file)
        self._head = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - lives as long as the upload
        length = request.raw_headers.get(b"content-length", b"")
        self._length = int(length) if length.isdigit() else None
        if self._length is not None and self._length > limit:
            raise self._too_large()

    @property
    def values(self) -> dict[str, str]:
        """The wanted text parts that have been seen so far."""
        return {name: value.decode("utf-8", "replace") for name, value in self._scanner.values.items()}

    async def open(self, *, model: str = "required") -> None:
        """Read until the model is known; raise when the body is not sound, or ends without a ``required`` one.

        An ``optional`` model is looked for through the whole body, which is kept on disk meanwhile.
        """
        while self._scanner.model_span is None:
            if self._request.body_read:
                self._check_end()
                if model == "optional":
                    return
                raise InvalidRequest(
                    "You must provide a 'model' part, named 'account/model' like 'openai-main/whisper-1'.",
                    param="model",
                    code="missing_required_parameter",
                )
            self._head.write(await self._receive())

    async def keep(self) -> bool:
        """Read the next piece and keep it, on disk when there is much; return whether there was one."""
        if self._request.body_read:
            self._check_end()
            return False
        self._head.write(await self._receive())
        return True

    def length(self, upstream_model: str) -> int | None:
        """Return the length of the body that goes upstream, or ``None`` when the client did not tell its own."""
        if self._length is None or self._scanner.model_span is None or not upstream_model:
            return self._length
        start, end = self._scanner.model_span
        return self._length + len(upstream_model.encode()) - (end - start)

    async def body(self, upstream_model: str) -> AsyncIterator[bytes]:
        """Yield the body for the upstream. What goes wrong on the client's side is kept in ``fault`` and raised."""
        try:
            for piece in self._rewritten_head(upstream_model):
                self.sent += len(piece)
                yield piece
            while not self._request.body_read:
                piece = await self._receive()
                self.sent += len(piece)
                yield piece
            self._check_end()
        except Exception as error:  # not handled here: the client library would hide which side failed
            self.fault = error
            raise

    def close(self) -> None:
        """Give back the disk space."""
        self._head.close()

    async def _receive(self) -> bytes:
        piece = await self._request.receive_piece()
        self.received += len(piece)
        if self.received > self._limit:
            raise self._too_large()
        self._scanner.feed(piece)
        return piece

    def _rewritten_head(self, upstream_model: str) -> Iterable[bytes]:
        span = self._scanner.model_span if upstream_model else None
        self._head.seek(0)
        if span is None:
            yield from self._read_head(None)
            return
        yield from self._read_head(span[0])
        yield upstream_model.encode()
        self._head.seek(span[1])
        yield from self._read_head(None)

    def _read_head(self, count: int | None) -> Iterable[bytes]:
        while count is None or count > 0:
            piece = self._head.read(CHUNK_BYTES if count is None else min(CHUNK_BYTES, count))
            if not piece:
                return
            if count is not None:
                count -= len(piece)
            yield piece

    def _check_end(self) -> None:
        if not self._scanner.ended:
            raise InvalidRequest("The multipart body ends before its last boundary.", code="invalid_multipart")

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"The upload is larger than {self._limit} bytes. The operator sets the bound with GATEHOUSE_MAX_UPLOAD_MB."
        )


def boundary_of(content_type: bytes) -> bytes:
    """Return the boundary of a multipart content type; raise when it is another type, or has no sound boundary."""
    media, options = parse_options_header(content_type)
    if media != b"multipart/form-data":
        shown = media.decode("latin1")[:80] or "nothing"
        raise UnsupportedMedia(f"This endpoint takes multipart/form-data, not {shown!r}.")
    boundary = options.get(b"boundary", b"")
    if not boundary or len(boundary) > MAX_BOUNDARY_CHARACTERS or not boundary.isascii():
        raise InvalidRequest("The Content-Type header has no sound multipart boundary.", code="invalid_multipart")
    return boundary
