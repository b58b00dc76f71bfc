"""Reading multipart forms piece by piece."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import BinaryIO, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, File, FormParser, parse_options_header

from sandbox.errors import ApiError, missing_parameter

MAX_PARTS = 1000


@dataclass(slots=True)
class Upload:
    """A file part; `file` is at its beginning."""

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
    """Files go to disk above 1 MB. Raises ApiError 400 for another content type or a malformed body."""
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise ApiError(
            f"Unsupported content type: '{content_type}'. This API method only accepts 'multipart/form-data' "
            "requests, but you specified another content type.",
            code="unsupported_content_type",
        )
    form, ends, parts = Form(), [], itertools.count(1)

    def check() -> None:
        if next(parts) > MAX_PARTS:
            raise FormParserError(f"more than {MAX_PARTS} parts")

    def on_field(field: Field) -> None:
        check()
        values = form.fields.setdefault((field.field_name or b"").decode("utf-8", "replace"), [])
        values.append((field.value or b"").decode("utf-8", "replace"))

    def on_file(file: File) -> None:
        check()
        content = cast(BinaryIO, file.file_object)
        content.seek(0)
        filename = (file.file_name or b"").decode("utf-8", "replace")
        upload = Upload(filename, file.content_type or "application/octet-stream", content, file.size)
        uploads = form.files.setdefault((file.field_name or b"").decode("utf-8", "replace"), [])
        uploads.append(upload)

    try:
        boundary = options.get(b"boundary")
        parser = FormParser(kind.decode(), on_field, on_file, lambda: ends.append(True), boundary)
        async for piece in pieces:
            parser.write(piece)
        parser.finalize()
    except FormParserError as error:
        raise ApiError(f"Could not parse multipart form: {error}") from error
    if not ends:
        raise ApiError("Could not parse multipart form: the body ended before its last boundary.")
    return form
