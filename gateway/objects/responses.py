"""What an answer about responses and conversations creates: responses, items and containers, with their
owners.
"""

import contextlib
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import msgspec
from django.conf import settings

from gateway.billing import usage as metering
from gateway.call.call import Call
from gateway.call.errors import CallError
from gateway.call.operation import Creates, Fields
from gateway.models import NewObject
from gateway.objects import deferred, job_kinds
from gateway.objects.makers import child_of, record_for, text
from gateway.objects.store import objects

CHARGED_FIELDS = ("object", "id", "status", "usage", "tool_usage", "service_tier", "created_at", "completed_at")
# How the stream of a response ends that has ended itself.
ENDED = frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled"})


class Environment(msgspec.Struct):
    """Where a shell call ran."""

    container_id: str | None = None


class Item(msgspec.Struct):
    """What is read of an item."""

    id: str | None = None
    container_id: str | None = None
    environment: Environment | None = None


_object = msgspec.json.Decoder(dict[str, msgspec.Raw])
_item = msgspec.json.Decoder(Item)
_items = msgspec.json.Decoder(list[Item])
_id = msgspec.json.Decoder(str | Item | None)


def of_new_response(call: Call, fields: Fields) -> list[NewObject]:
    """Return what the answer to a created response makes, or one event of its stream: the response, its items,
    containers.

    Without ``store`` nothing is kept but containers, and items that go into a conversation.
    """
    response = _inner(fields)
    conversation = _conversation(call.body.fields)
    stored = _stored(call, response)
    items = _items_of(response)
    made = _containers(call, items)
    response_id = text(response, "id") if "object" in response or "output" in response else ""
    if response_id and stored:
        made.append(_response(call, response_id, response, conversation))
    if stored or conversation:
        expiry = None if conversation else expires()
        made += [
            record_for(call, "item", item.id, parent_id=conversation, expires_at=expiry) for item in items if item.id
        ]
    return made


def of_shown(call: Call, fields: Fields) -> list[NewObject]:
    """Return the items and containers that a retrieved response or conversation shows, as its owner's."""
    parent = call.parent
    if parent is None:
        return []  # made outside the gateway: no one is known to own it
    conversation = parent.object_id if parent.kind == "conversation" else parent.parent_id
    items = _items_of(_inner(fields))
    made = [child_of(parent, "container", each, expires_at=expires()) for each in _container_ids(call, items)]
    expiry = None if conversation else expires()
    made += [child_of(parent, "item", item.id, parent_id=conversation, expires_at=expiry) for item in items if item.id]
    return made


def expires() -> timedelta:
    """Return how long the owner of a response is remembered."""
    return timedelta(days=settings.OBJECT_RETENTION_DAYS)


def _inner(fields: Fields) -> Fields:
    """Return the response inside an event, or the fields themselves."""
    try:
        return _object.decode(fields["response"]) if "response" in fields else fields
    except (ValueError, RecursionError):
        return fields


def _items_of(fields: Fields) -> list[Item]:
    """Return the items of a response, a list, an event, or the one item that the fields are."""
    try:
        for name in ("output", "data"):
            if name in fields:
                return _items.decode(fields[name])
        if "item" in fields:
            return [_item.decode(fields["item"])]
        if "object" not in fields and "sequence_number" not in fields:
            return [_item.decode(msgspec.json.encode(fields))]
    except (ValueError, RecursionError):
        return []
    return []


def _response(call: Call, response_id: str, fields: Fields, conversation: str) -> NewObject:
    state = text(fields, "status")[:32]
    if call.operation.charges:
        return record_for(call, "response", response_id, parent_id=conversation, state=state, expires_at=expires())
    later = deferred.kept_for_charge(call)
    if job_kinds.RESPONSE.is_over(
        state
    ):  # a vendor that knows no background has answered at once, and may keep nothing
        later["answer"] = _charged(fields)
    return record_for(
        call,
        "response",
        response_id,
        parent_id=conversation,
        state=state,
        data=later,
        expires_at=expires(),
        due_in=deferred.FIRST_POLL,
    )


def _charged(fields: Fields) -> dict[str, Any]:
    """Return what of an answer is needed to charge it."""
    kept = {name: msgspec.json.decode(fields[name]) for name in CHARGED_FIELDS if name in fields}
    return {**kept, "output": metering.tool_calls(fields)}


def _stored(call: Call, response: Fields) -> bool:
    said = response.get("store", call.body.fields.get("store"))
    return said is None or bytes(said) != b"false"


def _conversation(fields: Fields) -> str:
    """Return the id of the conversation that a request goes into, or nothing."""
    try:
        found = _id.decode(fields.get("conversation", b"null"))
    except (ValueError, RecursionError):
        return ""
    return (found.id if isinstance(found, Item) else found) or ""


def _containers(call: Call, items: list[Item]) -> list[NewObject]:
    return [record_for(call, "container", each, expires_at=expires()) for each in _container_ids(call, items)]


def _container_ids(call: Call, items: Iterable[Item]) -> list[str]:
    """Return the containers that tools opened; one that the request named has its owner already."""
    named = {object_id for _, object_id in call.references}
    found = dict.fromkeys(_container_of(item) for item in items)
    return [each for each in found if each and each not in named]


def _container_of(item: Item) -> str | None:
    return item.container_id or (item.environment.container_id if item.environment else None)


async def hear_end(call: Call, event: Fields) -> None:
    """Keep the usage that the last event of a background response's stream reports, so that the vendor need not be
    asked.

    A vendor that ignores ``background`` may keep nothing to be asked for. When it can't be kept, the vendor is asked.
    """
    if text(event, "type") in ENDED and call.target is not None:
        with contextlib.suppress(CallError, ValueError, RecursionError):
            response = _inner(event)
            account, answer = call.target.account.name, _charged(response)
            await objects.run(deferred.keep_answer, account, text(response, "id"), answer)


RESPONSE = Creates("response", of_new_response, hear_end)
SHOWN = Creates("shown", of_shown)
