"""Checks of provider accounts: keys, addresses, grants, models, prices, and the targets that route to them."""

import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from django.db.models import Count
from fernet_fields import DecryptionError

from accounts.models import ApiToken
from accounts.token_limits import limits_fault
from accounts.words import counted
from gateway.doctor.findings import ERROR, WARNING, Finding
from providers import azure, egress
from providers.models import Grant, Model, OfferedList, ProviderAccount
from providers.pricing.current import public_prices
from providers.routing.shape import target_names
from providers.vendors import VENDORS
from rules import routes
from rules.models import RoutingRule
from rules.references import Names
from usage.models import UsageRecord

CONNECT_SECONDS = 3.0
SOON_DAYS = 30
VIRTUAL: Final = [kind for kind, vendor in VENDORS.items() if vendor.virtual]
"""Kinds of accounts without a server: no address, no key, no price."""


def check_keys() -> Iterator[Finding]:
    """Whether the stored keys can be decrypted, and are there where the provider asks for one."""
    for pk, name, enabled in ProviderAccount.objects.values_list("pk", "name", "enabled"):
        try:
            account = ProviderAccount.objects.get(pk=pk)
        except DecryptionError:
            yield Finding(
                "keys",
                ERROR,
                f"The key of {name} was encrypted with another encryption key.",
                "Put the old key behind the new one in GATEHOUSE_ENCRYPTION_KEYS, or enter the account's key again.",
            )
            continue
        if enabled and account.vendor.needs_key and not account.credentials and not account.extra_headers:
            yield Finding("keys", WARNING, f"{name} has no key.", "Enter one, or other credentials.")


def check_egress() -> Iterator[Finding]:
    """Whether the addresses of enabled accounts may be connected to, and answer a connection."""
    rows = ProviderAccount.objects.filter(enabled=True).exclude(kind__in=VIRTUAL)  # which have none
    for name, kind, base_url in rows.values_list("name", "kind", "base_url"):
        account = ProviderAccount(kind=kind, base_url=base_url)
        url = account.url
        fault = egress.url_fault(url) or (azure.address_fault(url) if account.vendor.deployments else "")
        if fault:
            yield Finding(
                "egress", ERROR, f"{name}: {fault}", "Correct its address, or list the host in GATEHOUSE_EGRESS_ALLOW."
            )
            continue
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        why = _connection_fault(host, port)
        if why:
            yield Finding(
                "egress",
                WARNING,
                f"{name}: {host}:{port} can't be reached ({why}).",
                "Check the address, the name server and the firewall.",
            )


def _connection_fault(host: str, port: int) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        address = str(found[0][4][0])
        fault = egress.address_fault(host, address)
        if fault:
            return fault
        with socket.create_connection((address, port), CONNECT_SECONDS):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__


def check_rules() -> Iterator[Finding]:
    """What is configured and reaches nothing: accounts that no one may use, models without an account's grant, limits
    of tokens that name nothing.
    """
    used = set(Grant.objects.values_list("account_id", flat=True))
    for pk, name in ProviderAccount.objects.filter(enabled=True).values_list("pk", "name"):
        if pk not in used:
            yield Finding("rules", WARNING, f"No one may use {name}: it has no grant.", "Grant it, or disable it.")
    empty = ProviderAccount.objects.filter(enabled=True).annotate(number=Count("models")).filter(number=0)
    for name, kind, any_model in empty.values_list("name", "kind", "any_model"):
        if not any_model:
            action = "Add some." if kind in VIRTUAL else "Add some, or allow models that are not listed."
            yield Finding("rules", WARNING, f"{name} has no models.", action)
    now = datetime.now(UTC)
    tokens = ApiToken.objects.filter(revoked_at=None).exclude(limits=None)
    for prefix, limits, expires_at in tokens.values_list("prefix", "limits", "expires_at"):
        if limits and (expires_at is None or expires_at > now) and (fault := limits_fault(limits)):
            yield Finding(
                "rules", WARNING, f"The token {prefix}… is limited to what is not there: {fault}", "Issue a new one."
            )


def check_prices() -> Iterator[Finding]:
    """Models without a price, and calls that have none: their cost is in no report."""
    models = Model.objects.filter(enabled=True, account__enabled=True, price_source=Model.PriceSource.PUBLIC)
    models = models.exclude(account__kind__in=VIRTUAL)  # whose targets have them
    unpriced = []
    for account, kind, name, upstream_id in models.values_list("account__name", "account__kind", "name", "upstream_id"):
        source = ProviderAccount(kind=kind).vendor.price_source
        if public_prices(source, upstream_id).now().sheet is None:
            unpriced.append(f"{account}/{name}")
    if unpriced:
        yield Finding(
            "prices",
            WARNING,
            f"No price for {counted(len(unpriced), 'model')}: {', '.join(unpriced[:10])}"
            f"{' …' if len(unpriced) > 10 else ''}.",
            "Give them a private price, or correct what the provider calls them.",
        )
    since = datetime.now(UTC) - timedelta(days=1)
    records = UsageRecord.objects.filter(created_at__gte=since, cost_pico=None).values_list("model_asked")
    for name, number in records.annotate(number=Count("pk")).order_by("-number")[:5]:
        calls = f"{counted(number, 'call')} to {name or '(no model)'}"
        yield Finding("prices", WARNING, f"No cost of {calls} since yesterday.", "See above.")


def check_models() -> Iterator[Finding]:
    """Models that their provider has shut down, or will soon."""
    soon = datetime.now(UTC).date() + timedelta(days=SOON_DAYS)
    models = Model.objects.filter(enabled=True, account__enabled=True, deprecated_on__lte=soon)
    for account, name, day in models.values_list("account__name", "name", "deprecated_on"):
        yield Finding(
            "models",
            WARNING,
            f"{account}/{name} is shut down on {day}.",
            "Move its callers to another model, then disable it.",
        )


def check_offers() -> Iterator[Finding]:
    """Servers of accounts with ``any_model`` that did not give the list of their models when they were last asked."""
    rows = OfferedList.objects.filter(account__enabled=True, account__any_model=True).exclude(fault="")
    for name, fault, read_at in rows.order_by("account__name").values_list("account__name", "fault", "read_at"):
        kept = f"shows what it listed at {read_at:%Y-%m-%d %H:%M} UTC" if read_at else "shows none of what it offers"
        yield Finding(
            "offers",
            WARNING,
            f"The server of {name} gave no list of its models, so GET /models {kept}: {fault}",
            f"Correct the account, then run manage.py discover {name}. A server without a list harms no call.",
        )


def check_narrowed() -> Iterator[Finding]:
    """Accounts that pass any name on and keep some models for some callers: what an upstream's alias means, no one
    knows.
    """
    narrowed = Model.objects.filter(account__enabled=True, account__any_model=True, subjects__isnull=False)
    for name in narrowed.order_by("account__name").values_list("account__name", flat=True).distinct():
        yield Finding(
            "narrowed models",
            WARNING,
            f"{name} passes any model's name on, and has models that are not for all: the provider may know them by "
            "other names, too.",
            "List its models and turn any_model off, or move the narrowed ones to an account of their own.",
        )


def check_targets() -> Iterator[Finding]:
    """Targets of virtual models and routing rules that are not there."""
    rows = Model.objects.exclude(routing={}).order_by("account__name", "name")
    known = Names(suggests=False)
    gone = [
        (f"The virtual model {account}/{model}", target)
        for account, model, routing in rows.values_list("account__name", "name", "routing")
        for target in target_names(routing)
        if not known.has_model(target)
    ]
    for rule in RoutingRule.objects.all():
        targets = routes.target_names(rule.effect)
        gone += [(f"The routing rule {rule}", target) for target in targets if not known.has_model(target)]
    for whose, target in gone:
        yield Finding(
            "targets",
            WARNING,
            f"{whose} has the target {target}, which does not exist: calls pass it over.",
            "Take it out, or add the model. No new account can have a name that a target has.",
        )
