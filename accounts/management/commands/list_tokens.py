"""``manage.py list_tokens``: which tokens there are, without the tokens."""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.command import GatehouseCommand
from accounts.issuing import describe, find_tokens
from accounts.printable import printable

STATES = ("active", "expired", "revoked")


class Command(GatehouseCommand):
    help = "List tokens: beginning, owner, state, limits, expiry and last use."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", default="", metavar="EMAIL")
        parser.add_argument("--virtual-account", default="", metavar="NAME")
        parser.add_argument("--name", default="")
        parser.add_argument("--state", choices=STATES, help="only those")
        parser.add_argument("--json", action="store_true", help="a JSON list")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = find_tokens(**{key: options[key] for key in ("user", "virtual_account", "name")})
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from None
        rows = [describe(token) for token in found if options["state"] in (None, token.state)]
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2))
            return
        for row in rows:
            owner = row["user"] or f"virtual account {row['virtual_account']}"
            limits = f" · only {', '.join(row['limits'])}" if row["limits"] else ""
            expiry = f" · expires {row['expires_at']}" if row["expires_at"] else ""
            used = f" · last used {row['last_used_at'] or 'never'}"
            name = printable(row["name"])
            self.stdout.write(f"{row['prefix']}…  {row['state']:8} {owner} · {name}{limits}{expiry}{used}")
