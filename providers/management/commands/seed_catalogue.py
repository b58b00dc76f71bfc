"""``manage.py seed_catalogue``: add a vendor's real models to an account."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.audited_command import AuditedCommand
from providers.catalogue.models import choose, kind_of, known_models, seed
from providers.management.accounts import account_named

SIGNS = {"add": "+", "change": "~", "keep": " "}


class Command(AuditedCommand):
    help = "Add the vendor's real models to an account, with abilities and public prices, from the file that ships."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", help="the account's name")
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("--model", action="append", default=[], metavar="NAME", help="this one; may be repeated")
        which.add_argument("--all", action="store_true", help="all that the vendor has not shut down")
        which.add_argument("--list", action="store_true", help="only print what the catalogue has, with prices")
        parser.add_argument(
            "--refresh", action="store_true", help="bring abilities of models that are there up to date"
        )
        parser.add_argument("--dry-run", action="store_true", help="print what would be done, and write nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        account = account_named(options["account"])
        try:
            wanted = choose(kind_of(account), options["model"])
        except ValueError as error:
            raise CommandError(str(error)) from None
        if options["list"]:
            for known in known_models(kind_of(account)):
                end = f" · shut down on {known.deprecated_on}" if known.deprecated_on else ""
                self.stdout.write(f"{known.name}  {', '.join(known.model_types)} · {known.price}{end}")
            return
        done = seed(account, wanted, refresh=options["refresh"], dry_run=options["dry_run"])
        prices = {known.name: known.price for known in wanted}
        for row in done:
            if row.action != "keep" or options["model"]:
                changed = f" ({', '.join(row.fields)})" if row.fields else ""
                self.stdout.write(f"{SIGNS[row.action]} {account.name}/{row.name}{changed}  {prices[row.name]}")
        counts = {action: sum(row.action == action for row in done) for action in SIGNS}
        left = (
            ""
            if options["model"]
            else f"; {len(known_models(kind_of(account))) - len(wanted)} that are shut down left out"
        )
        verb = "Would add" if options["dry_run"] else "Added"
        self.stdout.write(f"{verb} {counts['add']}, changed {counts['change']}, kept {counts['keep']}{left}.")
