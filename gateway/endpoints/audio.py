"""``/audio/speech``, ``/audio/transcriptions`` and ``/audio/translations``."""

from gateway.endpoints.base import ModelCallView
from gateway.endpoints.uploading import ModelUploadView
from gateway.objects import operations


class Speech(ModelCallView):
    """Speak a text. The audio goes on as it comes."""

    operation = operations.SPEECH


class Transcriptions(ModelUploadView):
    """Transcribe what is said, in its own language, whole or streamed."""

    operation = operations.TRANSCRIPTION
    wanted = ("stream",)


class Translations(ModelUploadView):
    """Transcribe into English what is said in any language."""

    operation = operations.TRANSLATION
    wanted = ()
