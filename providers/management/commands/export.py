"""``manage.py export``: write the configuration as manifests."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.command import GatehouseCommand
from providers.manifests.apply import export_documents, to_yaml


class Command(GatehouseCommand):
    help = "Print the configuration as manifests, without secrets. Applying them again changes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--account",
            action="append",
            default=[],
            metavar="NAME",
            help="only this provider account; may be repeated (default: everything)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self.stdout.write(to_yaml(export_documents(options["account"])), ending="")
        except ValueError as error:
            raise CommandError(str(error)) from None
