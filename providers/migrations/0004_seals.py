"""Binds every stored secret to the origin that it is stored beside.

The previous release may go on: it neither reads nor writes the new column, and what it stores in the meantime has no
valid seal, so this release says so instead of sending it.
"""

import hashlib
import json
from typing import Any
from urllib.parse import urlsplit

import fernet_fields.fields
from django.db import migrations
from fernet_fields.fields import DecryptionError

from providers.vendors import VENDORS

SECRETS = ("credentials", "extra_headers_json")
PORTS = {"http": 80, "https": 443}


def bind(apps: Any, schema_editor: Any) -> None:
    """Write a seal for each account whose secrets can be read."""
    accounts = apps.get_model("providers", "ProviderAccount").objects.using(schema_editor.connection.alias)
    for pk in accounts.order_by("pk").values_list("pk", flat=True):
        try:
            row = accounts.select_for_update().get(pk=pk)
            origin = origin_of(row)
        except (DecryptionError, KeyError, ValueError):
            continue  # no key to read it with, or no address to bind it to: it has to be entered again
        seals = {
            column: [origin, hashlib.sha256(getattr(row, column).encode()).hexdigest()]
            for column in SECRETS
            if getattr(row, column)
        }
        accounts.filter(pk=pk).update(seal=json.dumps(seals) if seals else "")


def origin_of(row: Any) -> str:
    """Return scheme, host and port of an account's address."""
    parts = urlsplit(row.base_url or VENDORS[row.kind].base_url)
    return f"{parts.scheme}://{(parts.hostname or '').rstrip('.')}:{parts.port or PORTS[parts.scheme]}"


class Migration(migrations.Migration):
    dependencies = [("providers", "0003_finish_seconds")]

    operations = [
        migrations.AddField(
            model_name="provideraccount",
            name="seal",
            field=fernet_fields.fields.EncryptedTextField(blank=True, default="", editable=False, null=True),
        ),
        migrations.RunPython(bind, migrations.RunPython.noop),
    ]
