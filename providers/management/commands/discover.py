"""``manage.py discover``: the models that an account's server lists, and adding them to the account."""

from fnmatch import fnmatchcase
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.audited_command import AuditedCommand
from accounts.words import counted
from providers.catalogue.models import KnownModel, seed
from providers.discovery import DiscoveryFailed, discover
from providers.management.accounts import ModelsCommand, account_named
from providers.offers import keep


class Command(ModelsCommand, AuditedCommand):
    help = (
        "List the models that an account's server offers, as it says itself, and with --add add those that are not "
        "there yet. What a model may be called for comes from the catalogue, the server's list or the model's name."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--match",
            action="append",
            default=[],
            metavar="PATTERN",
            help="only names like this, for example 'gpt-*'; may be repeated",
        )
        parser.add_argument("--add", action="store_true", help="add what is not there yet, at public prices")

    def handle(self, *args: Any, **options: Any) -> None:
        account = account_named(options["account"])
        try:
            found = discover(account)
        except DiscoveryFailed as failure:
            raise CommandError(str(failure)) from None
        keep(account, found)
        patterns = options["match"] or ["*"]
        found = [known for known in found if any(fnmatchcase(known.name, pattern) for pattern in patterns)]
        there = set(account.models.values_list("name", flat=True))
        new = [known for known in found if known.name not in there]
        if options["add"]:
            seed(account, new)
        sign = "+" if options["add"] else "?"
        done = f"Added {len(new)}" if options["add"] else f"Not there yet: {len(new)}; --add adds them"
        self.print_rows(
            [_row(known, known.name in there) for known in found],
            [
                *(_line(account.name, known, " " if known.name in there else sign) for known in found),
                f"{counted(len(found), 'model')} offered. {done}.",
            ],
            as_json=options["json"],
        )


def _line(account: str, known: KnownModel, sign: str) -> str:
    return f"{sign} {account}/{known.name}  {', '.join(known.model_types)} · {known.price}"


def _row(known: KnownModel, there: bool) -> dict[str, Any]:
    return {
        "name": known.name,
        "model_types": list(known.model_types),
        "context_window": known.context_window,
        "max_output_tokens": known.max_output_tokens,
        "there": there,
    }
