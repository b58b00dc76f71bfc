"""Stored chat completions: their records, metadata and audio."""

from datetime import timedelta

import msgspec

from gateway.call.call import Call
from gateway.call.operation import Creates, Fields
from gateway.models import NewObject, OwnedObject
from gateway.objects.makers import record_for, text

KIND = "chat_completion"
AUDIO = "chat_audio"
# The vendor forgets an answer's audio after an hour or so; its owner is remembered a little longer.
AUDIO_LIFETIME = timedelta(days=1)
_metadata = msgspec.json.Decoder(dict[str, str] | None)


class Audio(msgspec.Struct):
    """What is read of an answer's audio."""

    id: str | None = None


class Said(msgspec.Struct):
    """What is read of a message, or of what a chunk adds to it."""

    audio: Audio | None = None


class Choice(msgspec.Struct):
    """What is read of a choice, whole or in a stream."""

    message: Said | None = None
    delta: Said | None = None


_choices = msgspec.json.Decoder(list[Choice])


def record_of(call: Call, fields: Fields) -> list[NewObject]:
    """Return the records of a completion that the vendor keeps, and of the audio in it."""
    completion_id = text(fields, "id")
    if not completion_id:
        return []
    data = {"metadata": metadata_of(call.body.fields), "model": text(fields, "model")}
    made = [record_for(call, KIND, completion_id, data=data)]
    return made + audio_of(call, fields) if "audio" in call.body.fields else made


def audio_of(call: Call, fields: Fields) -> list[NewObject]:
    """Return the records of an answer's audio, which later messages may refer to."""
    try:
        choices = _choices.decode(fields.get("choices", b"[]"))
    except (ValueError, RecursionError):
        return []
    said = [part for choice in choices for part in (choice.message, choice.delta) if part is not None]
    ids = dict.fromkeys(part.audio.id for part in said if part.audio is not None and part.audio.id)
    return [record_for(call, AUDIO, audio_id, expires_at=AUDIO_LIFETIME) for audio_id in ids]


def metadata_of(fields: Fields) -> dict[str, str]:
    """Return the metadata of a request's fields; empty when there is none, or none that the vendor takes."""
    try:
        return _metadata.decode(fields.get("metadata", b"null")) or {}
    except (ValueError, RecursionError):
        return {}


def keep_metadata(account_name: str, completion_id: str, metadata: dict[str, str]) -> None:
    """Record a completion's new metadata."""
    row = OwnedObject.objects.named(account_name, completion_id).first()
    if row is not None:
        OwnedObject.objects.filter(pk=row.pk).update(data={**row.data, "metadata": metadata})


COMPLETION = Creates(KIND, record_of)
SPOKEN = Creates(AUDIO, audio_of)
