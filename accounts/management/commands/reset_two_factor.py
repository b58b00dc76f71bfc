"""``manage.py reset_two_factor``: let a person sign in without a code who lost their phone and recovery codes."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.audited_command import AuditedCommand
from accounts.models import User
from accounts.two_factor import turn_off


class Command(AuditedCommand):
    help = "Turn a person's two-factor sign-in off."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", help="the person's e-mail address")

    def handle(self, *args: Any, **options: Any) -> None:
        person = User.objects.filter(email=options["email"].strip().lower()).first()
        if person is None:
            raise CommandError(f"No one has the address {options['email']!r}.")
        self.stdout.write("off" if turn_off(person) else "nothing to do: it is off")
