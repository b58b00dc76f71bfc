"""What an operator does to an installation, through the tables: the functions that ``Installation.do`` calls by name.

They run in the operator's process (``tests.support.operator_process``), which has the installation's settings.
Arguments and results are plain data.
"""

import asyncio
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from datetime import datetime, timedelta
from ipaddress import ip_network
from threading import Barrier
from typing import Any

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from axes.models import AccessAttempt
from django.conf import settings
from django.core.management import call_command, execute_from_command_line
from django.db import connection, transaction
from django.db.models import F, QuerySet
from django.forms.models import model_to_dict
from django.utils import timezone

from accounts import two_factor as app_codes
from accounts.changes import announce
from accounts.database_clock import database_now
from accounts.models import ApiToken, AuditEntry, Membership, Team, User, VirtualAccount
from alerts.models import Alert, Channel, Incident
from batches import table
from batches.models import LineResult
from gateway.jobs import engine, leases
from gateway.jobs import table as gateway_table
from gateway.models import KeptAnswer, KeptResponse, NewObject, Owned, OwnedObject
from gateway.objects.job_kinds import STEERED
from gateway.objects.store import Objects
from providers.models import Alias, Grant, Model, ModelSubject, ProviderAccount, keep_former_name
from providers.vendors import VENDORS
from rules.models import Budget, RateLimit, RoutingRule
from usage.models import LoggedCall, UsageRecord
from usage.request_log import sealed_body, unseal


def manage(*arguments: str) -> str:
    """Run a management command and return what it printed on standard output."""
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=io.StringIO())
    return out.getvalue()


def command(*arguments: str) -> tuple[int, str, str]:
    """Run ``manage.py`` with these arguments; return its exit code, and what it wrote on standard output and error."""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    code = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            execute_from_command_line(["manage.py", *arguments])
        except SystemExit as end:
            code = int(end.code or 0)
    written, complained = (stream.buffer.getvalue().decode() for stream in (out, err))
    return code, written, complained


def token(name: str, limits: list[str] | None = None, **owner: str) -> str:
    """Create a token (``user=`` or ``virtual_account=``) with the command for it and return it."""
    options = [f"--{key.replace('_', '-')}={value}" for key, value in owner.items()]
    options += [f"--limit={limit}" for limit in limits or []]
    return manage("create_token", f"--name={name}", *options).strip()


def change_account(name: str, **fields: Any) -> None:
    """Change columns of an account as the admin does: read, set, save."""
    row = ProviderAccount.objects.get(name=name)
    for field, value in fields.items():
        setattr(row, field, value)
    row.full_clean()
    row.save()


def change_keys(name: str, keys: dict[str, str]) -> None:
    """Enter some of an account's keys, by name."""
    row = ProviderAccount.objects.get(name=name)
    row.change_keys(keys)
    row.save()


def rename(name: str, new: str) -> None:
    """Rename an account, or a model ``account/model``, and keep its old name, as the console does."""
    row = _model(name) if "/" in name else ProviderAccount.objects.get(name=name)
    old, row.name = row.name, new
    row.full_clean()
    row.save()
    account, model = (row.account, row) if isinstance(row, Model) else (row, None)
    keep_former_name(account, model, old)


def forget_name(name: str) -> None:
    """Delete an alias."""
    Alias.objects.get(name=name).delete()


def make_strange(name: str) -> None:
    """Give an account a kind that this version does not know."""
    _rewrite(name, kind="of-the-future")


def delete_rows(name: str) -> None:
    """Delete an account without looking at it."""
    ProviderAccount.objects.filter(name=name).delete()


def move_account(name: str, base_url: str) -> None:
    """Let an account point where no form would let it: as a name that is moved to another address does."""
    _rewrite(name, base_url=base_url)


def store_unchecked(name: str, **columns: Any) -> None:
    """Change columns of an account past every check: as they were stored before there was one."""
    _rewrite(name, **columns)


def move_past_the_rules(name: str, base_url: str) -> None:
    """Change an account's address and nothing beside it, as another program could."""
    QuerySet.update(ProviderAccount.objects.filter(name=name), base_url=base_url)
    announce("providers.provideraccount")


def store_as_before(name: str, **columns: Any) -> None:
    """Change columns of an account as the previous release does: it knows of no seal."""
    QuerySet.update(ProviderAccount.objects.filter(name=name), **columns)
    announce("providers.provideraccount")


def account_key(name: str) -> int:
    """Return an account's primary key."""
    return ProviderAccount.objects.values_list("pk", flat=True).get(name=name)


def stored_address(name: str) -> tuple[str, str]:
    """Return an account's address and the key that is stored beside it."""
    row = ProviderAccount.objects.get(name=name)
    return row.base_url, row.api_key


def people(emails: dict[str, str], password: str) -> None:
    """Make the people of the walk over roles."""
    for role, email in emails.items():
        User.objects.create_user(email, password, is_superuser=role == "superuser", is_auditor=role == "auditor")


def role_objects(role: str, manager: str, member: str) -> dict[str, dict[str, Any]]:
    """Make what a role walks over: one that ``manager`` manages and one that not, of each kind. Return ids."""
    from tests.console.conftest import seed  # it needs pytest, which operations otherwise don't

    found = {}
    for which, managed_by in (("mine", _user(manager)), ("other", None)):
        rows = seed(f"{role}-{which}", managed_by, _user(member))
        ids = {name: str(row.pk) for name, row in rows.items()}
        limit = RateLimit(form="gateway-rate-limiting-config", group="walk", name=f"{role}-{which}")
        limit.effect = {"limits": {"requests_per_minute": 1000}}
        limit.save()
        names = {"model_name": rows["model"].public_name, "user": _user(f"{role}-{which}@example.com").pk}
        names["limit"], names["request"] = limit.pk, rows["usage"].request_id
        routing = RoutingRule(form="gateway-fallback-config", group="walk", name=f"{role}-{which}")
        routing.effect = {"fallback": {"models": [{"target": "nowhere/m"}]}}
        routing.save()
        names["routing"] = routing.pk
        names["channel"] = Channel.objects.create(name=f"{role}-{which}", kind="email", channel_address="a@x.com").pk
        alert = Alert.objects.create(name=f"{role}-{which}", kind="spool", threshold=1)
        names["alert"], names["incident"] = alert.pk, Incident.objects.create(alert=alert, subject="x", value=1).pk
        found[which] = ids | names
    return found


def limited() -> None:
    """Make a rate limit and a budget of each user, both roomy."""
    limit = RateLimit(form="tenant-rate-limit-config/model", name="roomy")
    limit.effect = {"limits": {"requests_per_hour": 200}, "per": ["user"]}
    limit.save()
    Budget(form="tenant-budget-config", name="plenty", effect={"limits": {"cost_per_day": 100}, "per": ["user"]}).save()


def changes_by(email: str) -> list[dict[str, Any]]:
    """Return what the audit log has of a person's changes."""
    return list(AuditEntry.objects.filter(actor=email).values("action", "object_type", "object_id", "account", "team"))


def person(email: str, password: str, **fields: Any) -> None:
    """Make a user who may sign in with a password."""
    User.objects.create_user(email, password, **fields)


def two_factor(email: str) -> list[str]:
    """Turn a person's two-factor sign-in on; return their recovery codes."""
    person, seed = User.objects.get(email=email), app_codes.new_seed()
    return app_codes.turn_on(person, seed, format_hotp_value(hotp_value(seed, int(time.time()) // 30))) or []


def wrong_passwords(email: str, network: str, count: int) -> None:
    """Count wrong passwords of a person, each from another address of a network."""
    addresses = [str(address) for address in list(ip_network(network).hosts())[:count]]
    AccessAttempt.objects.bulk_create(
        [
            AccessAttempt(username=email, ip_address=address, user_agent="", failures_since_start=1)
            for address in addresses
        ]
    )


def fill_sign_ins(count: int) -> int:
    """Count wrong passwords of so many people; return how many rows there are."""
    AccessAttempt.objects.bulk_create(
        [
            AccessAttempt(username=f"{number}", ip_address="192.0.2.1", user_agent="", failures_since_start=1)
            for number in range(count)
        ],
        batch_size=100,
    )
    return sign_in_rows()


def sign_in_rows() -> int:
    """Return how many rows of wrong passwords there are."""
    return AccessAttempt.objects.count()


def age_sign_ins(minutes: float) -> None:
    """Let all wrong passwords be older."""
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=minutes))


def stored_key(account: str) -> str:
    """Return the key that is stored for an account."""
    return ProviderAccount.objects.get(name=account).api_key


def delete_account(name: str) -> None:
    """Delete an account with its models."""
    ProviderAccount.objects.get(name=name).delete()


def add_model(name: str, **columns: Any) -> None:
    """Add a chat model ``account/model``."""
    account_name, _, model_name = name.partition("/")
    parent = ProviderAccount.objects.get(name=account_name)
    row = Model(account=parent, name=model_name, model_types=["chat"], **columns)
    row.full_clean()
    row.save()


def change_model(name: str, **columns: Any) -> None:
    """Change columns of a model as the admin does: read, set, save."""
    row = _model(name)
    for column, value in columns.items():
        setattr(row, column, value)
    row.full_clean()
    row.save()


def delete_model(name: str) -> None:
    """Delete the model ``account/model``."""
    _model(name).delete()


def narrow(name: str, subject: str) -> None:
    """Narrow a model to a subject."""
    ModelSubject(model=_model(name), **_subject(subject)).save()


def grant(account: str, subject: str, role: str = "user") -> None:
    """Give a role on an account to ``user:MAIL``, ``team:NAME``, ``virtualaccount:NAME`` or ``everyone``."""
    Grant(account=ProviderAccount.objects.get(name=account), role=role, **_subject(subject)).save()


def ungrant(account: str, subject: str) -> None:
    """Take every role on an account from a subject."""
    Grant.objects.filter(account__name=account, **_subject(subject)).delete()


def team(name: str, members: list[str]) -> None:
    """Make a team of users, by e-mail address."""
    made = Team.objects.create(name=name)
    for email in members:
        Membership.objects.create(team=made, user=_user(email))


def team_key(name: str) -> int:
    """Return a team's key."""
    return Team.objects.get(name=name).pk


def join_team(name: str, email: str) -> None:
    """Take a user into a team."""
    Membership.objects.create(team=Team.objects.get(name=name), user=_user(email))


def leave_team(name: str, email: str) -> None:
    """Take a user out of a team."""
    Membership.objects.get(team__name=name, user__email=email).delete()


def user(email: str, **fields: Any) -> None:
    """Make or change a user."""
    row = _user(email)
    for field, value in fields.items():
        setattr(row, field, value)
    row.save()


def deactivate(email: str) -> None:
    """Disable a user."""
    user(email, is_active=False)


def virtual_account(name: str, **fields: Any) -> None:
    """Make or change a virtual account."""
    row = VirtualAccount.objects.get_or_create(name=name)[0]
    for field, value in fields.items():
        setattr(row, field, value)
    row.full_clean()
    row.save()


def revoke(name: str) -> None:
    """Revoke every token of that name."""
    ApiToken.objects.filter(name=name).revoke()


def revoke_late(name: str, bystander: str, seconds: float = 0.6) -> None:
    """Revoke in a transaction that commits after another one that began later, where the database lets two write."""
    if connection.vendor == "sqlite":
        revoke(name)
        return
    with transaction.atomic():
        revoke(name)
        other = threading.Thread(target=_touch, args=(bystander,))
        other.start()
        other.join()
        time.sleep(seconds)


def _touch(email: str) -> None:
    user(email, first_name=str(time.time()))
    connection.close()


def delete_token(name: str) -> None:
    """Delete every token of that name."""
    ApiToken.objects.filter(name=name).delete()


def expire(name: str, seconds_ago: float = 1) -> None:
    """Let every token of that name expire."""
    ApiToken.objects.filter(name=name).update(expires_at=timezone.now() - timedelta(seconds=seconds_ago))


def last_used(name: str) -> str | None:
    """Return when a token was last used, as ISO text."""
    moment = ApiToken.objects.get(name=name).last_used_at
    return moment.isoformat() if moment else None


def records(**filters: Any) -> list[dict[str, Any]]:
    """Return usage records, oldest attempt first, as plain data."""
    found = UsageRecord.objects.filter(**filters).order_by("created_at", "attempt_number")
    return [{**model_to_dict(row), "id": str(row.pk), "created_at": row.created_at.isoformat()} for row in found]


def logged_bodies(request_id: str) -> dict[str, Any] | None:
    """Return what the request log has of a call."""
    row = LoggedCall.objects.filter(pk=request_id).first()
    if row is None:
        return None
    sealed = {side: sealed_body(row, side) for side in ("request", "response")}
    return {
        **{name: getattr(row, name) for name in ("account", "subject_type", "request_bytes", "response_bytes")},
        "object": row.object_name,
        **{side: unseal(each) for side, each in sealed.items()},
        "sealed": sealed["request"].hex(),
    }


def owned(**filters: Any) -> list[dict[str, Any]]:
    """Return the records of owned objects, oldest first, as plain data; moments as ISO strings."""
    found = OwnedObject.objects.filter(**filters).order_by("pk")
    return [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        for row in found.values()
    ]


def own(object_id: str, kind: str, account: str, email: str) -> None:
    """Record that a user owns an object, as if a call had made it."""
    owner = _user(email)
    teams = [f"team:{team_id}" for team_id in owner.memberships.values_list("team_id", flat=True)]
    names = {"account_name": account, "owner_key": f"user:{owner.pk}", "owner_name": email, "team_keys": teams}
    OwnedObject(object_id=object_id, kind=kind, **names).save()


def commit_together(count: int) -> dict[str, Any]:
    """Store ``count`` records at once, and the first of them again for someone else.

    Return how many went into each commit, and who owns the first.
    """
    commits: list[int] = []

    class Counting(Objects):
        def _commit(self, batch: Any) -> None:
            commits.append(len(batch))
            super()._commit(batch)

    def made(number: int, owner: str) -> list[NewObject]:
        return [NewObject(f"together_{number}", "nowhere", "response", owner, owner)]

    async def store(door: Objects) -> tuple[list[list[Owned]], list[Owned]]:
        waiting = [door.submit(made(number, "user:1")) for number in range(count)]
        stored = [await asyncio.wait_for(done, 30) for done in waiting]
        return stored, await asyncio.wait_for(door.submit(made(0, "user:2")), 30)

    door = Counting()
    stored, again = asyncio.run(store(door))
    door.close()
    OwnedObject.objects.filter(account_name="nowhere").delete()
    return {"commits": commits, "stored": sum(map(len, stored)), "owner": again[0].owner_key}


def age_objects(seconds: float, **filters: Any) -> int:
    """Let owned objects be older: all of their moments move back. Return how many there were."""
    changed = 0
    for row in OwnedObject.objects.filter(**filters):
        moments = ("created_at", "expires_at", "deleted_at", "due_at", "lease_until")
        moved = {name: getattr(row, name) - timedelta(seconds=seconds) for name in moments if getattr(row, name)}
        changed += OwnedObject.objects.filter(pk=row.pk).update(**moved)
    return changed


def age_kept_responses(seconds: float) -> int:
    """Let what responses hold expire so much sooner. Return how many there are."""
    return KeptResponse.objects.update(expires_at=F("expires_at") - timedelta(seconds=seconds))


def age_kept_answers(seconds: float) -> int:
    """Let kept answers expire, and leases of calls with a key end, so much sooner. Return how many there are."""
    earlier = timedelta(seconds=seconds)
    KeptAnswer.objects.exclude(leased_until=None).update(leased_until=F("leased_until") - earlier)
    return KeptAnswer.objects.update(expires_at=F("expires_at") - earlier)


def kept_answers() -> list[str]:
    """Return the rows of kept answers, as text."""
    return [str(row) for row in KeptAnswer.objects.values_list()]


def make_due(object_id: str) -> None:
    """Let a job poll an object now, whatever was decided about it."""
    OwnedObject.objects.filter(object_id=object_id).update(due_at=timezone.now() - timedelta(seconds=1))


def poll_background(threads: int = 1, lease_seconds: float | None = None) -> int:
    """Let ``threads`` pollers take due background responses at once; return how many they took together.

    With ``lease_seconds`` a lease lasts so long, a negative one makes every poller take what another one has.
    """
    lease = settings.JOB_LEASE_SECONDS
    if lease_seconds is not None:
        settings.JOB_LEASE_SECONDS = lease_seconds
    gate = Barrier(threads)

    def poll(_: int) -> int:
        try:
            gate.wait(10)
            return gateway_table.run_due()
        finally:
            connection.close()

    try:
        with ThreadPoolExecutor(threads) as pool:
            return sum(pool.map(poll, range(threads)))
    finally:
        settings.JOB_LEASE_SECONDS = lease


def settle_background() -> None:
    """Let nothing wait for its charge."""
    OwnedObject.objects.filter(kind__in=gateway_table.JOBS).update(due_at=None)


def due_in(object_id: str, seconds: float = 0) -> None:
    """Let a job be polled in ``seconds``."""
    due = timezone.now() + timedelta(seconds=seconds)
    OwnedObject.objects.filter(object_id=object_id).update(due_at=due, lease_until=None)


def hurry(object_id: str) -> None:
    """Let a job that is waiting be polled now."""
    waiting = OwnedObject.objects.filter(object_id=object_id, due_at__isnull=False, lease_until=None)
    waiting.update(due_at=timezone.now())


def is_due(object_id: str) -> bool:
    """Whether anything is left to do for a job."""
    return OwnedObject.objects.filter(object_id=object_id, due_at__isnull=False).exists()


def count_records(**filters: Any) -> int:
    """Return how many usage records there are."""
    return UsageRecord.objects.filter(**filters).count()


def line_results(batch_id: str) -> list[int]:
    """Return the numbers of the lines of a batch that have a result."""
    return list(LineResult.objects.filter(batch_id=batch_id).values_list("number", flat=True))


def claim_together(threads: int) -> list[int]:
    """Let ``threads`` workers claim what is due at once; return the keys of all that they got."""
    gate = Barrier(threads)

    def claim(_: int) -> list[int]:
        try:
            gate.wait(10)
            return [pk for pk, _ in leases.claim_due(100, STEERED)]
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return [pk for found in pool.map(claim, range(threads)) for pk in found]


def times() -> dict[str, float]:
    """Return how far this process's clock is ahead of the database's, in seconds."""
    return {"ahead": (timezone.now() - database_now()).total_seconds()}


def steal_a_claim() -> dict[str, Any]:
    """Let a claim run out and another worker claim the job; return what the first can still do with it."""
    (first,) = leases.claim_due(1, STEERED)
    lease = leases.Lease.take(*first)
    assert lease is not None
    due_in(lease.row.object_id)
    leases.claim_due(1, STEERED)
    try:
        lease.renew()
        renewed = "held"
    except leases.LeaseLost:
        renewed = "LeaseLost"
    return {"late": engine.follow(table.job_of, *first), "renewed": renewed, "released": lease.release(None)}


def seconds_until_due(object_id: str) -> float:
    """Return in how many seconds a job is polled next."""
    due = OwnedObject.objects.get(object_id=object_id).due_at
    assert due is not None
    return (due - timezone.now()).total_seconds()


def forget_connection() -> None:
    """Close the operator's own database connection."""
    connection.close()


def _rewrite(account: str, **columns: Any) -> None:
    """Change an account's columns past every rule of ours, as another program could, and announce it."""
    row = ProviderAccount.objects.filter(name=account)
    with transaction.atomic():
        QuerySet.update(row, **columns)
        if columns.get("kind") in (None, *VENDORS):
            _bind(row.get())
        announce("providers.provideraccount")


def _bind(row: ProviderAccount) -> None:
    """Take what is stored as entered for the present address."""
    row.bind_secrets()
    row.save()


def _model(name: str) -> Model:
    account_name, _, model_name = name.partition("/")
    return Model.objects.get(account__name=account_name, name=model_name)


def _user(email: str) -> User:
    found = User.objects.filter(email=email).first()
    return found or User.objects.create_user(email)


def _subject(name: str) -> dict[str, Any]:
    kind, _, value = name.partition(":")
    if kind == "everyone":
        return {"everyone": True}
    if kind == "user":
        return {"user": _user(value)}
    if kind == "team":
        return {"team": Team.objects.get(name=value)}
    return {"virtual_account": VirtualAccount.objects.get_or_create(name=value)[0]}
