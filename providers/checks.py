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
from providers.models import ProviderAccount

BAD_EGRESS_ENTRY = "providers.E001"
UNREADABLE_KEYS = "providers.E002"
EGRESS_OPEN = "providers.W001"


@register(Tags.security)
def egress_rules(app_configs: Sequence[AppConfig] | None, **kwargs: Any) -> list[CheckMessage]:
    """Check ``GATEHOUSE_EGRESS_ALLOW``: every entry can be read, and none of them switches the rules off."""
    faults: list[CheckMessage] = []
    for entry in settings.EGRESS_ALLOW:
        try:
            _, networks = egress.parse_allow_list([entry])
        except ImproperlyConfigured as error:
            what, _, mend = str(error).partition(". ")
            faults.append(Error(f"{what}.", hint=mend, id=BAD_EGRESS_ENTRY))
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
    """Check that the keys of provider accounts can be decrypted. Part of ``manage.py check --database default``."""
    unreadable = []
    for alias in databases or ():
        if ProviderAccount._meta.db_table not in connections[alias].introspection.table_names():
            continue  # before the first migration
        for key, name in ProviderAccount.objects.using(alias).values_list("pk", "name"):
            try:
                ProviderAccount.objects.using(alias).filter(pk=key).values_list(
                    "credentials", "extra_headers_json"
                ).get()
            except DecryptionError:
                unreadable.append(name)
    if not unreadable:
        return []
    return [
        Error(
            f"The stored keys of {', '.join(sorted(unreadable))} were encrypted with another encryption key.",
            hint="Restore it (GATEHOUSE_ENCRYPTION_KEYS, or encryption_key in the data directory), or enter the keys "
            "again.",
            id=UNREADABLE_KEYS,
        )
    ]
