"""What rules name that is not there: a rule that can fit no call must not be silent about it."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from accounts.models import Team, User, VirtualAccount
from providers.access import knows_limit
from providers.models import Alias, Model, ProviderAccount
from providers.routing.shape import mirror_name
from providers.vendors import VENDORS
from rules import routes, shape
from rules.models import Rule

ANY = "*"
MIRROR = "gatehouse/mirror"
"""The built-in application that calls of mirrors are charged to; no other can have a name like it."""


class Names:
    """The names that rules may use, loaded once each on first use. ``suggests``: names that are not there are said with
    one that is like them, which takes a walk through all.
    """

    def __init__(self, *, suggests: bool = True) -> None:
        self.suggests = suggests

    @cached_property
    def user(self) -> frozenset[str]:
        return frozenset(User.objects.filter(is_active=True).values_list("email", flat=True))

    @cached_property
    def team(self) -> frozenset[str]:
        return frozenset(Team.objects.values_list("name", flat=True)) | {"everyone"}

    @cached_property
    def virtualaccount(self) -> frozenset[str]:
        return frozenset(VirtualAccount.objects.filter(enabled=True).values_list("name", flat=True)) | {MIRROR}

    @cached_property
    def accounts(self) -> frozenset[str]:
        former = Alias.objects.filter(model=None).values_list("name", flat=True)
        return frozenset(ProviderAccount.objects.values_list("name", flat=True)) | frozenset(former)

    @cached_property
    def open_accounts(self) -> frozenset[str]:
        """The accounts that pass on any model's name."""
        return frozenset(ProviderAccount.objects.filter(any_model=True).values_list("name", flat=True))

    @cached_property
    def virtual_accounts(self) -> frozenset[str]:
        """The accounts of virtual models."""
        kinds = [kind for kind, vendor in VENDORS.items() if vendor.virtual]
        return frozenset(ProviderAccount.objects.filter(kind__in=kinds).values_list("name", flat=True))

    @cached_property
    def models(self) -> frozenset[str]:
        return frozenset(f"{account}/{name}" for account, name in Model.objects.values_list("account__name", "name"))

    def has_model(self, name: str) -> bool:
        """Whether a call may go to the model."""
        return name in self.models or name.partition("/")[0] in self.open_accounts or knows_limit(name)


@dataclass(frozen=True, slots=True)
class Missing:
    """What a rule names in vain. ``dead``: it can fit no call at all until that is there."""

    rule: str
    problems: tuple[str, ...]
    dead: bool

    def __str__(self) -> str:
        end = " It can fit no call." if self.dead else ""
        return f"Rule {self.rule} names what is not there: {'; '.join(self.problems)}.{end}"


def missing(rules: Iterable[Rule], names: Names | None = None) -> list[Missing]:
    """Return what each of ``rules`` names that does not exist; nothing for those where all is well."""
    names = names or Names()
    return [found for rule in rules if (found := missing_of(rule, names)) is not None]


def missing_of(rule: Rule, names: Names) -> Missing | None:
    """Return what the rule names that does not exist, in its conditions and its overrides."""
    problems: list[str] = []
    dead = False
    for part in ("subjects", "models", "accounts"):
        choice = rule.when.get(part, {})
        for side in ("in", "not_in"):
            absent = [name for name in choice.get(side, []) if not _exists(part, name, names)]
            problems += [_said(part, name, names) for name in absent]
            dead = dead or (side == "in" and bool(absent) and len(absent) == len(choice["in"]))
    per = rule.effect.get("per") or [""]
    for override in rule.effect.get("overrides", []):
        problems += [_said(per[0], value, names) for value in override["values"] if not _has(per[0], value, names)]
    if "cheaper" in rule.effect and not names.has_model(rule.effect["cheaper"]["target"]):
        problems.append(_said("model", rule.effect["cheaper"]["target"], names))
    targets = routes.target_names(rule.effect)
    gone = [name for name in targets if not names.has_model(name)]
    problems += [_said("model", name, names) for name in gone]
    dead = dead or (bool(gone) and len(gone) == len(set(targets)))
    mirror = mirror_name(rule.effect.get("routing"))
    if mirror is not None and mirror.partition("/")[0] in names.virtual_accounts:
        problems.append(f"mirror {mirror!r} (a virtual model can't be one)")
    return Missing(str(rule), tuple(dict.fromkeys(problems)), dead) if problems else None


def _exists(part: str, name: str, names: Names) -> bool:
    if name == ANY:
        return True
    if part == "subjects":
        kind, _, rest = name.partition(":")
        return kind in shape.SUBJECTS and _has(kind, rest, names)
    return _has("model" if part == "models" else "account", name, names)


def _has(dimension: str, name: str, names: Names) -> bool:
    match dimension:
        case "user" | "team" | "virtualaccount":
            return name in getattr(names, dimension)
        case "model":
            return names.has_model(name)
        case "account":
            return name in names.accounts
        case _:
            return True  # tokens, and metadata that callers send


def _said(part: str, name: str, names: Names) -> str:
    kind, _, rest = name.partition(":") if part == "subjects" else (part.removesuffix("s"), "", name)
    if not names.suggests:
        return f"{kind} {rest!r}"
    known = names.accounts if kind == "account" else getattr(names, kind, frozenset())
    near = difflib.get_close_matches(rest, names.models if kind == "model" else known, n=1)
    return f"{kind} {rest!r}" + (f" (did you mean {near[0]!r}?)" if near else "")
