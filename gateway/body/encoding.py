"""Request bodies that come packed: gzip, deflate, zstd and brotli, unpacked within the bound of a body."""

import io
import zlib
from collections.abc import Callable, Iterator

import brotli
import zstandard

from gateway.call.errors import InvalidRequest, TooLarge, UnsupportedMedia

PIECE_BYTES = 2**16
IDENTITY = b"identity"


def unpack(body: bytes, encoding: bytes, limit: int) -> bytes:
    """Return ``body`` as it was before the codings of its ``Content-Encoding`` header, the last one undone first.

    Raises :class:`~gateway.call.errors.TooLarge` as soon as more than ``limit`` bytes come out,
    :class:`~gateway.call.errors.InvalidRequest` for a body that is not packed so, and
    :class:`~gateway.call.errors.UnsupportedMedia` for a coding that is not known.
    """
    names = [name.strip().lower() for name in encoding.split(b",") if name.strip()]
    for name in reversed(names):
        if name == IDENTITY:
            continue
        unpacker = UNPACKERS.get(name)
        if unpacker is None or len(names) > 2:
            raise UnsupportedMedia(
                f"The Content-Encoding {encoding[:40].decode('latin1')!r} is not supported. "
                f"Valid values: {', '.join(sorted(each.decode() for each in UNPACKERS))}, identity."
            )
        body = _collect(unpacker(body, limit), name, limit)
    return body


def _collect(pieces: Iterator[bytes], name: bytes, limit: int) -> bytes:
    held, size = io.BytesIO(), 0
    try:
        for piece in pieces:
            size += len(piece)
            if size > limit:
                raise TooLarge(
                    f"The body unpacks to more than {limit} bytes. The operator sets the bound with "
                    f"GATEHOUSE_MAX_BODY_MB."
                )
            held.write(piece)
    except (zlib.error, zstandard.ZstdError, brotli.error, EOFError):
        raise InvalidRequest(
            f"The body is not valid {name.decode()}, as its Content-Encoding says.", code="invalid_encoding"
        ) from None
    return held.getvalue()


def _inflate(window: int) -> Callable[[bytes, int], Iterator[bytes]]:
    def pieces(body: bytes, limit: int) -> Iterator[bytes]:
        while body:
            unpacker = zlib.decompressobj(window)
            while not unpacker.eof:
                piece = unpacker.decompress(body, PIECE_BYTES)
                if not piece and not unpacker.unconsumed_tail and not unpacker.eof:
                    raise EOFError
                yield piece
                body = unpacker.unconsumed_tail
            body = unpacker.unused_data

    return pieces


def _zstd(body: bytes, limit: int) -> Iterator[bytes]:
    # The window is bounded: a frame may ask for gigabytes of memory before it yields a byte.
    reader = zstandard.ZstdDecompressor(max_window_size=max(2**20, 1 << limit.bit_length())).stream_reader(
        body, read_across_frames=True
    )
    while piece := reader.read(PIECE_BYTES):
        yield piece


def _brotli(body: bytes, limit: int) -> Iterator[bytes]:
    unpacker = brotli.Decompressor()
    piece = unpacker.process(body, output_buffer_limit=PIECE_BYTES)
    yield piece
    while not unpacker.is_finished():
        if unpacker.can_accept_more_data():
            raise EOFError
        yield unpacker.process(b"", output_buffer_limit=PIECE_BYTES)


UNPACKERS: dict[bytes, Callable[[bytes, int], Iterator[bytes]]] = {
    b"gzip": _inflate(zlib.MAX_WBITS | 16),
    b"x-gzip": _inflate(zlib.MAX_WBITS | 16),
    b"deflate": _inflate(zlib.MAX_WBITS),
    b"zstd": _zstd,
    b"br": _brotli,
}
