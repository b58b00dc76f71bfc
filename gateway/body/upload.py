"""A multipart body on its way to the upstream: streamed through, with the model's name replaced wherever it is.

Every byte but the value of the ``model`` part goes on as it came. What comes before that part is kept (on disk beyond
``MEMORY_BYTES``), because only the model says where the call goes; what comes after it is never kept.
"""

import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable

from django.conf import settings

from accounts.numbers import whole_number
from gateway.billing.audio_length import AudioMeter
from gateway.body.encoding import IDENTITY
from gateway.body.multipart import PartScanner
from gateway.body.object_names import MENTIONED, names_id, normal_id
from gateway.body.part_headers import parameters
from gateway.body.references import FORM_FIELDS
from gateway.call.errors import InvalidRequest, TooLarge, UnsupportedMedia
from gateway.call.request import InferenceRequest
from providers.routing.naming import is_naming

MEMORY_BYTES = 2**20
CHUNK_BYTES = 2**16
MODEL = "model"
MODEL_HEADERS = b'\r\nContent-Disposition: form-data; name="model"\r\n\r\n'
_boundary = re.compile(rb"[ -~]{0,69}[!-~]\Z").match


class MultipartUpload:
    """The body of a multipart request; :meth:`open` reads it up to the model, :meth:`body` sends it on.

    ``wanted`` are the parts whose text is kept, ``refers`` those that name other objects, beside the usual ones;
    ``keeps_others`` keeps every part without a file. ``on_file`` and ``audio`` get the file's content as it comes.
    ``unnamed`` says that the form may name no model.
    """

    def __init__(
        self,
        request: InferenceRequest,
        wanted: Iterable[str] = (),
        on_file: Callable[[bytes], None] | None = None,
        refers: frozenset[str] = frozenset(),
        keeps_others: bool = False,
        unnamed: bool = False,
        audio: AudioMeter | None = None,
    ) -> None:
        check_unpacked(request.raw_headers.get(b"content-encoding", b""))
        self.content_type = request.raw_headers.get(b"content-type", b"").decode("latin1")
        self.fault: Exception | None = None
        self.sent = 0
        self.audio = audio
        self.received = 0
        self._request = request
        self._unnamed = unnamed
        self._limit: int = settings.MAX_UPLOAD_BYTES
        names = frozenset(wanted)
        boundary = boundary_of(request.raw_headers.get(b"content-type", b""))
        self._reference_fields = FORM_FIELDS | refers
        self._scanner = PartScanner(
            boundary,
            lambda name: name in names or is_naming(name, top=True) or bool(self._reference(name)),
            on_file,
            keeps_others,
            hears=audio.feed if audio is not None else None,
        )
        self._sent_references: int | None = None
        self._head = tempfile.SpooledTemporaryFile(max_size=MEMORY_BYTES)  # noqa: SIM115 - lives as long as the upload
        self._length = whole_number(request.raw_headers.get(b"content-length", b""))
        if self._length is not None and self._length > self._limit:
            raise self._too_large()

    @property
    def values(self) -> dict[str, str]:
        """The wanted text parts that have been seen so far."""
        return {name: value.decode("utf-8", "replace") for name, value in self._scanner.values.items()}

    @property
    def others(self) -> list[tuple[str, bytes]]:
        """Name and value of every text part, as far as they are kept."""
        return self._scanner.others

    @property
    def file_name(self) -> str | None:
        """The name of the file in the part ``file``, empty when it has none; ``None`` until the part came."""
        return self._scanner.file_name

    @property
    def wants_stream(self) -> bool:
        """Whether the parts seen so far ask for a stream; the part may still come, as any other behind the model."""
        return self._scanner.values.get("stream", b"").strip().lower() in {b"true", b"1"}

    @property
    def references(self) -> list[tuple[str, str]]:
        """The ids of other objects that the parts seen so far mention, with the field that did."""
        return [
            (field, normal_id(value.decode("utf-8", "replace")))
            for name, values in self._scanner.lists.items()
            if (field := self._reference(name))
            for value in values
            if value
        ]

    def _reference(self, name: str) -> str:
        return reference_field(name, self._reference_fields)

    async def open(self) -> None:
        """Read until the model is known; raise when the body is not valid, or lacks one that it needs."""
        while self._scanner.model_span is None:
            if self._request.body_read:
                self._check_end()
                if self._unnamed:
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
        """Return the length of the body that goes upstream, or ``None`` when the client did not say its own."""
        place = self._place_of_model(upstream_model)
        if self._length is None or place is None:
            return self._length
        start, end, part = place
        return self._length + len(part) - (end - start)

    async def body(self, upstream_model: str) -> AsyncIterator[bytes]:
        """Yield the body for the upstream. What goes wrong on the client's side is kept in ``fault`` and raised."""
        try:
            self._sent_references = len(self.references)
            for piece in self._rewritten_head(upstream_model):
                self.sent += len(piece)
                yield piece
            while not self._request.body_read:
                piece = await self._receive()
                self.sent += len(piece)
                yield piece
            self._check_end()
        except Exception as error:  # the boundary of the client's side: the upstream's client would hide which failed
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
        self._check_models()
        if self._sent_references is not None and len(self.references) > self._sent_references:
            field, _ = self.references[-1]  # it can't be checked any more: what comes before it is on its way
            raise InvalidRequest(
                f"Place the part {field!r} before the part 'model'.", param=field, code="invalid_multipart"
            )
        return piece

    def _check_models(self) -> None:
        """Raise when another part than ``model`` names a model: servers look there too, or take any case."""
        other = next((name for name in self._scanner.values if name != MODEL and is_naming(name, top=True)), None)
        if other is not None:
            raise InvalidRequest(
                f"Name the model in the part 'model' alone, not in {other[:80]!r}.",
                param=other[:80],
                code="invalid_multipart",
            )

    def _rewritten_head(self, upstream_model: str) -> Iterable[bytes]:
        place = self._place_of_model(upstream_model)
        self._head.seek(0)
        if place is None:
            yield from self._read_head(None)
            return
        start, end, part = place
        yield from self._read_head(start)
        yield part
        self._head.seek(end)
        yield from self._read_head(None)

    def _place_of_model(self, upstream_model: str) -> tuple[int, int, bytes] | None:
        """Return where the model's name goes: its part's value, or a part of its own right behind the first delimiter.

        ``(start, end, bytes that take the place)``; ``None`` for a body that goes on as it came.
        """
        if not upstream_model:
            return None
        name = upstream_model.encode()
        if self._scanner.model_span is not None:
            return *self._scanner.model_span, name
        if not self._unnamed:
            return None
        start = self._scanner.first_delimiter
        return start, start, MODEL_HEADERS + name + b"\r\n" + self._scanner.dashes

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


def check_unpacked(encoding: bytes) -> None:
    """Raise :class:`~gateway.call.errors.UnsupportedMedia` for a form that is packed: it goes on as it comes."""
    if any(name.strip().lower() not in (b"", IDENTITY) for name in encoding.split(b",")):
        raise UnsupportedMedia(
            f"A multipart body can't come packed: leave out the Content-Encoding {encoding[:40].decode('latin1')!r}, "
            "and send the form as it is. Only JSON bodies may be packed."
        )


def boundary_of(content_type: bytes) -> bytes:
    """Return the boundary of a multipart content type; raise when it is another type, or has no valid boundary."""
    fault = InvalidRequest("The Content-Type header has no valid multipart boundary.", code="invalid_multipart")
    try:
        media, options = parameters(content_type)
    except ValueError:
        raise fault from None
    if media != b"multipart/form-data":
        shown = media.decode("latin1")[:80] or "nothing"
        raise UnsupportedMedia(f"This endpoint takes multipart/form-data, not {shown!r}.")
    boundary = options.get(b"boundary", b"")
    if not _boundary(boundary) or b"\\" in boundary or b"boundary*" in options:
        raise fault
    return boundary


def reference_field(name: str, known: frozenset[str] = FORM_FIELDS) -> str:
    """Return the reference field that a part's name means (``file_ids[]``, ``source[file_id]``),
    :data:`~gateway.body.object_names.MENTIONED` for another name of an id, empty for any other part.
    """
    words = [word for word in re.split(r"[\[\].]+", name) if word and whole_number(word) is None]
    if words and words[-1] == "id" and len(words) > 1:
        words.pop()
    if words and words[-1] in known:
        return words[-1]
    return MENTIONED if words and names_id(words[-1]) else ""
