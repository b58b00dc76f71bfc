"""Builds the snapshots of accounts and models from the tables: the only place where the hot path's data meets the ORM."""

import hashlib
import logging
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec
from fernet_fields.fields import DecryptionError

from providers.models import Grant, Model, ProviderAccount, request_headers
from providers.pricing.public import PriceSheet, private_sheet, public_sheet
from providers.snapshot import AccountSnapshot, ModelSnapshot
from providers.vendors import VENDORS

logger = logging.getLogger("gateway.directory.directory")

SECRET_CHARACTERS = 8  # a shorter value, like "true", is no secret, and stands in many texts


def account_snapshots(last: Mapping[str, AccountSnapshot]) -> dict[str, AccountSnapshot]:
    """Return every account by name.

    An account whose key can't be decrypted keeps its last snapshot, or is left out; one that this version does not understand (a
    newer one wrote it) is left out. Neither may keep other changes from being obeyed.
    """
    models: dict[int, list[Model]] = {}
    for model in Model.objects.select_related(None).prefetch_related("subjects").order_by("id"):
        models.setdefault(model.account_id, []).append(model)
    grants: dict[int, list[Grant]] = {}
    for grant in Grant.objects.order_by("id"):
        grants.setdefault(grant.account_id, []).append(grant)
    snapshots = {}
    for pk, name in ProviderAccount.objects.order_by("id").values_list("id", "name"):
        try:
            account = ProviderAccount.objects.get(pk=pk)
            snapshots[name] = account_snapshot(account, models.get(pk, []), grants.get(pk, []))
        except DecryptionError:
            logger.error("Account %s: its key can't be decrypted. Check GATEHOUSE_ENCRYPTION_KEYS.", name)
            if name in last:
                snapshots[name] = last[name]
        except (LookupError, TypeError, ValueError) as error:
            logger.error(
                "Account %s: what is stored of it can't be read (%s). It is left out.", name, type(error).__name__
            )
    return snapshots


def account_snapshot(account: ProviderAccount, models: list[Model], grants: list[Grant]) -> AccountSnapshot:
    """Return the snapshot of one account with its models and grants."""
    vendor = VENDORS[account.kind]
    headers = request_headers(account)
    snapshots = [_model_snapshot(account, model) for model in models]
    managers = frozenset(grant.key for grant in grants if grant.role == Grant.Role.MANAGER)
    users = frozenset(grant.key for grant in grants)  # whoever manages an account may call it too
    return AccountSnapshot(
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
        connection_limit=account.connection_limit,
        discount_bp=int(account.discount_percent * 100),
        open_resources=frozenset(account.open_resources),
        proxy_paths=tuple(account.proxy_paths),
        revision=_revision(account, headers),
        models={snapshot.name: snapshot for snapshot in snapshots},
        upstream_ids={snapshot.upstream_id.lower(): snapshot for snapshot in reversed(snapshots)},
        secrets=_secrets(account),
    )


def _secrets(account: ProviderAccount) -> tuple[bytes, ...]:
    values = (account.api_key, *account.extra_headers.values())
    return tuple(value.encode() for value in values if len(value) >= SECRET_CHARACTERS)


def unlisted_model(account: AccountSnapshot, name: str) -> ModelSnapshot:
    """Return a snapshot for a name that an ``any_model`` account passes on without knowing it."""
    return ModelSnapshot(
        account_name=account.name,
        name=name,
        upstream_id=name,
        model_types=frozenset(),
        sheet=_public_sheet(account.vendor.price_source, name, date.today()),
        listed=False,
    )


def _revision(account: ProviderAccount, headers: Mapping[str, str]) -> str:
    """Return a mark of all that an open connection depends on: another mark, another session."""
    parts = [account.url, account.connection_limit, sorted(headers.items())]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()


def _model_snapshot(account: ProviderAccount, model: Model) -> ModelSnapshot:
    subjects = frozenset(subject.key for subject in model.subjects.all())
    sheet = _sheet(account, model)
    return ModelSnapshot(
        account_name=account.name,
        name=model.name,
        upstream_id=model.upstream_id,
        model_types=frozenset(model.model_types),
        features=tuple(model.features),
        sheet=sheet,
        price=_shown_price(sheet),
        subjects=subjects or None,
        context_window=model.context_window,
        max_output_tokens=model.max_output_tokens,
        deprecated_on=model.deprecated_on.isoformat() if model.deprecated_on else None,
        enabled=model.enabled,
        created=int(model.created_at.timestamp()) if isinstance(model.created_at, datetime) else 0,
        owner_key=model.owner_key,
    )


def _sheet(account: ProviderAccount, model: Model) -> PriceSheet | None:
    if model.price_source == Model.PriceSource.PRIVATE:
        try:
            return private_sheet(model.private_price)
        except ValueError as error:
            logger.error("Model %s/%s has a bad private price: %s", account.name, model.name, error)
            return None
    return _public_sheet(VENDORS[account.kind].price_source, model.upstream_id, date.today())


@lru_cache(maxsize=8192)
def _public_sheet(price_source: str, upstream_id: str, day: date) -> PriceSheet | None:
    """Return the public prices as of ``day``: listed prices change at midnight, and making a sheet takes 0.1 ms."""
    return public_sheet(price_source, upstream_id)


def _shown_price(sheet: PriceSheet | None) -> dict[str, Any] | None:
    """Return what callers see of a price: US dollars as texts, per million tokens or characters, per minute, else per unit."""
    if sheet is None:
        return None
    shown = {}
    for unit, rate in sheet.rates.items():
        name, count = unit, 1
        if unit.endswith(("_tokens", "_characters")):
            name, count = f"{unit}_per_million", 1_000_000
        elif unit.endswith("_ms"):
            name, count = f"{unit.removesuffix('_ms')}_per_minute", 60_000
        shown[name] = f"{Decimal(rate.base.numerator * count) / rate.base.denominator:f}"
    return {"currency": "USD", **shown}
