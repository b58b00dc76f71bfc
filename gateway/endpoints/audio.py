"""``/audio/speech``, ``/audio/transcriptions`` and ``/audio/translations``."""

import re

from gateway.body import json as json_body
from gateway.call.call import Call, Operation
from gateway.endpoints.base import ModelCallView
from gateway.endpoints.uploading import ModelUploadView

SPEECH_ENDS = re.compile(rb"speech\.audio\.done")
TRANSCRIPT_ENDS = re.compile(rb"transcript\.text\.done|^data: ?\[DONE\]", re.MULTILINE)


def characters(call: Call) -> dict[str, int]:
    """Count the characters to be spoken: what speech models without audio tokens are billed by."""
    return {"input_characters": len(json_body.text_of(call.fields.get("input")))}


class Speech(ModelCallView):
    """Speak a text. The sound goes on as it comes."""

    operation = Operation("speech", "text_to_speech", "audio/speech", ends=SPEECH_ENDS, units=characters)


class Transcriptions(ModelUploadView):
    """Write down what is said, in its own language, whole or streamed."""

    operation = Operation("transcription", "audio_transcription", "audio/transcriptions", ends=TRANSCRIPT_ENDS)
    wanted = ("stream",)


class Translations(ModelUploadView):
    """Write down in English what is said in any language."""

    operation = Operation("translation", "audio_translation", "audio/translations")
    wanted = ()
