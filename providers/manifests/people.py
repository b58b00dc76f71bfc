"""Writing users, teams and virtual accounts as manifests want them, and finding the subjects that others name."""

import difflib
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db.models import Model as DjangoModel

from accounts.models import Membership, Team, User, VirtualAccount
from providers.manifests.cost import same_price
from providers.manifests.place import Place, Reading
from providers.manifests.plan import Change, Plan
from providers.manifests.wanted import EVERYONE, Wanted, WantedTeam, WantedUser, WantedVirtualAccount
from providers.models import Model

UNORDERED = {"model_types", "features", "open_resources", "proxy_paths"}
# Where a manifest writes what a table keeps under another name.
PATHS = {
    "upstream_id": "model_id",
    "private_price": "cost.value",
    "price_source": "cost",
    "display_name": "displayName",
    "__all__": "",
}


@dataclass(slots=True)
class Run:
    """One application of manifests: the plan so far, and the subjects that are known.

    Once there is a fault nothing more is saved, but all is still judged, so that every fault is reported.
    """

    reading: Reading
    plan: Plan
    users: dict[str, User] = field(default_factory=dict)
    teams: dict[str, Team | None] = field(default_factory=dict)
    virtual_accounts: dict[str, VirtualAccount | None] = field(default_factory=dict)
    virtual_models: list[tuple[Model, Place]] = field(default_factory=list)
    """Those that are written, and where they are in the manifests: their targets are judged once all are."""

    new_accounts: list[tuple[str, Place]] = field(default_factory=list)
    """Those that are added: who names them already is judged at the end."""

    def save(self, thing: DjangoModel, where: Place, *, exclude: set[str] | None = None) -> None:
        """Check ``thing`` and save it, unless there are faults."""
        try:
            thing.full_clean(exclude=exclude)
        except ValidationError as error:
            for name, messages in error.message_dict.items():
                path = PATHS.get(name, name)
                (where.get(path) if path else where).fault(" ".join(messages))
        if not self.reading.faults:
            thing.save()

    def subject(self, text: str, where: Place) -> dict[str, Any] | None:
        """Return the columns of the subject that ``text`` names; ``None`` (and a fault) for an unknown one."""
        if text == EVERYONE:
            return {"everyone": True}
        kind, _, name = text.partition(":")
        if kind == "user":
            user = self.user(name, where)
            return {"user": user} if user else None
        if kind == "team":
            team = self.team(name, where)
            return {"team": team} if team else None
        account = self.virtual_account(name, where)
        return {"virtual_account": account} if account else None

    def user(self, email: str, where: Place) -> User | None:
        """Return the user, creating a missing one. A new user has no password."""
        if email in self.users:
            return self.users[email]
        user = User.objects.filter(email=email).first()
        if user is None:
            try:
                validate_email(email)
            except ValidationError:
                where.fault(f"{email!r} is not a valid e-mail address.")
                return None
            user = User(email=email)
            user.set_unusable_password()
            self.save(user, where)
            self.plan.add("add", "user", email, detail="may sign in only once they have a password")
        self.users[email] = user
        return user

    def team(self, name: str, where: Place) -> Team | None:
        """Return the team ``name``, or ``None`` with a fault."""
        if name not in self.teams:
            self.teams[name] = Team.objects.filter(name=name).first()
            if self.teams[name] is None:
                where.fault(_missing("team", name, Team.objects.values_list("name", flat=True)))
        return self.teams[name]

    def virtual_account(self, name: str, where: Place) -> VirtualAccount | None:
        """Return the virtual account ``name``, or ``None`` with a fault."""
        if name not in self.virtual_accounts:
            found = VirtualAccount.objects.filter(name=name).first()
            self.virtual_accounts[name] = found
            if found is None:
                names = VirtualAccount.objects.values_list("name", flat=True)
                where.fault(_missing("virtual account", name, names))
        return self.virtual_accounts[name]


def write_people(run: Run, wanted: Wanted) -> None:
    """Write users, teams and virtual accounts, in this order."""
    for team in wanted.teams:
        run.teams[team.name] = Team.objects.filter(name=team.name).first() or Team(name=team.name)
    for account in wanted.virtual_accounts:
        found = VirtualAccount.objects.filter(name=account.name).first()
        run.virtual_accounts[account.name] = found or VirtualAccount(name=account.name)
    for user in wanted.users:
        _write_user(run, user)
    for team in wanted.teams:
        _write_team(run, team)
    for account in wanted.virtual_accounts:
        _write_virtual_account(run, account)


def changed_fields(thing: Any, fields: dict[str, Any]) -> list[Change]:
    """Set ``fields`` on ``thing`` and return those that had another value."""
    changes = []
    for name, new in fields.items():
        old = getattr(thing, name)
        if not _same(name, old, new):
            changes.append(Change(name, old, new))
            setattr(thing, name, new)
    return changes


def _same(name: str, old: Any, new: Any) -> bool:
    if name in UNORDERED and isinstance(old, list):
        return sorted(map(str, old)) == sorted(new)
    if name == "private_price" and isinstance(old, dict):
        return same_price(old, new)
    return bool(old == new)


def _write_user(run: Run, wanted: WantedUser) -> None:
    flags = dict(wanted.flags)
    if flags.get("is_superuser"):
        flags.setdefault("is_staff", True)  # a superuser who can't open the admin is of no use
    user = User.objects.filter(email=wanted.email).first()
    if user is None:
        user = User(email=wanted.email, **flags)
        user.set_unusable_password()
        run.save(user, wanted.where)
        run.plan.add("add", "user", wanted.email, detail="superuser" if user.is_superuser else "")
    else:
        _finish(run, "user", wanted.email, user, changed_fields(user, flags), wanted.where)
    run.users[wanted.email] = user


def _write_team(run: Run, wanted: WantedTeam) -> None:
    team = run.teams[wanted.name]
    assert team is not None
    new = team.pk is None
    changes = changed_fields(team, wanted.fields)
    if new:
        run.save(team, wanted.where)
    present = {} if new or team.pk is None else _memberships(team)
    moves = _member_changes(run, wanted, present)
    if new:
        run.plan.add("add", "team", wanted.name, *moves)
    else:
        _finish(run, "team", wanted.name, team, [*changes, *moves], wanted.where)
    if wanted.members is not None and not run.reading.faults:
        _write_members(run, team, wanted.members, present)


def _memberships(team: Team) -> dict[str, Membership]:
    rows = Membership.objects.filter(team=team).select_related("user")
    return {membership.user.email: membership for membership in rows}


def _member_changes(run: Run, wanted: WantedTeam, present: dict[str, Membership]) -> list[Change]:
    if wanted.members is None:
        return []
    changes = []
    for email, role in wanted.members.items():
        run.user(email, wanted.where.get("managers" if role == "manager" else "members"))
        if email not in present:
            changes.append(Change("members", note=f"+ {email} ({role})"))
        elif present[email].role != role:
            changes.append(Change("members", note=f"~ {email}: {present[email].role} -> {role}"))
    changes += [Change("members", note=f"- {email}") for email in present if email not in wanted.members]
    return changes


def _write_members(run: Run, team: Team, members: dict[str, str], present: dict[str, Membership]) -> None:
    for email, role in members.items():
        if email not in present:
            Membership.objects.create(team=team, user=run.users[email], role=role)
        elif present[email].role != role:
            present[email].role = role
            present[email].save()
    for email, membership in present.items():
        if email not in members:
            membership.delete()


def _write_virtual_account(run: Run, wanted: WantedVirtualAccount) -> None:
    account = run.virtual_accounts[wanted.name]
    assert account is not None
    team = run.team(wanted.team, wanted.where.get("ownedBy").get("team")) if wanted.team else None
    new = account.pk is None
    changes = changed_fields(account, {**wanted.fields, "team": team})
    if new:
        run.save(account, wanted.where)
        run.plan.add("add", "virtual-account", wanted.name)
    else:
        _finish(run, "virtual-account", wanted.name, account, changes, wanted.where)


def _finish(run: Run, kind: str, name: str, thing: DjangoModel, changes: list[Change], where: Place) -> None:
    """Save a thing that was there before when it changed, and put it into the plan."""
    if changes:
        run.save(thing, where)
    run.plan.add("change" if changes else "keep", kind, name, *changes)


def _missing(kind: str, name: str, names: Any) -> str:
    near = difflib.get_close_matches(name, list(names), n=3)
    fix = f"Did you mean {', '.join(near)}?" if near else f"Add a manifest for it, or create the {kind} first."
    return f"the {kind} {name!r} does not exist. {fix}"
