"""Reading multipart forms piece by piece."""

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO, cast

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError, MultipartParseError
from python_multipart.multipart import parse_options_header

from sandbox.errors import ApiError, missing_parameter

SPOOL_BYTES = 1024 * 1024
MAX_PARTS = 1000
MAX_FIELD_BYTES = 10 * 1024 * 1024


@dataclass(slots=True)
class Upload:
    """A file part. `file` stands at its beginning."""

    filename: str
    content_type: str
    file: BinaryIO
    size: int = 0

    def read(self) -> bytes:
        self.file.seek(0)
        return self.file.read()


@dataclass(slots=True)
class Form:
    """The parts by name, in order. Names are kept as sent: `image[]` stays `image[]`."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: dict[str, list[Upload]] = field(default_factory=dict)

    def get(self, name: str, default: str = "") -> str:
        return self.fields.get(name, [default])[0]

    def values(self, name: str) -> list[str]:
        """All values of a field, written as `name` or `name[]`."""
        return self.fields.get(name, []) + self.fields.get(f"{name}[]", [])

    def uploads(self, name: str) -> list[Upload]:
        """All files of a field, written as `name`, `name[]` or `name[0]`."""
        indexed = [key for key in self.files if key.startswith(f"{name}[") and key.endswith("]")]
        return [upload for key in [name, *sorted(indexed)] for upload in self.files.get(key, [])]

    def require_file(self, name: str) -> Upload:
        uploads = self.uploads(name)
        if not uploads:
            raise missing_parameter(name)
        return uploads[0]


async def parse_form(content_type: str, pieces: AsyncIterator[bytes]) -> Form:
    """Raises ApiError 400 when the content type is no form or the body does not follow it."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise ApiError(
            f"Unsupported content type: '{content_type}'. This API method only accepts 'multipart/form-data' "
            "requests, but you specified another content type.",
            code="unsupported_content_type",
        )
    collector = _Collector()
    try:
        parser = MultipartParser(options.get(b"boundary", b""), collector.callbacks())
        async for piece in pieces:
            parser.write(piece)
        parser.finalize()
    except FormParserError as error:
        raise ApiError(f"Could not parse multipart form: {error}") from error
    if not collector.ended:
        raise ApiError("Could not parse multipart form: the body ended before its last boundary.")
    return collector.form


class _Collector:
    """Gathers the parser's callbacks into a Form."""

    def __init__(self) -> None:
        self.form = Form()
        self.ended = False
        self._parts = 0
        self._headers: dict[str, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._name = ""
        self._upload: Upload | None = None
        self._text = bytearray()

    def callbacks(self) -> Any:
        """What MultipartParser calls, by its names."""
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._on_header_name,
            "on_header_value": self._on_header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise MultipartParseError(f"more than {MAX_PARTS} parts")
        self._headers = {}
        self._header_name.clear()
        self._header_value.clear()
        self._text = bytearray()
        self._upload = None

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header_name.decode("latin-1").lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        if b"name" not in options:
            raise MultipartParseError("a part without a name")
        self._name = options[b"name"].decode("utf-8", "replace")
        if b"filename" in options:
            # Lives as long as the form does; closing deletes it.
            spool = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115
            self._upload = Upload(
                filename=options[b"filename"].decode("utf-8", "replace"),
                content_type=self._headers.get("content-type", b"application/octet-stream").decode("latin-1"),
                file=cast(BinaryIO, spool),
            )

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._upload is not None:
            self._upload.file.write(data[start:end])
            self._upload.size += end - start
            return
        self._text += data[start:end]
        if len(self._text) > MAX_FIELD_BYTES:
            raise MultipartParseError(f"the field '{self._name}' is larger than {MAX_FIELD_BYTES} bytes")

    def _part_end(self) -> None:
        if self._upload is not None:
            self._upload.file.seek(0)
            self.form.files.setdefault(self._name, []).append(self._upload)
        else:
            self.form.fields.setdefault(self._name, []).append(self._text.decode("utf-8", "replace"))

    def _end(self) -> None:
        self.ended = True
