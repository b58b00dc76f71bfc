"""What an endpoint does, as a row: its name in records, what a model needs for it, what its answers create and how they
end.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.models import NewObject

HEARD, SPOKEN = "heard", "spoken"
Fields = Mapping[str, msgspec.Raw]
# Their first argument is the call. A call knows its operation, so naming the type here would be a circle.
Maker = Callable[[Any, Fields], list[NewObject]]
Listener = Callable[[Any, Fields], Awaitable[None]]
Units = Callable[[Any], dict[str, int]]


@dataclass(frozen=True, slots=True)
class Creates:
    """What a good answer creates. ``kind`` names the object that it is about.

    ``records`` reads an answer, or an event of its stream, and returns the records of what it created. ``listen`` is
    given each event of a stream whose call is charged later.
    """

    kind: str
    records: Maker
    listen: Listener | None = None


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """What makes a stream whole. Without a row of this kind, any end of a stream is a proper end.

    ``types`` are the values of an event's ``type`` (or of its ``event:`` line) one of which ends it; ``choices``: every
    choice that was asked for must come to a finish reason, which ``reasons`` announce; ``done``: ``[DONE]`` is an
    end of its own.
    """

    types: frozenset[str] = frozenset()
    choices: bool = False
    done: bool = False
    reasons: tuple[bytes, ...] = (b'"finish_reason"',)


@dataclass(frozen=True, slots=True)
class Operation:
    """What an endpoint does.

    ``name`` appears in records; ``model_type`` is the capability that a model needs for it (empty: the call names no
    model); ``path`` the upstream's path; ``creates`` what a good answer creates (``None``: nothing); ``ends`` what
    makes a stream whole. ``units`` counts what is billed by the request itself, for example characters to be spoken; it
    is called when the answer is complete. ``charges`` is false where the usage in an answer is not this call's to pay:
    it was paid for before, or will be. ``door`` is the dialect that callers speak here, empty for whatever the vendor
    speaks; ``converts`` is false where nothing is between it and another dialect, as for sockets. ``raw`` says that a
    good answer is a file: its bytes go on as they are, whatever its content type says. ``unnamed`` says that OpenAI
    asks for no model here: a call that names none goes to the account's default. ``audio`` is the side whose audio is
    measured, should the vendor report no usage: ``heard`` in an upload, or ``spoken`` in the answer.

    Where a call names no model, its account is chosen by what the operation needs: ``ability`` is what the account's
    vendor must offer (``ability_required``: also of an account that is named), ``account_type`` the type of which the
    account must have a model that the caller may call, ``resource`` the switch that must be open.
    """

    name: str
    model_type: str
    path: str
    creates: Creates | None = None
    ends: StreamEnd | None = None
    units: Units | None = None
    charges: bool = True
    raw: bool = False
    door: str = "openai"
    converts: bool = True
    unnamed: bool = False
    audio: str = ""
    ability: str = ""
    ability_required: bool = True
    account_type: str = ""
    resource: str = ""
