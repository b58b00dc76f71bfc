"""What a transcript used whose vendor reports no tokens: estimated from the length of what was heard."""

import pytest

from gateway.billing.audio import estimate_transcript
from gateway.billing.audio_length import AudioMeter
from providers.pricing.private import private_sheet
from usage.records import AttemptRecord

BY_TOKENS = private_sheet({"input_mtok": "2.5", "output_mtok": "10"})
BY_LENGTH = private_sheet({"audio_minute": "0.006"})


@pytest.mark.parametrize(
    ("sheet", "tokens", "estimated"), [(BY_TOKENS, 615, True), (BY_LENGTH, 0, False), (None, 0, False)]
)
def test_a_length_that_the_vendor_reports(sheet: object, tokens: int, estimated: bool) -> None:
    """It has no price of its own where the model is billed by tokens."""
    record = AttemptRecord("1", "req_1", 0, operation="transcription", units={"input_audio_ms": 61_500}, bytes_out=40)
    estimate_transcript(record, sheet, AudioMeter())  # type: ignore[arg-type]
    assert (record.input_tokens, record.audio_input_tokens) == (tokens, tokens)
    assert (record.output_tokens, record.estimated) == (10 if tokens else 0, estimated)
    assert record.units == {"input_audio_ms": 61_500}
