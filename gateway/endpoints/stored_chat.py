"""Stored chat completions: what ``store: true`` keeps at the vendor. Lists come from our own records.

A record's ``data`` is ``{"metadata": the completion's metadata, "model": the model that the answer names}``.
"""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec
from django.db.models import Q, Value
from django.db.models.fields.json import KeyTextTransform, KeyTransform
from django.db.models.lookups import Exact

from gateway import ownership
from gateway.call import Call, Operation, Reply
from gateway.endpoints.passthrough import read_objects
from gateway.errors import ModelNotFound
from gateway.handler import InferenceRequest
from gateway.listing import list_body, list_owned, read_page
from gateway.models import OwnedObject
from gateway.objects import NewObject, objects
from gateway.ownership import Fields
from gateway.policies import access
from gateway.views import ObjectView, begin_call, json_reply, only_account
from providers.snapshot import AccountPicture, Target

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
    completion_id = ownership.text(fields, "id")
    if not completion_id:
        return []
    data = {"metadata": metadata_of(call.fields), "model": ownership.text(fields, "model")}
    made = [ownership.record_for(call, KIND, completion_id, data=data)]
    return made + audio_of(call, fields) if "audio" in call.fields else made


def audio_of(call: Call, fields: Fields) -> list[NewObject]:
    """Return the records of an answer's audio, which later messages may refer to."""
    try:
        choices = _choices.decode(fields.get("choices", b"[]"))
    except (ValueError, RecursionError):
        return []
    said = [part for choice in choices for part in (choice.message, choice.delta) if part is not None]
    ids = dict.fromkeys(part.audio.id for part in said if part.audio is not None and part.audio.id)
    expiry = datetime.now(UTC) + AUDIO_LIFETIME
    return [ownership.record_for(call, AUDIO, audio_id, expires_at=expiry) for audio_id in ids]


def metadata_of(fields: Fields) -> dict[str, str]:
    """Return the metadata of a request's fields; empty when there is none, or none that the vendor takes."""
    try:
        return _metadata.decode(fields.get("metadata", b"null")) or {}
    except (ValueError, RecursionError):
        return {}


ownership.MAKERS[KIND] = record_of
ownership.MAKERS[AUDIO] = audio_of


class StoredCompletion(ObjectView):
    """A stored completion by its id: read, given other metadata, deleted."""

    operations: ClassVar[dict[str, Operation]] = {
        "GET": Operation("chat.retrieve", "", "chat/completions/{id}", charges=False),
        "POST": Operation("chat.update", "", "chat/completions/{id}", charges=False),
        "DELETE": Operation("chat.delete", "", "chat/completions/{id}", charges=False),
    }

    async def get(self, request: InferenceRequest, completion_id: str, **kwargs: Any) -> Reply:
        """Return the completion."""
        return await self.forward(request, f"chat/completions/{completion_id}", completion_id)

    async def post(self, request: InferenceRequest, completion_id: str, **kwargs: Any) -> Reply:
        """Replace the completion's metadata, and what lists know of it."""
        call = await self.describe(request, f"chat/completions/{completion_id}", completion_id)
        reply = await self.run(call)
        if reply.status < 300:
            await objects.run(keep_metadata, call.account_name, completion_id, metadata_of(call.fields))
        return reply

    async def delete(self, request: InferenceRequest, completion_id: str, **kwargs: Any) -> Reply:
        """Delete the completion."""
        return await self.forward(request, f"chat/completions/{completion_id}", completion_id)


class StoredMessages(ObjectView):
    """What a stored completion was asked."""

    operations: ClassVar[dict[str, Operation]] = {
        "GET": Operation("chat.messages", "", "chat/completions/{id}/messages", charges=False)
    }

    async def get(self, request: InferenceRequest, completion_id: str, **kwargs: Any) -> Reply:
        """Return a page of the messages."""
        return await self.forward(request, f"chat/completions/{completion_id}/messages", completion_id)


class StoredCompletions(ObjectView):
    """The collection of stored completions."""

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """List the caller's stored completions, oldest first, narrowed by ``model`` and ``metadata[key]``."""
        call = begin_call(request, self.caller, Operation("chat.list", "", "chat/completions"))
        name = call.options.provider_name or only_account(self.caller, "chat")
        account = access.account_of(self.caller, name)
        page = read_page(request.GET)
        if not request.GET.get("order"):
            page = replace(page, order="asc")
        conditions: list[Any] = [
            Exact(KeyTextTransform(key[9:-1], KeyTransform("metadata", "data")), Value(value))
            for key, value in request.GET.items()
            if key.startswith("metadata[") and key.endswith("]")
        ]
        conditions += self._model_conditions(account, str(request.GET.get("model") or ""))
        rows, more = await list_owned(self.caller, account, KIND, page, conditions=conditions)
        target = Target(account, access.no_model(account))
        found = await read_objects(target, "chat/completions", [row.object_id for row in rows])
        return json_reply(list_body([body for body in found if body is not None], more))

    def _model_conditions(self, account: AccountPicture, model: str) -> list[Q]:
        """Return the filter for a model, by one of our names or by the vendor's own."""
        if not model:
            return []
        try:
            return [Q(model_name=access.resolve(self.caller, model, account.name).model.public_name)]
        except ModelNotFound:
            return [Q(data__model=model)]


def keep_metadata(account_name: str, completion_id: str, metadata: dict[str, str]) -> None:
    """Write down a completion's new metadata."""
    row = OwnedObject.objects.filter(account_name=account_name, object_id=completion_id).first()
    if row is not None:
        OwnedObject.objects.filter(pk=row.pk).update(data={**row.data, "metadata": metadata})
