"""Lists of owned objects: a page of what a caller may see, in OpenAI's paging, answered from our own records."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from accounts.caller import Caller
from accounts.numbers import whole_number
from gateway.access import accounts, grants
from gateway.call.errors import Forbidden, InvalidRequest
from gateway.call.operation import Operation
from gateway.call.request import InferenceRequest
from gateway.models import Owned, OwnedObject
from gateway.objects.records import visible
from gateway.objects.store import objects
from providers.snapshot import AccountSnapshot

CHUNK_ROWS = 200
MAX_SCANNED_ROWS = 20_000
SCOPE_HEADER = b"x-gatehouse-scope"


@dataclass(frozen=True, slots=True)
class Page:
    """What a list's query asks for. ``after`` and ``before`` are ids of the list."""

    limit: int = 20
    order: str = "desc"
    after: str = ""
    before: str = ""


def read_page(query: Mapping[str, Any], *, default: int = 20, most: int = 100) -> Page:
    """Read OpenAI's paging parameters; raise :class:`InvalidRequest` that names a bad one."""
    limit = whole_number(str(query.get("limit") or default), most)
    if not limit:
        raise InvalidRequest(f"'limit' must be a number from 1 to {most}.", param="limit")
    order = str(query.get("order") or "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest("'order' must be 'asc' or 'desc'.", param="order")
    return Page(limit, order, str(query.get("after") or ""), str(query.get("before") or ""))


def asks_for_all(request: InferenceRequest, caller: Caller, account: AccountSnapshot) -> bool:
    """Whether ``x-gatehouse-scope: account`` asks for all owners' objects; raise :class:`Forbidden` to callers who may
    not."""
    scope = request.raw_headers.get(SCOPE_HEADER, b"").decode("latin1").strip()
    if scope not in ("", "own", "account"):
        raise InvalidRequest("x-gatehouse-scope is 'own' or 'account'.", param="x-gatehouse-scope")
    if scope == "account" and not grants.manages(caller, account):
        raise Forbidden(
            f"Only managers of the provider account {account.name!r} may list all owners' objects.",
            param="x-gatehouse-scope",
        )
    return scope == "account"


async def account_of_list(
    request: InferenceRequest, caller: Caller, operation: Operation, named: str, kind: str
) -> AccountSnapshot:
    """Return the account that a list is of: the one that is ``named``, else the only one with objects of the caller's.

    Without any, all lists are as empty as the first one that fits, but for those that the upstream has of an account
    without isolation. Raises as :func:`~gateway.access.accounts.choose_account` does, also when several have some.
    """
    found = [] if named or SCOPE_HEADER in request.raw_headers else accounts.able(caller, operation)
    if len(found) < 2:
        return accounts.choose_account(caller, operation, named)
    held = [account for account in found if (await list_owned(caller, account, kind, Page(limit=1)))[0]]
    if not held and operation.resource and any(account.isolation == "account" for account in found):
        return accounts.choose_account(caller, operation)
    if len(held) > 1:
        raise accounts.not_clear(operation, held)
    return accounts.choose_account(caller, operation, (held or accounts.fitting(caller, operation))[0].name)


async def list_owned(
    caller: Caller,
    account: AccountSnapshot,
    kind: str,
    page: Page,
    *,
    everybody: bool = False,
    conditions: Sequence[Any] = (),
    **filters: Any,
) -> tuple[list[OwnedObject], bool]:
    """Return a page of the objects of ``kind`` that ``caller`` may see on ``account``, and whether there are more.

    ``everybody``: of all owners. ``conditions`` and ``filters`` are further column filters. An ``after`` or ``before``
    that the caller may not see is an :class:`InvalidRequest`."""
    rows = OwnedObject.objects.filter(*conditions, account_name=account.name, kind=kind, deleted_at=None, **filters)
    isolation = "account" if everybody else account.isolation
    found: tuple[list[OwnedObject], bool] = await objects.run(_page, caller, isolation, page, rows)
    return found


def list_body(data: list[Any], has_more: bool) -> dict[str, Any]:
    """Return OpenAI's list object for ``data``, whose entries have an ``id``."""
    ids = [entry["id"] for entry in data]
    return {
        "object": "list",
        "data": data,
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": has_more,
    }


def _page(caller: Caller, isolation: str, page: Page, rows: "QuerySet[OwnedObject]") -> tuple[list[OwnedObject], bool]:
    if isolation == "owner":
        rows = rows.filter(owner_key=caller.key)
    descending = page.order == "desc"
    for cursor, name in ((page.after, "after"), (page.before, "before")):
        if cursor:
            known = rows.filter(object_id=cursor).first()
            if known is None or not _seen(caller, isolation, known):
                raise InvalidRequest(f"{name!r} names no object of this list: {cursor[:200]!r}.", param=name)
            older = (name == "after") == descending
            rows = rows.filter(pk__lt=known.pk) if older else rows.filter(pk__gt=known.pk)
    taken: list[OwnedObject] = []
    for row in _scan(rows, descending):
        if _seen(caller, isolation, row):
            taken.append(row)
            if len(taken) > page.limit:
                return taken[:-1], True
    return taken, False


def _scan(rows: "QuerySet[OwnedObject]", descending: bool) -> Iterator[OwnedObject]:
    """Yield ``rows`` by key, a chunk at a time, so that no long list is held."""
    scanned, last = 0, None
    while scanned < MAX_SCANNED_ROWS:
        chunk = rows if last is None else rows.filter(pk__lt=last) if descending else rows.filter(pk__gt=last)
        found = list(chunk.order_by("-pk" if descending else "pk")[:CHUNK_ROWS])
        yield from found
        if len(found) < CHUNK_ROWS:
            return
        scanned, last = scanned + len(found), found[-1].pk


def _seen(caller: Caller, isolation: str, row: OwnedObject) -> bool:
    owned = Owned(row.object_id, row.account_name, row.kind, row.owner_key, tuple(row.team_keys))
    return visible(caller, owned, isolation)
