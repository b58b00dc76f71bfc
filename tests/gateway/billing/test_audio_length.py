"""The length of audio by its container: real files of each kind, cut into pieces as they would stream by."""

import io
import math
import struct
import wave
from collections.abc import Callable

import pytest

from gateway.billing.audio_length import KEPT_BYTES, AudioMeter
from sandbox.media import flac, mp3, opus, tones, wav

TEXT = "The quick brown fox jumps over the lazy dog."
SAMPLES = tones.samples(TEXT, 1.0)
MS = SAMPLES / tones.RATE * 1000


def pcm() -> bytes:
    return b"".join(tones.pcm(TEXT, "alloy", 1.0))


def ebml(scale: int = 1_000_000, duration: float = 4321.0) -> bytes:
    info = b"\x2a\xd7\xb1\x83" + scale.to_bytes(3, "big") + b"\x44\x89\x88" + struct.pack(">d", duration)
    return b"\x1aE\xdf\xa3\x84webm\x15\x49\xa9\x66" + bytes([0x80 | len(info)]) + info + bytes(5000)


def mp4(version: int, *, late: bool = False) -> bytes:
    times = struct.pack(">QQIQ", 0, 0, 600, 3000) if version else struct.pack(">IIII", 0, 0, 600, 3000)
    header = b"mvhd" + bytes([version, 0, 0, 0]) + times
    moov = struct.pack(">I4s", len(header) + 12, b"moov") + struct.pack(">I", len(header) + 4) + header
    media = struct.pack(">I4s", 200_008, b"mdat") + bytes(200_000)
    return struct.pack(">I4s", 16, b"ftyp") + b"isomisom" + (media + moov if late else moov + media)


def mp3_frames(count: int, bitrate: int = 9, mark: bytes = b"") -> bytes:
    """MPEG 1 layer 3 at 44.1 kHz; the index 9 is 128 kbit/s: 417 bytes and 1,152 samples a frame."""
    size = 144 * {9: 128000, 5: 64000}[bitrate] // 44100
    frame = bytes([0xFF, 0xFB, bitrate << 4, 0]) + bytes(size - 4)
    first = frame[:36] + mark + frame[36 + len(mark) :] if mark else b""
    return first + frame * count


def stream_wav() -> bytes:
    """As ffmpeg writes one into a pipe: it does not know how long it will be."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(8000 * 4 * 3))
    body = bytearray(made.getvalue())
    body[4:8] = body[40:44] = b"\xff\xff\xff\xff"
    return bytes(body)


FILES: dict[str, tuple[Callable[[], bytes], float]] = {
    "wav": (lambda: b"".join(wav.write([pcm()], SAMPLES, TEXT)), MS),
    "wav-of-unknown-length": (stream_wav, 3000),
    "flac": (lambda: b"".join(flac.write([pcm()], SAMPLES, TEXT)), MS),
    "ogg-opus": (lambda: b"".join(opus.write(SAMPLES / tones.RATE, TEXT)), MS),
    "mp3": (lambda: b"".join(mp3.write_mp3(SAMPLES, TEXT)), MS),
    "adts": (lambda: b"".join(mp3.write_aac(SAMPLES, TEXT)), MS),
    "mp3-behind-tags": (lambda: b"ID3\x04\0\0\0\0\x02\x01" + bytes(257) + mp3_frames(500), 500 * 1152 / 44.1),
    "mp3-of-varying-rate": (
        lambda: mp3_frames(2, mark=b"Xing\0\0\0\x01" + struct.pack(">I", 1000)) + mp3_frames(60, 5),
        1000 * 1152 / 44.1,
    ),
    "mp4": (lambda: mp4(0), 5000),
    "mp4-of-64-bits": (lambda: mp4(1), 5000),
    "mp4-with-its-index-last": (lambda: mp4(0, late=True), 5000),
    "webm": (ebml, 4321),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("piece", [1000, 10**9])
def test_lengths(name: str, piece: int) -> None:
    make, expected = FILES[name]
    body = make()
    meter = AudioMeter()
    for start in range(0, len(body), piece):
        meter.feed(body[start : start + piece])
    assert meter.size == len(body)
    assert math.isclose(meter.milliseconds, expected, rel_tol=0.02, abs_tol=60), (meter.milliseconds, expected)


@pytest.mark.parametrize(
    "body",
    [b"", b"x", b"RIFF....WAVE", b"fLaC", b"OggS", b"\xff\xfb", b"ID3", b"\x1aE\xdf\xa3\x44\x89", bytes(100_000)]
    + [make()[: KEPT_BYTES // 2][:cut] for make, _ in FILES.values() for cut in (5, 13, 30, 44)],
)
def test_what_says_nothing_is_nothing(body: bytes) -> None:
    meter = AudioMeter()
    meter.feed(body)
    assert meter.milliseconds >= 0


def test_random_bytes_are_hardly_taken_for_audio() -> None:
    meter = AudioMeter()
    meter.feed(bytes(number * 7919 % 256 for number in range(200_000)))
    assert meter.milliseconds == 0
