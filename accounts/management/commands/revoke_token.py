"""``manage.py revoke_token``: end tokens."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.audited_command import AuditedCommand
from accounts.issuing import find_tokens, revoke_tokens
from accounts.printable import printable


class Command(AuditedCommand):
    help = "Revoke tokens. They are refused everywhere within a second. What is given must all fit."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "token", nargs="?", default="", metavar="PREFIX", help="the beginning that list_tokens shows, or the token"
        )
        parser.add_argument("--user", default="", metavar="EMAIL", help="all tokens of this user")
        parser.add_argument("--virtual-account", default="", metavar="NAME", help="all tokens of this application")
        parser.add_argument("--name", default="", help="all tokens of this name")

    def handle(self, *args: Any, **options: Any) -> None:
        wanted = {key: options[key] for key in ("token", "user", "virtual_account", "name")}
        if not any(wanted.values()):
            raise CommandError("Say which: a token's beginning, --user, --virtual-account or --name.", returncode=2)
        try:
            found = find_tokens(**wanted)
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from None
        if not found:
            raise CommandError("No token fits. See manage.py list_tokens.")
        if wanted["token"] and len(found) > 1:
            names = ", ".join(f"{token.prefix} ({printable(token.name)})" for token in found)
            raise CommandError(f"{len(found)} tokens begin so: {names}. Give more of it, or --name.")
        ended = revoke_tokens(found)
        for token in ended:
            name = printable(token.name)
            self.stdout.write(f"revoked {token.prefix}… {name} of {token.user or token.virtual_account}")
        if not ended:
            self.stdout.write("nothing to do: revoked before")
