"""Where a pass-through path lies in the table of resources, and which operation it is."""

from dataclasses import dataclass

from gateway.call.operation import Operation
from gateway.objects import operations, ownership
from gateway.objects.resource_table import RUN, SESSION, Resource
from gateway.objects.resources import creates

OPERATION_CHARACTERS = 64
VERBS = {"POST": "create", "GET": "list", "DELETE": "delete"}
OBJECT_VERBS = {"POST": "update", "GET": "retrieve", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path below a row leads: ``root`` is the object that it belongs to, ``word`` what is done there.

    ``word`` is empty for the collection itself, and ``None`` for an object. ``shape`` is the path with its ids left
    out.
    """

    segments: tuple[str, ...]
    root: str
    action: str
    word: str | None
    shape: tuple[str, ...]


def place_of(row: Resource, rest: str) -> Place:
    """Resolve the path below a row.

    Raises :class:`~gateway.call.errors.NotFound` for what can't be part of an address.
    """
    segments = tuple(ownership.check_id(segment) for segment in rest.split("/") if segment)
    action = segments[0] if segments and segments[0] in row.actions else ""
    ids = 1 if action else 0  # ids and words alternate
    root = segments[ids] if len(segments) > ids else ""
    shape = tuple("{id}" if index % 2 == ids else segment for index, segment in enumerate(segments))
    word = "" if not segments else None if shape[-1] == "{id}" else segments[-1]
    return Place(segments, root, action, word, shape)


def operation_of(row: Resource, place: Place, method: str) -> Operation:
    """Return what a method does at a place: its name in records, what it makes and what it costs."""
    words = [word for word in place.shape if word != "{id}"]
    verbs = OBJECT_VERBS if place.word is None else VERBS
    name = ".".join([row.kind or row.path.replace("/", "."), *words, verbs.get(method, method.lower())])
    billed = row.bills.get(place.word) if method == "POST" and place.word is not None else None
    makes = ""
    if method == "POST" and not place.segments:
        makes = row.kind
    elif method == "POST" and place.action and len(place.segments) == 1:
        makes = row.actions[place.action]
    elif method != "DELETE" and place.root and (place.word or "") in row.shows:
        makes = SESSION
    elif method == "POST" and place.word and len(place.segments) == 2:
        makes = row.makes.get(place.word, "")
    return Operation(
        name[:OPERATION_CHARACTERS],
        billed or "",
        row.path,
        creates=creates(makes),
        ends=operations.RUN_END if row.makes.get("runs") == RUN and billed else None,
        charges=billed is not None,
        raw=method == "GET" and place.word == "content",
        resource=row.switch,
        unnamed=row.unnamed and billed is not None and not place.segments,
    )
