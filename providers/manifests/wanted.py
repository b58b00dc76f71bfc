"""What manifests ask for, as plain data: the step between reading a manifest and writing it to the tables.

Subjects are strings as the contract spells them: ``user:EMAIL``, ``team:NAME``, ``virtualaccount:NAME``, and
``team:everyone`` for all users.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

from providers.manifests.place import Place, Secret

EVERYONE = "team:everyone"
GrantKey = tuple[str, str]
"""A subject and a role (``manager`` or ``user``)."""


@dataclass(slots=True)
class WantedUser:
    """``flags`` holds only what the manifest names."""

    where: Place
    email: str
    flags: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class WantedTeam:
    """``members`` maps e-mail addresses to roles; ``None`` leaves them as they are."""

    where: Place
    name: str
    fields: dict[str, Any]
    members: dict[str, str] | None


@dataclass(slots=True)
class WantedVirtualAccount:
    """``grants`` are pairs of an account's name and a role; ``None`` leaves them as they are."""

    where: Place
    name: str
    fields: dict[str, Any]
    team: str
    grants: set[tuple[str, str]] | None


@dataclass(slots=True)
class WantedKey:
    """An account's key: a secret to store, ``none`` to store none, ``keep`` to leave it as it is.

    ``type`` is that of the manifest's ``auth_data``; ``application`` are tenant, client, authority and scope of
    type ``entra``, ``keys`` the secrets by name of type ``api-keys``.
    """

    where: Place
    action: Literal["keep", "none", "store"]
    secret: Secret = field(default_factory=Secret)
    type: str = "api-key"
    application: tuple[str, str, str, str] = ("", "", "", "")
    keys: dict[str, Secret] = field(default_factory=dict)


@dataclass(slots=True)
class WantedModel:
    """A model of an account. ``subjects`` narrow it; ``None`` leaves them, and ``aliases``, as they are."""

    where: Place
    name: str
    fields: dict[str, Any]
    subjects: list[str] | None
    aliases: list[str] | None = None


@dataclass(slots=True)
class WantedAccount:
    """An account with all that belongs to it. ``models``, ``grants`` and ``aliases`` of ``None`` stay as they are."""

    where: Place
    kind: str
    name: str
    fields: dict[str, Any]
    key: WantedKey
    headers: dict[str, Secret]
    models: list[WantedModel] | None
    grants: list[GrantKey] | None
    aliases: list[str] | None = None


@dataclass(slots=True)
class Wanted:
    """Everything that a set of manifests asks for."""

    users: list[WantedUser] = field(default_factory=list)
    teams: list[WantedTeam] = field(default_factory=list)
    virtual_accounts: list[WantedVirtualAccount] = field(default_factory=list)
    accounts: list[WantedAccount] = field(default_factory=list)
    more: dict[str, list[Any]] = field(default_factory=dict)
    """What manifests of added types ask for (``providers.manifests.kinds``), by type."""
    written_rules: set[tuple[str, str]] = field(default_factory=set)
    """The types and names of the manifests in ``more``."""

    @property
    def written(self) -> set[tuple[str, str]]:
        """What is written: rules by the type and name of their manifest, models as ``virtual-model``."""
        models = {
            ("virtual-model", f"{each.name}/{model.name}") for each in self.accounts for model in each.models or ()
        }
        return self.written_rules | models
