"""Audio and transcripts whose vendor reports no usage: measured by the gateway, and marked as estimated.

Speech as a file and transcripts as plain text have no place for usage; some servers leave it out everywhere. The length
of audio is what its container says. Models that are billed by tokens count one for every 100 ms that they hear and one
for every 50 ms that they speak (OpenAI, "Managing costs" of its realtime guide); text has about four characters a
token.
"""

from gateway.billing.audio_length import PCM_BYTES_PER_MS, AudioMeter
from providers.pricing.sheet import PriceSheet
from usage.records import AttemptRecord

HEARD_MS_PER_TOKEN = 100
SPOKEN_MS_PER_TOKEN = 50
CHARACTERS_PER_TOKEN = 4


def estimate_speech(record: AttemptRecord, sheet: PriceSheet | None, meter: AudioMeter, form: str) -> None:
    """Fill in what a speech used whose file, in the format ``form``, went through ``meter``.

    A model that is billed by the characters of the request needs no estimate.
    """
    if _has_tokens(record) or (sheet is not None and "input_characters" in sheet.covered):
        return
    spoken = meter.size // PCM_BYTES_PER_MS if form == "pcm" else meter.milliseconds
    if spoken:
        record.units = {**record.units, "output_audio_ms": spoken}
        record.input_tokens = text_tokens(record.units.get("input_characters", 0))
        record.output_tokens = record.audio_output_tokens = spoken_tokens(spoken)
        record.estimated = True


def estimate_transcript(record: AttemptRecord, sheet: PriceSheet | None, meter: AudioMeter) -> None:
    """Fill in what a transcript used that was made of the file which went through ``meter``.

    The transcript's characters are about the bytes of its answer. A length that the vendor reports is used, too, where
    it has no price of its own.
    """
    reported = record.units.get("input_audio_ms", 0)
    priced = sheet is not None and "input_audio_ms" in sheet.covered
    if _has_tokens(record) or (reported and (priced or sheet is None)):
        return
    heard = reported or meter.milliseconds
    if not heard:
        return
    record.units = {**record.units, "input_audio_ms": heard}
    record.estimated = True
    if not priced:
        record.input_tokens = record.audio_input_tokens = heard_tokens(heard)
        record.output_tokens = text_tokens(record.bytes_out)


def heard_tokens(milliseconds: int) -> int:
    """Return about how many tokens audio has that a model hears."""
    return -(-milliseconds // HEARD_MS_PER_TOKEN)


def spoken_tokens(milliseconds: int) -> int:
    """Return about how many tokens audio has that a model speaks."""
    return -(-milliseconds // SPOKEN_MS_PER_TOKEN)


def text_tokens(characters: int) -> int:
    """Return about how many tokens a text has."""
    return -(-characters // CHARACTERS_PER_TOKEN)


def _has_tokens(record: AttemptRecord) -> bool:
    return bool(record.input_tokens or record.output_tokens)
