"""What goes on at the vendor after its call was answered is charged once, when it is over: background responses, runs of threads
and of evals. That it is over is found out by asking, not by whoever retrieves it.

A record that waits for its charge has ``due_at`` set. Whoever looks at it takes a lease with a conditional update, asks the
upstream, and either sets the next look or, in one transaction, writes the usage record and clears ``due_at``. The usage
record's id follows from account and response, so no number of lookers, crashes or repeats makes a second charge.
"""

import asyncio
import logging
import random
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import msgspec
from django.db import DEFAULT_DB_ALIAS, close_old_connections, connection, transaction
from django.db.models import Q
from django.utils import timezone
from fernet_fields.fields import DecryptionError

from gateway.directory.accounts import account_snapshot, unlisted_model
from gateway.jobs.charge import Look, charges
from gateway.models import Owned, OwnedObject
from gateway.objects.deferred import KIND, KINDS, RUN, RUNNING
from gateway.objects.store import objects
from providers.models import ProviderAccount
from providers.snapshot import Target
from providers.upstream.sync_client import CheckedClient, Unreachable
from usage import rows

logger = logging.getLogger("gateway.jobs.poll")

ASSISTANTS = {"openai-beta": "assistants=v2"}
WORKERS = 4
RUN_SECONDS = 20.0
"""A round takes no new response after this long; what is left stays due."""
LEASE = timedelta(seconds=120)
CONNECT_SECONDS = 10.0
READ_SECONDS = 30.0
MAX_ANSWER_BYTES = 64 * 2**20
PAUSE_SHARE = 0.25
"""The next look comes after this share of the response's age, within the two bounds below."""
SHORTEST_PAUSE_SECONDS = 2.0
LONGEST_PAUSE_SECONDS = 60.0
FAILURE_PAUSE_SECONDS = 5.0
LONGEST_FAILURE_PAUSE_SECONDS = 900.0
MISSED_TIMES = 3
"""A response that the upstream does not know so many times is gone."""
GIVE_UP = timedelta(days=3)

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def poll_due(limit: int = 50) -> int:
    """Look at up to ``limit`` responses that are due, charge those that are over, and return how many were looked at.

    Any number of processes may call it at once. It ends after about ``RUN_SECONDS``, and raises ``django.db.Error`` only.
    """
    started, looked = time.monotonic(), 0
    waiting = due_responses(limit)
    if not waiting:
        return 0
    with ThreadPoolExecutor(WORKERS, thread_name_prefix="gatehouse-looks") as pool:
        while waiting and time.monotonic() - started < RUN_SECONDS:
            taken = [row for row in map(claim, waiting[:WORKERS]) if row is not None]
            del waiting[:WORKERS]
            targets = [_target(row) for row in taken]
            for row, target, look in zip(taken, targets, pool.map(_look, taken, targets), strict=True):
                _take_in(row, target, look)
            looked += len(taken)
    return looked


def due_responses(limit: int) -> list[int]:
    """Return the keys of responses that are due and not leased, those that wait longest first."""
    now = timezone.now()
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    due = OwnedObject.objects.filter(free, kind__in=KINDS, due_at__lte=now)
    return list(due.order_by("due_at").values_list("pk", flat=True)[:limit])


def claim(pk: int) -> OwnedObject | None:
    """Take the lease on a due response and return it; ``None`` when somebody else was quicker."""
    now = timezone.now()
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    if not OwnedObject.objects.filter(free, pk=pk, due_at__lte=now).update(lease_until=now + LEASE):
        return None
    return OwnedObject.objects.get(pk=pk)


async def settle(owned: Owned) -> None:
    """Charge a background response that is about to be deleted; one that still runs is cancelled first."""
    if owned.kind == KIND and await objects.run(_unsettled, owned) is not None:
        await asyncio.to_thread(_settle_now, owned)


def _unsettled(owned: Owned) -> OwnedObject | None:
    known = OwnedObject.objects.filter(object_id=owned.object_id, account_name=owned.account_name)
    return known.filter(kind=KIND, due_at__isnull=False).first()


def _settle_now(owned: Owned) -> None:
    close_old_connections()
    try:
        row = _unsettled(owned)
        if row is None:
            return
        target = _target(row)
        look = _look(row, target)
        if look.state in RUNNING:
            look = _look(row, target, cancel=True)
        _take_in(row, target, look)
    finally:
        connection.close()


# --- asking ---------------------------------------------------------------------------------------------------------------
def _target(row: OwnedObject) -> Target | None:
    """Return where the response lives and what its model costs now; ``None`` when the account is gone or can't be read."""
    try:
        account = ProviderAccount.objects.filter(name=row.account_name).first()
        if account is None:
            return None
        snapshot = account_snapshot(account, list(account.models.prefetch_related("subjects")), [])
    except (DecryptionError, LookupError, TypeError, ValueError) as error:
        logger.error(
            "Account %s can't be read (%s): its background responses wait.", row.account_name, type(error).__name__
        )
        return None
    upstream_model = str(row.data.get("upstream_model", ""))
    model = snapshot.models.get(row.model_name.partition("/")[2]) or snapshot.upstream_ids.get(upstream_model.lower())
    return Target(snapshot, model or unlisted_model(snapshot, upstream_model))


def _look(row: OwnedObject, target: Target | None, cancel: bool = False) -> Look:
    answer = row.data.get("answer")
    if answer:
        return Look(200, {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in answer.items()})
    if target is None:
        return Look(0, {}, "the provider account is gone, or its key can't be read")
    account = target.account
    client = CheckedClient(
        account.url + "/",
        {**(ASSISTANTS if row.kind == RUN else {}), **{name.lower(): value for name, value in account.headers}},
        connect_timeout=min(account.connect_timeout, CONNECT_SECONDS),
        read_timeout=min(account.read_timeout, READ_SECONDS),
        max_bytes=MAX_ANSWER_BYTES,
    )
    path = KINDS[row.kind][0].format(id=row.object_id, parent=row.parent_id)
    try:
        with client:
            answer = client.call("POST", f"{path}/cancel") if cancel else client.call("GET", path)
    except Unreachable as error:
        return Look(0, {}, str(error))
    if answer.status != 200:
        return Look(answer.status, {}, f"the upstream answered {answer.status}")
    try:
        return Look(answer.status, _fields.decode(answer.body))
    except (ValueError, RecursionError):
        return Look(answer.status, {}, "the upstream's answer is no response, or too large")


# --- what follows from it ---------------------------------------------------------------------------------------------------
def _take_in(row: OwnedObject, target: Target | None, look: Look) -> None:
    age = timezone.now() - row.created_at
    missed = row.failures + 1
    if look.over:
        _charge(row, target, look)
    elif look.state in RUNNING:
        pause = min(max(age.total_seconds() * PAUSE_SHARE, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
        _look_again(row, pause, state=look.state, failures=0, fault="")
    elif (look.status == 404 and missed >= MISSED_TIMES) or age > GIVE_UP:
        logger.error("%s can't be charged: %s.", row.object_id, look.fault)
        _charge(row, target, look)
    else:
        pause = min(FAILURE_PAUSE_SECONDS * 2 ** min(row.failures, 10), LONGEST_FAILURE_PAUSE_SECONDS)
        _look_again(row, pause, failures=missed, fault=(look.fault or "the answer has no status")[:300])


def _look_again(row: OwnedObject, pause: float, **changes: object) -> None:
    now = timezone.now()
    due = now + timedelta(seconds=pause * random.uniform(0.8, 1.2))
    waiting = OwnedObject.objects.filter(pk=row.pk, due_at__isnull=False)
    waiting.update(due_at=due, lease_until=None, updated_at=now, **changes)


def _charge(row: OwnedObject, target: Target | None, look: Look) -> None:
    """Write what the response used, and that this is done: both or neither, and only once."""
    lines = [msgspec.json.encode(record) for record in charges(row, target, look)]
    now = timezone.now()
    state = look.state[:32] or "unknown"
    with transaction.atomic():
        waiting = OwnedObject.objects.filter(pk=row.pk, due_at__isnull=False)
        done = waiting.update(due_at=None, lease_until=None, state=state, fault=look.fault[:300], updated_at=now)
        if done and rows.store(lines, DEFAULT_DB_ALIAS, _no_pause):
            logger.error("A usage record of %s can't be stored.", row.object_id)


def _no_pause() -> None:
    """One record is stored without giving way."""


# --- where no other scheduler runs ------------------------------------------------------------------------------------------
