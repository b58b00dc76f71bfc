"""``manage.py discover``: the models that an account's server lists, and adding them to the account."""

import json
from fnmatch import fnmatchcase
from typing import Any

from django.core.management.base import CommandError, CommandParser
from fernet_fields import DecryptionError

from accounts.audited_command import AuditedCommand
from providers.catalogue.models import KnownModel, seed
from providers.discovery import DiscoveryFailed, discover
from providers.lookup import find_account, undecryptable


class Command(AuditedCommand):
    help = (
        "List the models that an account's server offers, as it says itself, and with --add add those that are not "
        "there yet. What a model may be called for comes from the catalogue, the server's list or the model's name."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's name")
        parser.add_argument(
            "--match",
            action="append",
            default=[],
            metavar="PATTERN",
            help="only names like this, for example 'gpt-*'; may be repeated",
        )
        parser.add_argument("--add", action="store_true", help="add what is not there yet, at public prices")
        parser.add_argument("--json", action="store_true", help="a JSON list, one object per model")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            account = find_account(options["account"])
            found = discover(account)
        except DecryptionError:
            raise CommandError(undecryptable(options["account"])) from None
        except (ValueError, DiscoveryFailed) as error:
            raise CommandError(str(error)) from None
        patterns = options["match"] or ["*"]
        found = [known for known in found if any(fnmatchcase(known.name, pattern) for pattern in patterns)]
        there = set(account.models.values_list("name", flat=True))
        new = [known for known in found if known.name not in there]
        if options["add"]:
            seed(account, new)
        if options["json"]:
            self.stdout.write(json.dumps([_row(known, known.name in there) for known in found], indent=2))
            return
        for known in found:
            sign = " " if known.name in there else "+" if options["add"] else "?"
            self.stdout.write(f"{sign} {account.name}/{known.name}  {', '.join(known.model_types)} · {known.price}")
        done = f"Added {len(new)}" if options["add"] else f"{len(new)} are not there yet: --add adds them"
        self.stdout.write(f"{len(found)} models offered. {done}.")


def _row(known: KnownModel, there: bool) -> dict[str, Any]:
    return {
        "name": known.name,
        "model_types": list(known.model_types),
        "context_window": known.context_window,
        "max_output_tokens": known.max_output_tokens,
        "there": there,
    }
