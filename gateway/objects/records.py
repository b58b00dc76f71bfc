"""Records of owned objects: made for a call, and filtered by what a caller may see."""

from typing import Any

from accounts.caller import Caller
from gateway.models import NewObject, Owned


def new_object(caller: Caller, account_name: str, kind: str, object_id: str, **details: Any) -> NewObject:
    """Return the record of an object that ``caller`` made."""
    return NewObject(
        object_id=object_id,
        account_name=account_name,
        kind=kind,
        owner_key=caller.key,
        owner_name=caller.subject_name,
        team_keys=caller.team_keys,
        token_id=caller.token_id,
        **details,
    )


def visible(caller: Caller, owned: Owned, isolation: str) -> bool:
    """Whether ``caller`` may know of the object, under the account's ``isolation`` (``owner``, ``team``, ``account``).

    Whether the caller may use the account at all is asked elsewhere.
    """
    if owned.owner_key == caller.key or isolation == "account":
        return True
    if isolation == "team":
        return not set(caller.team_keys).isdisjoint(owned.team_keys)
    return False
