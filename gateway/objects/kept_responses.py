"""Responses that Gatehouse keeps itself, for providers that keep none: what they were asked, and what they answered.

Their owners are among the owned objects, as those of every response; here is what they hold, encrypted. A response goes
when its owner deletes it, or is forgotten.
"""

import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
from django.conf import settings

from accounts.database_clock import database_now
from gateway.call.by_size import by_size
from gateway.call.call import Call
from gateway.models import KeptResponse
from gateway.objects.store import objects
from providers.dialects.wire import Fields, new_id

MOST_BYTES = 32 * 2**20
"""What a response with all that it goes on from may hold, as JSON; a longer conversation is not kept."""
_encode = msgspec.json.Encoder().encode


class Kept(msgspec.Struct):
    """What is kept: all the items that the response goes on from, the oldest first, and the response itself."""

    input: list[dict[str, Any]]
    response: dict[str, Any]

    @property
    def items(self) -> list[dict[str, Any]]:
        """What the next response goes on from."""
        output = self.response.get("output")
        return [*self.input, *(output if isinstance(output, list) else [])]


_kept = msgspec.json.Decoder(Kept)


def as_items(given: Any) -> list[Fields]:
    """Return a request's input as items, each with an id."""
    if isinstance(given, str):
        given = [{"role": "user", "content": [{"type": "input_text", "text": given}]}]
    found = []
    for item in given if isinstance(given, list) else []:
        if isinstance(item, dict):
            kind = item.get("type") or "message"
            found.append({"id": new_id("msg_" if kind == "message" else "item_"), **item, "type": kind})
    return found


async def keep(call: Call, account_name: str, response: Mapping[str, Any]) -> None:
    """Keep a response of the call's. Raises :class:`~gateway.call.errors.Unavailable` when it can't be stored."""
    content = await by_size(call.body.size, _content, call, response)
    if len(content) <= MOST_BYTES:
        await objects.run(_store, account_name, str(response["id"]), content)


def _content(call: Call, response: Mapping[str, Any]) -> bytes:
    given = call.body.fields.get("input")
    items = [*call.history, *as_items(None if given is None else msgspec.json.decode(given))]
    return _encode(Kept(items, dict(response)))


async def find(account_name: str, response_id: str) -> Kept | None:
    """Return a kept response, ``None`` for one that is not there. Its owner has been checked before."""
    found: Kept | None = await objects.run(_find, account_name, response_id)
    return found


async def forget(account_name: str, response_id: str) -> None:
    """Delete what a response holds."""
    await objects.run(_forget, account_name, response_id)


def _store(account_name: str, response_id: str, content: bytes) -> None:
    packed = b64encode(zlib.compress(content, 1)).decode()
    expires_at = database_now() + timedelta(days=settings.OBJECT_RETENTION_DAYS)
    KeptResponse(account_name=account_name, object_id=response_id, content=packed, expires_at=expires_at).save()


def _find(account_name: str, response_id: str) -> Kept | None:
    row = KeptResponse.objects.filter(account_name=account_name, object_id=response_id).first()
    return None if row is None else _kept.decode(zlib.decompress(b64decode(row.content)))


def _forget(account_name: str, response_id: str) -> None:
    KeptResponse.objects.filter(account_name=account_name, object_id=response_id).delete()
