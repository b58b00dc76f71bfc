"""Who may call what, and through which role: the rule of calls (``gateway.access.grants``), worked out on the tables
for pages.

Principals are subject keys as grants have them: ``user:7``, ``team:3``, ``virtualaccount:2``, ``everyone``.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from django.db.models import Prefetch, Q, QuerySet

from accounts.models import ApiToken, Team, User, VirtualAccount
from providers.bound_secrets import ENCRYPTED
from providers.models import Grant, Model, ModelSubject, ProviderAccount

SUPERUSER = "superuser"


@dataclass(frozen=True, slots=True)
class Principals:
    """The subject keys of one caller, and the keys of their teams, which share fine-tuned models.

    ``limits`` are those of a token: accounts and ``account/model``; ``None``: no limit.
    """

    keys: frozenset[str]
    team_keys: frozenset[str] = frozenset()
    superuser: bool = False
    limits: frozenset[str] | None = None


@dataclass(slots=True)
class Reach:
    """What a caller may call of one account, and the roles that let them: ``user through team research``."""

    account: ProviderAccount
    through: list[str]
    models: list[Model] = field(default_factory=list)
    narrowed: int = 0
    """Enabled models of the account that are open to others only."""


def principals_of(owner: User | Team | VirtualAccount | ApiToken) -> Principals:
    """Return the principals of a user, a team's members, a virtual account, or a token's owner under the token's
    limits.
    """
    if isinstance(owner, ApiToken):
        whose = principals_of(owner.user or owner.virtual_account)  # type: ignore[arg-type]  # one of the two is there
        limits = frozenset(owner.limits) or None
        return Principals(whose.keys, whose.team_keys, whose.superuser, limits)
    if isinstance(owner, User):
        teams = frozenset(f"team:{pk}" for pk in owner.memberships.values_list("team_id", flat=True))
        return Principals(teams | {f"user:{owner.pk}", "everyone"}, teams, owner.is_superuser)
    if isinstance(owner, Team):
        return Principals(frozenset({f"team:{owner.pk}"}), frozenset({f"team:{owner.pk}"}))
    teams = frozenset({f"team:{owner.team_id}"}) if owner.team_id else frozenset()
    return Principals(frozenset({f"virtualaccount:{owner.pk}"}), teams)


def reach(who: Principals) -> list[Reach]:
    """Return what ``who`` may call, by account: a few queries, whatever there is."""
    subjects = Prefetch("subjects", ModelSubject.objects.only("key", "model_id"))
    models = Model.objects.filter(enabled=True).prefetch_related(subjects).order_by("name")
    accounts = ProviderAccount.objects.filter(enabled=True).defer(*ENCRYPTED)
    if not who.superuser:
        accounts = accounts.filter(grants__key__in=who.keys).distinct()
    accounts = accounts.prefetch_related(Prefetch("models", models), Prefetch("grants", _grants())).order_by("name")
    if who.limits is not None:  # they may name what it was called before
        accounts = accounts.prefetch_related("aliases")
    found = []
    for account in accounts:
        grants = [grant for grant in account.grants.all() if grant.key in who.keys]
        if who.limits is not None and not _allowed(who.limits, account):
            continue
        entry = Reach(account, [f"{grant.role} through {_subject(grant)}" for grant in grants])
        if who.superuser:
            entry.through.insert(0, SUPERUSER)
        managers = {grant.key for grant in account.grants.all() if grant.role == Grant.Role.MANAGER}
        for model in account.models.all():
            if not _may_call(who, account, model, managers):
                entry.narrowed += 1
            elif who.limits is None or _allowed(who.limits, account, model):
                entry.models.append(model)
        found.append(entry)
    return found


def _may_call(who: Principals, account: ProviderAccount, model: Model, managers: Iterable[str]) -> bool:
    subjects = {subject.key for subject in model.subjects.all()}
    asked = who.keys | who.team_keys if model.owner_key else who.keys
    if model.owner_key and account.isolation != "account" and model.owner_key not in who.keys:
        shared = account.isolation == "team" and not subjects.isdisjoint(who.keys | who.team_keys)
        if not shared:
            return False
    return who.superuser or not subjects or not asked.isdisjoint(subjects.union(managers))


def _grants() -> "QuerySet[Grant]":
    return Grant.objects.select_related("user", "team", "virtual_account").order_by("role", "key")


def _allowed(limits: frozenset[str], account: ProviderAccount, model: Model | None = None) -> bool:
    """Whether a token's limits name the account, or one of its models, or ``model``, by any of their names."""
    aliases = list(account.aliases.all())
    names = {account.name, *(alias.name for alias in aliases if alias.model_id is None)}
    if model is None:
        return any(limit.partition("/")[0] in names for limit in limits)
    models = {model.name, *(alias.name for alias in aliases if alias.model_id == model.pk)}
    return not limits.isdisjoint(names | {f"{name}/{each}" for name in names for each in models})


def _subject(grant: Grant) -> str:
    if grant.everyone:
        return "everyone"
    return f"team {grant.team}" if grant.team else "their own grant" if grant.user else "its own grant"


def knows_limit(limit: str) -> bool:
    """Whether a token's limit names an account, or a model of one: any name, where an account passes on all.

    Former names that are kept as aliases count.
    """
    name, slash, model = limit.partition("/")
    accounts = ProviderAccount.objects.filter(Q(name=name) | Q(aliases__name=name, aliases__model=None))
    if not slash or accounts.filter(any_model=True).exists():
        return accounts.exists()
    models = Model.objects.filter(account__in=accounts.values("pk"))
    return models.filter(Q(name=model) | Q(aliases__name=model)).exists()


def limit_names() -> list[str]:
    """Return every name that a token's limit may have."""
    names = list(ProviderAccount.objects.values_list("name", flat=True))
    return names + [f"{account}/{name}" for account, name in Model.objects.values_list("account__name", "name")]
