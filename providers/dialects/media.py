"""Images, audio, videos and documents: data URIs, media types, and what has to be fetched before a vendor can be
asked.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote_to_bytes, urlsplit

import msgspec

from providers.dialects.failures import DialectError
from providers.dialects.neutral import Media, MediaKind, Message, ToolResult

_DATA_URI = re.compile(r"data:([^;,\s]*)((?:;[^;,]*)*),", re.I)
_YOUTUBE = frozenset({"youtube.com", "www.youtube.com", "m.youtube.com", "youtu.be"})
# Spellings of media types that vendors refuse, and what they take instead.
_ALIASES = {
    "image/jpg": "image/jpeg",
    "image/pjpeg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/mpeg3": "audio/mpeg",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/vnd.wave": "audio/wav",
    "audio/x-flac": "audio/flac",
    "audio/x-m4a": "audio/mp4",
    "audio/m4a": "audio/mp4",
    "video/quicktime": "video/mov",
    "application/x-pdf": "application/pdf",
}
_SUFFIXES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".heic": "image/heic",
    ".heif": "image/heif",
    ".bmp": "image/bmp",
    ".mp3": "audio/mpeg",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".aac": "audio/aac",
    ".aiff": "audio/aiff",
    ".m4a": "audio/mp4",
    ".mp4": "video/mp4",
    ".mov": "video/mov",
    ".webm": "video/webm",
    ".mpeg": "video/mpeg",
    ".mpg": "video/mpeg",
    ".avi": "video/avi",
    ".wmv": "video/wmv",
    ".3gp": "video/3gpp",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
}
# Where a file begins with it, it is of that type. Containers that hold audio or video alike are not here.
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"BM", "image/bmp"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"\xff\xfb", "audio/mpeg"),
    (b"\xff\xf3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
)
_RIFF = {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/avi"}
_BRANDS = {b"heic": "image/heic", b"mif1": "image/heif", b"M4A ": "audio/mp4", b"qt  ": "video/mov"}


def normal(mime: str) -> str:
    """Return a media type without its parameters, in the spelling that vendors take."""
    mime = mime.partition(";")[0].strip().lower()
    return _ALIASES.get(mime, mime)


def sniff(head: bytes) -> str:
    """Return the media type that a file's first bytes show; empty when they leave it open."""
    for magic, mime in _MAGIC:
        if head.startswith(magic):
            return mime
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12], "")
    return _BRANDS.get(head[8:12], "") if head[4:8] == b"ftyp" else ""


def sniff_base64(data: str) -> str:
    """Return the media type that the first bytes of base64 data show; empty when they leave it open."""
    try:
        return sniff(base64.b64decode(data[:32].translate(_URL_SAFE)))
    except (binascii.Error, ValueError):
        return ""


_URL_SAFE = str.maketrans("-_", "+/")


def kind_of(mime: str, otherwise: MediaKind = "file") -> MediaKind:
    """Return what a media type is for a model."""
    family = mime.partition("/")[0]
    return family if family in ("image", "audio", "video") else otherwise  # type: ignore[return-value]


def from_url(url: str, mime: str = "", kind: MediaKind = "image", where: str = "url") -> Media:
    """Return the media behind a URL or data URI; ``mime`` is what the caller says it is.

    What the bytes show wins over what is said, ``mime`` over the data URI's own label: labels are often copied wrongly.
    """
    said = normal(mime)
    if url[:5].lower() != "data:":
        if "://" not in url:
            return _bare(url, said, kind, where)
        guess = said or _SUFFIXES.get(PurePosixPath(_path(url)).suffix.lower(), "")
        if is_youtube(url):
            return Media("video", url=url, mime=said)
        return Media(kind_of(guess, kind) if guess else kind, url=url, mime=guess)
    found = _DATA_URI.match(url)
    if found is None:
        raise DialectError(f"Invalid data URI in '{where}'.", param=where, code="invalid_image_url")
    data = url[found.end() :]
    if ";base64" not in found[2].lower():
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    label = sniff_base64(data) or said or normal(found[1])
    return Media(kind_of(label, kind) if label else kind, data=data, mime=label)


def _bare(data: str, said: str, kind: MediaKind, where: str) -> Media:
    """Return base64 data that came without a ``data:`` prefix, as some clients send it."""
    label = sniff_base64(data)
    if not label:
        raise DialectError(
            f"Invalid value for '{where}': give an https URL or a base64 data URI.",
            param=where,
            code="invalid_image_url",
        )
    return Media(kind_of(label, kind), data=data, mime=label or said)


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def is_youtube(url: str) -> bool:
    """Whether a URL names a video on YouTube, which Gemini fetches itself."""
    try:
        return (urlsplit(url).hostname or "") in _YOUTUBE
    except ValueError:
        return False


def data_uri(media: Media) -> str:
    """Return inline data as a data URI, or the URL as it is."""
    return f"data:{media.mime or 'application/octet-stream'};base64,{media.data}" if media.data else media.url


def every_media(messages: Iterable[Message]) -> Iterator[Media]:
    """Yield every piece of media of a conversation, those in results of tools included."""
    for message in messages:
        for part in message.parts:
            if isinstance(part, Media):
                yield part
            elif isinstance(part, ToolResult):
                yield from (inner for inner in part.parts if isinstance(inner, Media))


def fetched(media: Media, found: dict[str, Media]) -> Media:
    """Return media with the data that was fetched for its URL, if it was."""
    inline = found.get(media.url) if media.url and not media.data else None
    if inline is None:
        return media
    label = sniff_base64(inline.data) or media.mime or normal(inline.mime)
    kind = kind_of(label, media.kind)
    return Media(kind, data=inline.data, mime=label, name=media.name, detail=media.detail, cache=media.cache)


def with_media(result: ToolResult, found: dict[str, Media]) -> ToolResult:
    """Return a tool's result with the data that was fetched for its media."""
    if not found:
        return result
    parts = [fetched(part, found) if isinstance(part, Media) else part for part in result.parts]
    return msgspec.structs.replace(result, parts=parts)
