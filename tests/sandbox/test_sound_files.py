"""The sound files that are written by hand: their frames add up, and what they carry can be read."""

import io
import struct
from array import array

import pytest

from sandbox.media import flac, hearing, mp3, opus, tones, wav

TEXT = "Round trip. Füße!"
SAMPLES = tones.samples(TEXT)
PCM = b"".join(tones.pcm(TEXT))


def heard(data: bytes) -> hearing.Heard:
    return hearing.listen(io.BytesIO(data))


@pytest.mark.parametrize("text", ["", "a", TEXT, "日本語" * 100, "x" * 4096])
@pytest.mark.parametrize("speed", [0.25, 1, 4])
def test_text_hides_in_the_samples(text: str, speed: float) -> None:
    sound = b"".join(tones.pcm(text, speed=speed))
    assert len(sound) == tones.samples(text, speed) * tones.WIDTH
    assert tones.hidden_text(sound) == text


@pytest.mark.parametrize("sound", [b"", b"\0", bytes(10_000), PCM[: 8 * 8 * 2 + 20], PCM[2:]])
def test_other_samples_hide_nothing(sound: bytes) -> None:
    assert tones.hidden_text(sound) is None


def test_mp3_is_made_of_whole_frames() -> None:
    data = b"".join(mp3.write_mp3(SAMPLES, TEXT))
    comment, start = mp3.read_tag(data)
    assert comment == TEXT
    frames = data[start:]
    assert len(frames) % mp3.MP3_FRAME_BYTES == 0
    assert {frames[at : at + 4] for at in range(0, len(frames), mp3.MP3_FRAME_BYTES)} == {b"\xff\xf3\x44\xc0"}
    assert heard(data).seconds == pytest.approx(SAMPLES / tones.RATE, abs=0.03)


def test_aac_frames_tell_their_length() -> None:
    data = b"".join(mp3.write_aac(SAMPLES, TEXT))
    _, at = mp3.read_tag(data)
    count = 0
    while at < len(data):
        assert data[at : at + 2] == b"\xff\xf1"
        at += (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
        count += 1
    assert at == len(data)
    assert count == -(-SAMPLES // mp3.AAC_SAMPLES)


def test_ogg_pages_follow_each_other() -> None:
    data = b"".join(opus.write(SAMPLES / tones.RATE, TEXT))
    at, numbers, flags = 0, [], []
    while at < len(data):
        capture, _, flag, _, _, number, _, segments = struct.unpack_from("<4sBBqIIIB", data, at)
        assert capture == b"OggS"
        numbers.append(number)
        flags.append(flag)
        at += 27 + segments + sum(data[at + 27 : at + 27 + segments])
    assert at == len(data)
    assert numbers == list(range(len(numbers)))
    assert (flags[0], flags[-1], set(flags[1:-1])) == (2, 4, {0})
    assert heard(data).text == TEXT


def test_flac_holds_the_samples_as_they_are() -> None:
    data = b"".join(flac.write([PCM], SAMPLES, ""))
    swapped = array("H", PCM)
    swapped.byteswap()
    assert swapped.tobytes()[: flac.BLOCK * 2] in data
    # Without its comment the text is found in the samples.
    assert heard(data.replace(b"DESCRIPTION=", b"SOMETHING__=")).text == TEXT
    assert heard(data).seconds == SAMPLES / tones.RATE


def test_known_checksums() -> None:
    # The check values of these algorithms for the digits 1 to 9.
    digits = b"123456789"
    assert flac.crc(digits, flac._CRC8, 8) == 0xF4
    assert flac.crc(digits, flac._CRC16, 16) == 0xFEE8
    assert flac.crc(digits, opus._CRC32, 32) == 0x89A1897F


def test_a_wav_without_a_known_length() -> None:
    data = b"".join(wav.write([PCM], SAMPLES, TEXT))
    streamed = data.replace(b"data" + struct.pack("<I", len(PCM)), b"data\xff\xff\xff\xff")
    assert heard(streamed) == heard(data) == hearing.Heard(TEXT, SAMPLES / tones.RATE)


@pytest.mark.parametrize(
    "data",
    [b"", b"RIFF", b"RIFF\0\0\0\0WAVEfmt ", b"fLaC", b"fLaC\x84\0\xff", b"OggS", b"ID3\x04", b"ID3\x03" + b"\xff" * 50],
)
def test_damaged_files_are_not_understood(data: bytes) -> None:
    assert heard(data).text is None
