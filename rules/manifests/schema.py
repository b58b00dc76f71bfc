"""The fields of the contract's rule manifests.

What the contract lacks and rules have is written in the same places: a list of names may also be a mapping of ``in``
and ``not_in``, a rule may have ``limits``, ``overrides``, ``raises``, ``mode`` and ``enabled``.
"""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from providers.manifests.schema import PassedOver
from providers.manifests.values import (
    AS_LIST,
    IS_REQUIRED,
    Entry,
    Fields,
    Flag,
    Number,
    Required,
    String,
    as_string,
    is_lenient,
    names_with,
    one_of,
    wrong,
)
from rules import shape

ELSEWHERE = PassedOver("it is not a field of the contract, and nothing here reads it.")
NO_BODIES = PassedOver("the request log has settings of its own.")


def _names(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise wrong("Write a list here.")
    names = [as_string(one) for one in value]
    if not all(name.strip() for name in names):
        raise wrong("holds an empty name.")
    return names


def _choice(value: Any) -> dict[str, list[str]]:
    """Return names that count and names that don't; a list is of those that count."""
    if isinstance(value, list):
        value = {"in": value}
    if not isinstance(value, dict):
        raise wrong("Write a list of names, or {in: [...], not_in: [...]}.")
    unknown = [str(side) for side in value if side not in ("in", "not_in")]
    if unknown:
        raise wrong(f"unknown field {unknown[0]!r}. Valid fields: in, not_in.")
    if value.get("in") == [] and not value.get("not_in"):
        raise wrong("fits no call: the list is empty. Name something, or leave it out.")
    return {side: _names(names) for side, names in value.items() if names}


def _one_or_more(value: Any) -> dict[str, list[str]]:
    return _choice(value if isinstance(value, list | dict) else [value])


def _per(value: str) -> str:
    key = value.removeprefix(shape.METADATA)
    known = {"user", "virtualaccount", "model", "team", "token", "account"}
    if value and value not in known and (key == value or not key):
        raise wrong(f"{value!r} is not known. {shape.known_or(value, (*sorted(known), 'metadata.KEY'))}")
    return value


NamesOrChoice = Annotated[Any, BeforeValidator(_choice)]
ValueOrChoice = Annotated[Any, BeforeValidator(_one_or_more)]
Per = Annotated[Entry, AfterValidator(_per)]
Limits = Annotated[dict[str, Number], names_with("limits")]


class When(Fields):
    """Which calls a rule of a ``gateway-*`` manifest is for."""

    subjects: NamesOrChoice = None
    models: NamesOrChoice = None
    provider_accounts: NamesOrChoice = None
    metadata: Annotated[dict[str, ValueOrChoice], names_with("metadata")] = {}


class Subjects(Fields):
    """The subjects of a budget or limit of the second form."""

    users: NamesOrChoice = None
    teams: NamesOrChoice = None
    virtual_accounts: NamesOrChoice = None


class TenantWhen(Fields):
    """Which calls a ``tenant-*`` or ``team-*`` rule is for."""

    subjects: Subjects | None = None
    models: NamesOrChoice = None
    provider_accounts: NamesOrChoice = None
    metadata: Annotated[dict[str, ValueOrChoice], names_with("metadata")] = {}


class Target(Fields):
    """Where an alert goes."""

    type: Annotated[Required, one_of(shape.TARGETS)]
    notification_channel: String = ""
    to_emails: Annotated[list[Entry], AS_LIST] = []
    channels: Annotated[list[Entry], AS_LIST] = []


class Alerts(Fields):
    """At which percentages of a budget whom to notify."""

    thresholds: Annotated[list[Number], AS_LIST] = []
    notification_target: Annotated[list[Target], AS_LIST] = []


class Override(Fields):
    """Other limits for some values."""

    limits: Limits = {}
    users: Annotated[list[Entry], AS_LIST] = []
    models: Annotated[list[Entry], AS_LIST] = []
    virtual_accounts: Annotated[list[Entry], AS_LIST] = []
    metadata_values: Annotated[list[Entry], AS_LIST] = []
    teams: Annotated[list[Entry], AS_LIST] = []
    tokens: Annotated[list[Entry], AS_LIST] = []
    provider_accounts: Annotated[list[Entry], AS_LIST] = []


class Raise(Fields):
    """More of a budget until a moment."""

    limits: Limits = {}
    until: Required
    values: Annotated[list[Entry], AS_LIST] = []


class Cheaper(Fields):
    """From how many percent of a budget on calls go to which model."""

    from_percent: Number | None = None
    target: Required


class GatewayRule(Fields):
    """What limits and budgets of the first form share."""

    id: Required
    when: When | None = None
    limit_to: Number | None = None
    unit: String = ""
    limits: Annotated[dict[str, Number], names_with("limits")] = {}
    overrides: Annotated[list[Override], AS_LIST] = []
    enabled: Flag = True
    max_failures: Annotated[Any, ELSEWHERE] = None
    cooldown_seconds: Annotated[Any, ELSEWHERE] = None


class GatewayLimit(GatewayRule):
    """A rule of ``gateway-rate-limiting-config``."""

    unit: Annotated[String, one_of(shape.LIMIT_UNITS)] = ""
    rate_limit_applies_per: Annotated[list[Per], AS_LIST] = []
    mode: Annotated[String, one_of(shape.MODES["limit"])] = "enforce"


class GatewayBudget(GatewayRule):
    """A rule of ``gateway-budget-config``."""

    unit: Annotated[String, one_of(shape.BUDGET_UNITS)] = ""
    budget_applies_per: Annotated[list[Per], AS_LIST] = []
    alerts: Alerts | None = None
    audit_mode: Flag = False
    mode: Annotated[String, one_of(shape.MODES["budget"])] = ""
    raises: Annotated[list[Raise], AS_LIST] = []
    cheaper: Cheaper | None = None


class GatewayLimits(Fields):
    """``type: gateway-rate-limiting-config``."""

    type: Any
    name: Required
    rules: Annotated[list[GatewayLimit], AS_LIST] = []


class GatewayBudgets(Fields):
    """``type: gateway-budget-config``."""

    type: Any
    name: Required
    rules: Annotated[list[GatewayBudget], AS_LIST] = []


APPLIES_TO = {
    "per-user": ("user", "users"),
    "per-model": ("model", "models"),
    "per-virtual-account": ("virtualaccount", "virtual_accounts"),
    "metadata": (shape.METADATA, "metadata_values"),
    "per-team": ("team", "teams"),
    "per-token": ("token", "tokens"),
    "per-provider-account": ("account", "provider_accounts"),
}
"""``applies_to.type``: what is counted apart, and the field of an override that names some of it."""
AGGREGATE = "aggregate"


def _types(value: Any, info: ValidationInfo) -> list[str]:
    if value is None and not is_lenient(info):
        raise wrong("is missing.")
    kinds = [as_string(one) for one in (value if isinstance(value, list) else [value])] if value is not None else []
    for kind in kinds:
        if kind != AGGREGATE and kind not in APPLIES_TO:
            raise wrong(f"{kind!r} is not known. {shape.known_or(kind, (AGGREGATE, *APPLIES_TO))}")
    return kinds


class AppliesTo(Fields):
    """What is counted apart. ``type`` may be a list of two."""

    type: Annotated[list[str], BeforeValidator(_types), IS_REQUIRED]
    metadata: String = ""
    overrides: Annotated[list[Override], AS_LIST] = []


class TenantLimit(Fields):
    """``type: tenant-rate-limit-config/model``."""

    type: Any
    name: Required
    when: TenantWhen | None = None
    limits: Limits = {}
    applies_to: AppliesTo | None = None
    mode: Annotated[String, one_of(shape.MODES["limit"])] = "enforce"
    enabled: Flag = True
    log_request_body_on_block: Annotated[Any, NO_BODIES] = None


class TenantBudget(Fields):
    """``type: tenant-budget-config``."""

    type: Any
    name: Required
    when: TenantWhen | None = None
    limits: Limits = {}
    applies_to: AppliesTo | None = None
    mode: Annotated[String, one_of(shape.MODES["budget"])] = "enforce"
    alerts: Alerts | None = None
    enabled: Flag = True
    raises: Annotated[list[Raise], AS_LIST] = []
    cheaper: Cheaper | None = None


class TeamSubjects(Fields):
    """The subjects of a team's budget: some of its own."""

    users: NamesOrChoice = None
    virtual_accounts: NamesOrChoice = None


class TeamWhen(TenantWhen):
    """Which of the team's calls a budget is for."""

    subjects: TeamSubjects | None = None  # type: ignore[assignment]  # a narrower mapping than the tenant's


class TeamBudget(TenantBudget):
    """``type: team-budget-config``."""

    team_name: Required
    when: TeamWhen | None = None
