"""Accounts and models as the hot path sees them: frozen, in memory, without the ORM.

``gateway.directory.directory`` builds these from the tables; the client and the adapters read them. They hold decrypted
keys, so none of them has a ``repr`` that shows its headers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from providers.credentials.held import HeldToken
from providers.origins import Origin
from providers.pricing.current import Prices
from providers.pricing.sheet import PriceSheet
from providers.routing.compiled import Routing
from providers.vendor_row import Vendor

Row = TypeVar("Row")


class ByName(dict[str, Row]):
    """Rows by name. A former name finds its row, too, but is not among the names; a live name always comes first."""

    __slots__ = ("aliases",)

    def __init__(self, rows: Mapping[str, Row], aliases: Mapping[str, Row]) -> None:
        super().__init__(rows)
        self.aliases = aliases

    def __contains__(self, name: object) -> bool:
        return dict.__contains__(self, name) or name in self.aliases

    def __missing__(self, name: str) -> Row:
        return self.aliases[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the row of a name, live or former."""
        found = dict.get(self, name)
        return self.aliases.get(name, default) if found is None else found


@dataclass(frozen=True, slots=True, eq=False)
class AccountSnapshot:
    """A provider account: where its calls go, with which headers, and who may use it.

    ``users`` and ``managers`` hold subject keys (``user:7``, ``team:3``, ``virtualaccount:2``, ``everyone``).
    ``revision`` changes with everything that an open connection depends on. ``upstream_ids`` has the models by their
    upstream's name in lower case: some upstreams ignore case, and a model that is listed must not be reached
    around its listing. ``finish_seconds`` is how long a call goes on whose client left. ``default_models`` are the
    models of calls that name none, by operation or model type, where the account has others than its vendor.
    ``stream_usage`` says that streams are asked for their token counts. ``aliases`` are former names, which find the
    account and its models as well as their names do. ``token`` signs the calls of an
    account without a key. ``pool`` is the account with each of its keys, where it has several, ``key`` the name of the
    one in ``headers``. ``api_version`` is what every call names in its query, as Azure wants it.

    ``offered`` are the names that the server of an ``any_model`` account lists itself, registered here or not.

    ``bound_to`` is the only origin that the account's secrets may go to, ``None`` for an account without any. ``fault``
    is what keeps it from being called, for callers to read: its secrets were entered for another origin, and are not
    in ``headers``.
    """

    id: int
    name: str
    vendor: Vendor = field(repr=False)
    url: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    users: frozenset[str] = field(repr=False)
    managers: frozenset[str] = field(repr=False)
    enabled: bool
    any_model: bool
    isolation: str
    connect_timeout: float
    read_timeout: float
    finish_seconds: float
    connection_limit: int
    discount_bp: int
    open_resources: frozenset[str] = field(repr=False)
    proxy_paths: tuple[str, ...] = field(repr=False)
    revision: str = field(repr=False)
    models: Mapping[str, "ModelSnapshot"] = field(repr=False)
    upstream_ids: Mapping[str, "ModelSnapshot"] = field(repr=False)
    own_secrets: tuple[bytes, ...] = field(repr=False)
    bound_to: Origin | None = field(default=None, repr=False)
    fault: str = field(default="", repr=False)
    default_models: Mapping[str, str] = field(default_factory=dict, repr=False)
    stream_usage: bool = True
    aliases: tuple[str, ...] = ()
    token: HeldToken | None = field(default=None, repr=False)
    key: str = ""
    api_version: str = ""
    pool: tuple["AccountSnapshot", ...] = field(default=(), repr=False)
    offered: tuple[str, ...] = field(default=(), repr=False)

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """What must not go out: the key, values of headers, and the access token of the moment."""
        return self.own_secrets if self.token is None else (*self.own_secrets, *self.token.secrets)

    @property
    def provider(self) -> str:
        """The value of ``"provider"`` in answers."""
        return self.vendor.provider


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class ModelSnapshot:
    """A model of an account. ``subjects`` is ``None`` when every user of the account may call it.

    ``prices`` may depend on the time; ``sheet`` and ``price`` are those of the moment.

    ``surcharge_bp`` is what the vendor adds to its list prices at the account's address, in basis points.

    ``routing`` is that of a virtual model, which is never called itself.

    ``listed`` is false for an upstream name that an ``any_model`` account passes on: such a model has no capability
    gate.
    """

    account_name: str
    name: str
    upstream_id: str
    model_types: frozenset[str]
    features: tuple[str, ...] = ()
    prices: Prices | None = field(default=None, repr=False)
    subjects: frozenset[str] | None = field(default=None, repr=False)
    context_window: int | None = None
    max_output_tokens: int | None = None
    deprecated_on: str | None = None
    enabled: bool = True
    listed: bool = True
    created: int = 0
    owner_key: str = ""
    surcharge_bp: int = 0
    aliases: tuple[str, ...] = ()
    routing: Routing | None = field(default=None, repr=False)

    @property
    def public_name(self) -> str:
        """The name that callers send: ``account/name``."""
        return f"{self.account_name}/{self.name}" if self.name else self.account_name

    @property
    def sheet(self) -> PriceSheet | None:
        """What it costs now; ``None``: unpriced."""
        return self.prices.now().sheet if self.prices is not None else None

    @property
    def price(self) -> Mapping[str, object] | None:
        """What it costs now, as ``GET /models`` shows it."""
        return self.prices.now().fields if self.prices is not None else None

    @property
    def price_until(self) -> float:
        """When its present price ends, in unix seconds; infinity when no end is known."""
        return self.prices.now().until if self.prices is not None else math.inf


def former_names(target: "Target") -> tuple[str, ...]:
    """Return every other ``account/model`` that means the target's model: with a former name of one of them, or both.

    Empty for nearly all."""
    account, model = target.account, target.model
    if not model.name or not (account.aliases or model.aliases):
        return ()
    names = [f"{one}/{each}" for one in (account.name, *account.aliases) for each in (model.name, *model.aliases)]
    return tuple(names[1:])


@dataclass(frozen=True, slots=True)
class Target:
    """One place that a call may be sent to."""

    account: AccountSnapshot
    model: ModelSnapshot
