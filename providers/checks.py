"""System checks: what ``manage.py check`` and every start say about the egress rules and the stored keys."""

from collections.abc import Sequence
from typing import Any

from django.apps.config import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from fernet_fields import DecryptionError

from providers import egress
from providers.bound_secrets import ENCRYPTED
from providers.models import ProviderAccount

BAD_EGRESS_ENTRY = "providers.E001"
UNREADABLE_KEYS = "providers.E002"
MISBOUND_KEYS = "providers.E003"
EGRESS_OPEN = "providers.W001"


@register(Tags.security)
def egress_rules(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check ``GATEHOUSE_EGRESS_ALLOW``: every entry can be read, and none of them switches the rules off."""
    faults: list[CheckMessage] = []
    for entry in settings.EGRESS_ALLOW:
        try:
            _, networks = egress.parse_allow_list([entry])
        except ImproperlyConfigured as error:
            what, _, fix = str(error).partition(". ")
            faults.append(Error(f"{what}.", hint=fix, id=BAD_EGRESS_ENTRY))
            continue
        if any(network.prefixlen == 0 for network in networks):
            faults.append(
                Warning(
                    f"GATEHOUSE_EGRESS_ALLOW: {entry} allows every address, metadata services among them.",
                    hint="List the networks that hold your own model servers, for example 10.20.0.0/16.",
                    id=EGRESS_OPEN,
                )
            )
    return faults


@register(Tags.database)
def stored_keys(
    app_configs: Sequence[AppConfig] | None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[CheckMessage]:
    """Check that the keys of provider accounts can be decrypted, and are for the addresses that the accounts have.

    Part of ``manage.py check --database default``.
    """
    unreadable: list[str] = []
    faults: list[CheckMessage] = []
    for alias in databases or ():
        if not _is_migrated(alias):
            continue
        for key, name in ProviderAccount.objects.using(alias).values_list("pk", "name"):
            try:
                fault = (
                    ProviderAccount.objects.using(alias)
                    .only("base_url", "kind", *ENCRYPTED)
                    .get(pk=key)
                    .secrets_fault()
                )
            except DecryptionError:
                unreadable.append(name)
            else:
                faults += [Error(f"The account {name} can't be called: {fault}", id=MISBOUND_KEYS)] if fault else []
    if not unreadable:
        return faults
    return [
        *faults,
        Error(
            f"The stored keys of {', '.join(sorted(unreadable))} were encrypted with another encryption key.",
            hint="Restore it (GATEHOUSE_ENCRYPTION_KEYS, or encryption_key in the data directory), or enter the keys "
            "again.",
            id=UNREADABLE_KEYS,
        ),
    ]


def _is_migrated(alias: str) -> bool:
    """Whether the accounts' table has all its columns: ``migrate`` runs the checks before it makes them."""
    table, connection = ProviderAccount._meta.db_table, connections[alias]
    with connection.cursor() as cursor:
        if table not in connection.introspection.table_names(cursor):
            return False
        there = {column.name for column in connection.introspection.get_table_description(cursor, table)}
    return {field.column for field in ProviderAccount._meta.concrete_fields} <= there
