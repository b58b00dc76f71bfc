"""How long audio is, by what its container says: for calls whose vendor does not report it.

Only the beginning and the end of a file are kept, whatever its size. Sources: RIFF WAVE (Microsoft's multimedia
registry), ISO/IEC 11172-3 frames with Xing and VBRI headers, ADTS (ISO/IEC 13818-7), FLAC (RFC 9639), Ogg (RFC 3533)
with Opus (RFC 7845) and Vorbis, MP4 (ISO/IEC 14496-12, ``mvhd``), Matroska and WebM (``Duration``, RFC 9559).
"""

import struct

KEPT_BYTES = 2**16
MP3_BITRATES = {
    # (MPEG version 1, layer): kbit/s by index; version 2 and 2.5 share the second table of a layer
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
MP3_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
ADTS_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
ADTS_SAMPLES = 1024
OPUS_RATE = 48000
PCM_BYTES_PER_MS = 48
"""Of OpenAI's raw speech: 24 kHz, 16 bits, one channel."""


class AudioMeter:
    """Measures audio that streams by: :meth:`feed` it, then ask for :attr:`milliseconds`."""

    __slots__ = ("_head", "_tail", "size")

    def __init__(self) -> None:
        self.size = 0
        self._head = b""
        self._tail = b""

    def feed(self, data: bytes) -> None:
        """Take the next piece."""
        self.size += len(data)
        if len(self._head) < KEPT_BYTES:
            self._head += data[: KEPT_BYTES - len(self._head)]
        self._tail = data[-KEPT_BYTES:] if len(data) >= KEPT_BYTES else (self._tail + data)[-KEPT_BYTES:]

    @property
    def milliseconds(self) -> int:
        """The length of what came, 0 where its container does not say."""
        return audio_ms(self._head, self._tail, self.size)


def audio_ms(head: bytes, tail: bytes, size: int) -> int:
    """Return the length of a file of ``size`` bytes, given its beginning and its end; 0 where nothing says it."""
    try:
        seconds = _seconds(head, tail, size)
    except (struct.error, IndexError, ValueError, ZeroDivisionError):  # cut off, or not what it begins like
        return 0
    return max(0, round(seconds * 1000))


def _seconds(head: bytes, tail: bytes, size: int) -> float:
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return _wav(head, size)
    if head[:4] == b"fLaC":
        return _flac(head)
    if head[:4] == b"OggS":
        return _ogg(head, tail)
    if head[4:8] in (b"ftyp", b"moov", b"mdat"):
        return _mp4(head) or _mp4(tail)
    if head[:4] == b"\x1aE\xdf\xa3":
        return _matroska(head)
    start = _behind_id3(head)
    if head[start : start + 1] == b"\xff" and head[start + 1] & 0xF6 == 0xF0:
        return _adts(head, start, size)
    return _mp3(head, start, size)


def _wav(head: bytes, size: int) -> float:
    position, byte_rate = 12, 0
    while position + 8 <= len(head):
        name, length = struct.unpack_from("<4sI", head, position)
        if name == b"fmt ":
            (byte_rate,) = struct.unpack_from("<I", head, position + 16)
        if name == b"data":  # a stream does not know its length when it writes this
            return min(length, size - position - 8) / byte_rate
        position += 8 + length + length % 2
    return 0.0


def _flac(head: bytes) -> float:
    packed = int.from_bytes(head[18:26], "big")
    return (packed & 0xFFFFFFFFF) / (packed >> 44)


def _ogg(head: bytes, tail: bytes) -> float:
    """The last page's position, in samples, is the length."""
    position = -1
    page = tail.rfind(b"OggS")
    while page >= 0 and position < 0:  # -1: no packet ends on the page
        if page + 14 <= len(tail):
            (position,) = struct.unpack_from("<q", tail, page + 6)
        page = tail.rfind(b"OggS", 0, page)
    opus = head.find(b"OpusHead")
    if opus >= 0:
        (skipped,) = struct.unpack_from("<H", head, opus + 10)
        return (position - skipped) / OPUS_RATE
    vorbis = head.find(b"\x01vorbis")
    return position / struct.unpack_from("<I", head, vorbis + 12)[0] if vorbis >= 0 else 0.0


def _mp4(part: bytes) -> float:
    found = part.find(b"mvhd")
    if found < 0:
        return 0.0
    if part[found + 4] == 1:
        rate, length = struct.unpack_from(">IQ", part, found + 24)
    else:
        rate, length = struct.unpack_from(">II", part, found + 16)
    return float(length / rate)


def _matroska(head: bytes) -> float:
    """``Duration`` in units of ``TimestampScale`` nanoseconds; what a browser records live has none."""
    found = head.find(b"\x44\x89")
    while found >= 0 and head[found + 2] not in (0x84, 0x88):
        found = head.find(b"\x44\x89", found + 1)
    if found < 0:
        return 0.0
    form = ">d" if head[found + 2] == 0x88 else ">f"
    (length,) = struct.unpack_from(form, head, found + 3)
    scaled = head.find(b"\x2a\xd7\xb1")
    scale = 1_000_000
    if scaled >= 0:
        scale = int.from_bytes(head[scaled + 4 : scaled + 4 + (head[scaled + 3] & 0x0F)], "big")
    return float(length) * scale / 1e9


def _behind_id3(head: bytes) -> int:
    if head[:3] != b"ID3":
        return 0
    a, b, c, d = head[6:10]  # 7 bits each
    return 10 + (a << 21 | b << 14 | c << 7 | d)


def _adts(head: bytes, start: int, size: int) -> float:
    """By the frames in the beginning: how long they are on average, and the samples of each."""
    position, frames = start, 0
    rate = ADTS_RATES[head[start + 2] >> 2 & 0xF]
    while position + 6 <= len(head) and head[position] == 0xFF:
        length = (head[position + 3] & 3) << 11 | head[position + 4] << 3 | head[position + 5] >> 5
        if length < 7:
            break
        position, frames = position + length, frames + 1
    return (size - start) / ((position - start) / frames) * ADTS_SAMPLES / rate


def _mp3(head: bytes, start: int, size: int) -> float:
    """By the number of frames that a Xing, Info or VBRI header says, else by the first frame's bit rate."""
    frame = _mp3_frame(head, start)
    if frame is None:
        return 0.0
    position, bitrate, rate, samples = frame
    for name, behind, flagged in ((b"Xing", 8, True), (b"Info", 8, True), (b"VBRI", 14, False)):
        mark = head.find(name, position, position + 64)
        if mark >= 0 and (not flagged or head[mark + 7] & 1):
            (frames,) = struct.unpack_from(">I", head, mark + behind)
            return float(frames * samples / rate)
    return (size - position) * 8 / bitrate


def _mp3_frame(head: bytes, start: int) -> tuple[int, int, int, int] | None:
    """Return the first frame's position, bits and samples per second, and its samples."""
    position = head.find(b"\xff", start)
    while 0 <= position < len(head) - 4:
        second, third = head[position + 1], head[position + 2]
        version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
        index, rate = third >> 4, third >> 2 & 3
        if second & 0xE0 == 0xE0 and version != 1 and layer < 4 and 0 < index < 15 and rate < 3:
            first, hertz = version == 3, MP3_RATES[version][rate]
            samples = 384 if layer == 1 else 1152 if layer == 2 or first else 576
            bitrate = MP3_BITRATES[first, layer][index] * 1000
            following = position + samples // 8 * bitrate // hertz + (third >> 1 & 1) * (4 if layer == 1 else 1)
            if following >= len(head) or head[following : following + 2] == head[position : position + 2]:
                return position, bitrate, hertz, samples
        position = head.find(b"\xff", position + 1)
    return None
