"""``manage.py unlock``: let people sign in again who have to wait."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.audited_command import AuditedCommand
from accounts.client_address import address_of
from accounts.sign_in import unlock


class Command(AuditedCommand):
    help = "Forget failed sign-ins, so that a person, or everybody at an address, may sign in again at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", nargs="?", default="", help="the person's e-mail address")
        parser.add_argument("--address", default="", help="an IP address, as the log has it")
        parser.add_argument("--all", action="store_true", help="everybody")

    def handle(self, *args: Any, **options: Any) -> None:
        if not (options["email"] or options["address"] or options["all"]):
            raise CommandError("Say who: an e-mail address, --address or --all.", returncode=2)
        address = address_of(options["address"])
        if options["address"] and not address:
            raise CommandError(f"{options['address']!r} is not an IP address.", returncode=2)
        found = unlock(name=options["email"], address=address)
        self.stdout.write("unlocked" if found else "nothing to do: no failed sign-in is remembered")
