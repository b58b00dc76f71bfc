"""The records of files and uploads: what is recorded of them, and with which owner.

``data`` is ``{"body": the upstream's last body, "batch_input": what a batch's input says (``batch_input.Summary``)}``.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from gateway.call.call import Call
from gateway.call.operation import Creates, Fields
from gateway.models import NewObject, Owned, OwnedObject
from gateway.objects.makers import child_of, text
from gateway.objects.records import new_object

FILE = "file"
UPLOAD = "upload"
PART = "upload_part"
_body = msgspec.json.Decoder(dict[str, Any])
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def file_of(call: Call, fields: Fields) -> list[NewObject]:
    """Return the record of a file that was uploaded."""
    body = plain(fields)
    if not isinstance(body.get("id"), str):
        return []
    known = call.job.batch_input if call.job is not None else None
    data = {"body": body, **({"batch_input": known} if known is not None else {})}
    return [_record(call, FILE, body, data)]


def upload_of(call: Call, fields: Fields) -> list[NewObject]:
    """Return the record of an upload that was begun."""
    body = plain(fields)
    return [_record(call, UPLOAD, body, {})] if isinstance(body.get("id"), str) else []


def part_of(call: Call, fields: Fields) -> list[NewObject]:
    """Return the record of a part: its upload's owner has it."""
    part_id = text(fields, "id")
    if not part_id or call.parent is None:
        return []
    return [child_of(call.parent, PART, part_id, parent_id=call.parent.object_id)]


def completed_of(call: Call, fields: Fields) -> list[NewObject]:
    """Return the record of the file that a completed upload has become: the upload's owner has it."""
    body = plain(fields).get("file")
    if not isinstance(body, dict) or not isinstance(body.get("id"), str):
        return []
    if call.parent is None:
        return [_record(call, FILE, body, {"body": body})]
    return [child_of(call.parent, FILE, body["id"], data={"body": body}, expires_at=expiry(body))]


def output_of(batch: Owned, file_id: str) -> NewObject:
    """Return the record of a batch's output or error file: the batch's owner has it. More is known when it is read."""
    body = {"id": file_id, "object": "file", "purpose": "batch_output"}
    return child_of(batch, FILE, file_id, parent_id=batch.object_id, data={"body": body})


def plain(fields: Fields) -> dict[str, Any]:
    """Return an answer as plain data, without what the gateway adds to it."""
    return {name: msgspec.json.decode(raw) for name, raw in fields.items()}


def expiry(body: dict[str, Any]) -> datetime | None:
    """Return when the upstream lets go of an object, as its body says."""
    moment = body.get("expires_at")
    return datetime.fromtimestamp(moment, UTC) if isinstance(moment, int) and moment > 0 else None


def stored_body(row: OwnedObject) -> dict[str, Any]:
    """Return the last known body of a record's object."""
    body = row.data.get("body")
    return body if isinstance(body, dict) else {"id": row.object_id, "object": row.kind}


def keep_body(account_name: str, object_id: str, body: dict[str, Any]) -> None:
    """Record what the upstream says of a file."""
    row = OwnedObject.objects.named(account_name, object_id).first()
    if row is not None:
        changed = {"data": {**row.data, "body": body}, "expires_at": expiry(body)}
        OwnedObject.objects.filter(pk=row.pk).update(**changed)


def unpaid_batch(account_name: str, batch_id: str) -> bool:
    """Whether a batch's cost is still to be counted."""
    return OwnedObject.objects.named(account_name, batch_id).unfinished().exists()


def _record(call: Call, kind: str, body: dict[str, Any], data: dict[str, Any]) -> NewObject:
    assert call.target is not None  # an answer came, so a target gave it
    return new_object(
        call.caller,
        call.target.account.name,
        kind,
        body["id"],
        metadata=call.options.metadata,
        state=str(body.get("status") or "")[:32],
        data=data,
        expires_at=expiry(body),
    )


CREATED = Creates(FILE, file_of)
UPLOAD_CREATED = Creates(UPLOAD, upload_of)
PART_CREATED = Creates(PART, part_of)
UPLOAD_COMPLETED = Creates(FILE, completed_of)
