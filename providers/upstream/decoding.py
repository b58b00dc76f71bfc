"""Bodies that come packed although every request asks for ``identity``: gzip and deflate, bounded piece by piece.

Pure.
"""

import zlib
from collections.abc import Iterator

from providers.upstream.failures import UNPACKABLE, BrokenAnswer, Disconnected

PIECE_BYTES = 2**18
GZIP = frozenset({b"gzip", b"x-gzip"})
DEFLATE = b"deflate"
GZIP_MAGIC = b"\x1f"
# JSON and text unpack to some tens of times their size at the most; a server that wants to fill our memory can have
# gzip make it a thousand.
BOMB_BYTES, BOMB_RATIO = 2**26, 200
UNREADABLE = frozenset({b"br", b"zstd", b"compress", b"x-compress"})


def decoder_of(coding: bytes) -> "Decoder | None":
    """Return what unpacks a ``content-encoding``; ``None`` for one that leaves the body as it is, or that is not known.

    Raises ``BrokenAnswer`` for a known coding that can't be unpacked here.
    """
    coding = coding.strip().lower()
    if coding in GZIP or coding == DEFLATE:
        return Decoder(gzip=coding != DEFLATE)
    if coding in UNREADABLE:
        raise BrokenAnswer(f"The upstream packed its answer as {coding.decode()}, although identity was asked for.")
    return None


def check_ratio(packed: int, unpacked: int) -> None:
    """Raise ``BrokenAnswer`` for so many bytes from so few that no answer is meant."""
    if unpacked > BOMB_BYTES and unpacked > BOMB_RATIO * packed:
        raise BrokenAnswer(f"The upstream's answer unpacks to more than {BOMB_RATIO} times its size.")


class Decoder:
    """Unpacks one body. Gzip may come in several members, deflate with zlib's header or bare: servers do both."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._unpack: zlib._Decompress | None = None
        self._came = self._made = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` unpacks to, in pieces of at most ``PIECE_BYTES``. Raises ``BrokenAnswer``."""
        piece = b""
        self._came += len(data)
        try:
            while (data or len(piece) == PIECE_BYTES) and not self._over(data):
                if self._unpack is None or self._unpack.eof:
                    self._unpack = self._begin(data[0])
                piece = self._unpack.decompress(data, PIECE_BYTES)
                data = self._unpack.unconsumed_tail or self._unpack.unused_data
                self._made += len(piece)
                check_ratio(self._came, self._made)
                if piece:
                    yield piece
        except zlib.error:
            raise BrokenAnswer(UNPACKABLE) from None

    def end(self) -> None:
        """Raise ``Disconnected`` when the body ended before what was packed did."""
        if self._unpack is not None and not self._unpack.eof:
            raise Disconnected("The upstream closed the connection before its answer was complete.")

    def _over(self, data: bytes) -> bool:
        """Whether nothing but padding can follow: only a gzip member follows another one."""
        return self._unpack is not None and self._unpack.eof and not (self._gzip and data[:1] == GZIP_MAGIC)

    def _begin(self, first: int) -> "zlib._Decompress":
        if self._gzip:
            return zlib.decompressobj(zlib.MAX_WBITS | 16)
        return zlib.decompressobj(zlib.MAX_WBITS if first & 0x0F == 8 else -zlib.MAX_WBITS)
