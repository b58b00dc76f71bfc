"""What the commands about an account have in common: finding it, and printing a row for each of its models."""

import json
from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.command import GatehouseCommand
from providers.lookup import find_account
from providers.models import ProviderAccount


def account_named(name: str, *, lock: bool = False) -> ProviderAccount:
    """Return the account as ``find_account`` does; it ends the command with what is wrong."""
    try:
        return find_account(name, lock=lock)
    except ValueError as error:
        raise CommandError(str(error)) from None


class ModelsCommand(GatehouseCommand):
    """A command that prints a row for each of an account's models, in words or as JSON."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's name")
        parser.add_argument("--json", action="store_true", help="a JSON list, one object per model")

    def print_rows(self, rows: Iterable[dict[str, Any]], lines: Iterable[str], *, as_json: bool) -> None:
        """Print what the models are: the objects, or a line of each."""
        if as_json:
            self.stdout.write(json.dumps(list(rows), indent=2))
        else:
            for line in lines:
                self.stdout.write(line)
