"""Builds the snapshots of accounts and models from the tables: the only place where the hot path's data meets the
ORM."""

import hashlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import msgspec
from django.db.models import Q, QuerySet
from fernet_fields.fields import DecryptionError

from gateway.directory.nesting import nest
from providers.account import request_headers
from providers.credentials.held import held
from providers.models import Alias, Grant, Model, OfferedList, ProviderAccount
from providers.offers import names_of
from providers.origins import origin
from providers.pricing.current import Prices, private_prices, public_prices
from providers.pricing.surcharges import surcharge_bp
from providers.routing.compiled import compile_routing
from providers.snapshot import AccountSnapshot, ByName, ModelSnapshot

logger = logging.getLogger("gateway.directory.directory")

SECRET_CHARACTERS = 8  # a shorter value, like "true", is not a secret, and appears in many strings
MISBOUND = (
    "The provider account {!r} can't be called: its key or its extra headers were not entered for the address that it "
    "has now. Ask a manager of the account to enter them again."
)
UNREADABLE = (LookupError, TypeError, ValueError)
"""What a row raises that a newer version wrote."""


def account_snapshots(
    last: Mapping[str, AccountSnapshot], account_ids: Collection[int] | None = None
) -> ByName[AccountSnapshot]:
    """Return every account by name; with ``account_ids`` those are loaded, and the others are those of ``last``.

    An account whose key can't be decrypted keeps its last snapshot, or is left out; one that this version does not
    understand (a newer one wrote it) is left out. Neither may keep other changes from being obeyed.
    """
    accounts, parts = ProviderAccount.objects.order_by("id"), Q()
    snapshots: dict[str, AccountSnapshot] = {}
    if account_ids is not None:
        accounts, parts = accounts.filter(pk__in=account_ids), Q(account_id__in=account_ids)
        snapshots = {name: snapshot for name, snapshot in last.items() if snapshot.id not in account_ids}
    models: dict[int, list[Model]] = {}
    for model in Model.objects.filter(parts).prefetch_related("subjects").order_by("id"):
        models.setdefault(model.account_id, []).append(model)
    grants: dict[int, list[Grant]] = {}
    for grant in Grant.objects.filter(parts).order_by("id"):
        grants.setdefault(grant.account_id, []).append(grant)
    aliases: dict[int, list[Alias]] = {}
    for alias in Alias.objects.filter(parts).order_by("id"):
        aliases.setdefault(alias.account_id, []).append(alias)
    offered: dict[int, OfferedList] | None = None
    for account in _readable(accounts, last, snapshots):
        pk = account.pk
        if account.any_model and offered is None:  # most have none
            offered = {row.account_id: row for row in OfferedList.objects.filter(parts, account__any_model=True)}
        try:
            names = names_of(account, offered.get(pk) if offered else None)
            snapshots[account.name] = account_snapshot(
                account, models.get(pk, []), grants.get(pk, []), aliases.get(pk, []), names
            )
        except UNREADABLE as error:
            _leave_out(account.name, error)
    found = ByName(snapshots, {alias: account for account in snapshots.values() for alias in account.aliases})
    return nest(found, last)


def _readable(
    accounts: "QuerySet[ProviderAccount]", last: Mapping[str, AccountSnapshot], snapshots: dict[str, AccountSnapshot]
) -> Iterator[ProviderAccount]:
    """Yield the accounts whose rows can be read. Where only the key can't, the last snapshot goes into
    ``snapshots``."""
    try:
        yield from list(accounts)
    except (DecryptionError, *UNREADABLE):  # which one it is, only a query for each account says
        for pk, name in accounts.values_list("id", "name"):
            try:
                yield accounts.get(pk=pk)
            except DecryptionError:
                logger.error("Account %s: its key can't be decrypted. Check GATEHOUSE_ENCRYPTION_KEYS.", name)
                if name in last:
                    snapshots[name] = last[name]
            except ProviderAccount.DoesNotExist:
                continue  # it was deleted meanwhile, which the feed says next
            except UNREADABLE as error:
                _leave_out(name, error)


def _leave_out(name: str, error: Exception) -> None:
    logger.error("Account %s: its row can't be read (%s). It is left out.", name, type(error).__name__)


def account_snapshot(
    account: ProviderAccount,
    models: list[Model],
    grants: list[Grant],
    aliases: Sequence[Alias] = (),
    offered: tuple[str, ...] = (),
) -> AccountSnapshot:
    """Return the snapshot of one account with its models, grants, former names, and what its server ``offered``."""
    vendor = account.vendor
    headers, fault, credential = request_headers(account), account.secrets_fault(), account.credential
    if fault:
        logger.error("Account %s can't be called: %s", account.name, fault)
    former: dict[int | None, tuple[str, ...]] = {}
    for alias in aliases:
        former[alias.model_id] = (*former.get(alias.model_id, ()), alias.name)
    snapshots = [_model_snapshot(account, model, former.get(model.pk, ())) for model in models]
    managers = frozenset(grant.key for grant in grants if grant.role == Grant.Role.MANAGER)
    users = frozenset(grant.key for grant in grants)  # those who manage an account may call it too
    snapshot = AccountSnapshot(
        id=account.pk,
        name=account.name,
        vendor=vendor,
        url=account.url,
        headers=tuple(headers.items()),
        users=users,
        managers=managers,
        enabled=account.enabled,
        any_model=account.any_model,
        isolation=account.isolation,
        connect_timeout=account.connect_timeout,
        read_timeout=account.read_timeout,
        finish_seconds=account.finish_seconds,
        connection_limit=account.connection_limit,
        discount_bp=int(account.discount_percent * 100),
        open_resources=frozenset(account.open_resources),
        proxy_paths=tuple(account.proxy_paths),
        revision=_revision(account, headers),
        models=ByName(
            {snapshot.name: snapshot for snapshot in snapshots},
            {alias: snapshot for snapshot in snapshots for alias in snapshot.aliases},
        ),
        aliases=former.get(None, ()),
        upstream_ids={snapshot.upstream_id.lower(): snapshot for snapshot in reversed(snapshots)},
        own_secrets=_secrets(account),
        bound_to=origin(account.url) if account.credentials or account.extra_headers_json else None,
        fault=MISBOUND.format(account.name) if fault else "",
        stream_usage=account.asks_stream_usage,
        default_models=account.default_models,
        token=held(credential) if credential is not None and not fault else None,
        api_version=account.called_version,
        offered=offered,
    )
    return _with_pool(snapshot, account)


def _with_pool(snapshot: AccountSnapshot, account: ProviderAccount) -> AccountSnapshot:
    """Return the snapshot of an account with the ways to call it with each of its keys, where it has several."""
    keys = account.keys
    if len(keys) < 2 or snapshot.fault:
        return snapshot
    each = [replace(snapshot, headers=tuple(request_headers(account, name).items()), key=name) for name in keys]
    return replace(each[0], pool=tuple(each))


def _secrets(account: ProviderAccount) -> tuple[bytes, ...]:
    credential = account.credential
    own = credential.secrets if credential is not None else account.keys.values()
    values = (*own, *account.extra_headers.values())
    return tuple(value.encode() for value in values if len(value) >= SECRET_CHARACTERS)


def unlisted_model(account: AccountSnapshot, name: str) -> ModelSnapshot:
    """Return a snapshot for a name that an ``any_model`` account passes on without knowing it."""
    return ModelSnapshot(
        account_name=account.name,
        name=name,
        upstream_id=name,
        model_types=frozenset(),
        prices=public_prices(account.vendor.price_source, name),
        listed=False,
        surcharge_bp=surcharge_bp(account.vendor.provider, account.url, name),
    )


def _revision(account: ProviderAccount, headers: Mapping[str, str]) -> str:
    """Return a mark of all that an open connection depends on: another mark, another session."""
    parts = [account.url, account.connection_limit, sorted(headers.items()), account.secrets_fault()]
    parts += list(account.keys.items())[1:]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _model_snapshot(account: ProviderAccount, model: Model, aliases: tuple[str, ...]) -> ModelSnapshot:
    subjects = frozenset(subject.key for subject in model.subjects.all())
    return ModelSnapshot(
        account_name=account.name,
        name=model.name,
        upstream_id=model.upstream_id,
        model_types=frozenset(model.model_types),
        features=tuple(model.features),
        prices=_prices(account, model),
        subjects=subjects or None,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        deprecated_on=model.deprecated_on.isoformat() if model.deprecated_on else None,
        enabled=model.enabled,
        created=int(model.created_at.timestamp()) if isinstance(model.created_at, datetime) else 0,
        owner_key=model.owner_key,
        surcharge_bp=_surcharge(account, model),
        aliases=aliases,
        routing=compile_routing(model.routing) if model.routing else None,
    )


def _surcharge(account: ProviderAccount, model: Model) -> int:
    """Return what the vendor adds to its list price; a private price is what was agreed."""
    if model.price_source == Model.PriceSource.PRIVATE:
        return 0
    return surcharge_bp(account.vendor.provider, account.url, model.upstream_id)


def _prices(account: ProviderAccount, model: Model) -> Prices | None:
    if model.routing:
        return None  # each target has its own
    if model.price_source != Model.PriceSource.PRIVATE:
        prices = public_prices(account.vendor.price_source, model.upstream_id)
        prices.now()  # read here, so that the first call does not have to
        return prices
    try:
        return private_prices(model.private_price)
    except ValueError as error:
        logger.error("Model %s/%s has a bad private price: %s", account.name, model.name, error)
        return None
