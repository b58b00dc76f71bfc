"""``manage.py create_token``: create a token and print it."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.audited_command import AuditedCommand
from accounts.issuing import issue_token


class Command(AuditedCommand):
    help = (
        "Make a token for a user or a virtual account (made when missing). Prints the token alone on standard output."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        owner = parser.add_mutually_exclusive_group(required=True)
        owner.add_argument("--user", default="", metavar="EMAIL", help="whose token it is")
        owner.add_argument("--virtual-account", default="", metavar="NAME", help="or which application's")
        parser.add_argument("--name", required=True, help="what it is for; shown in lists and logs")
        parser.add_argument("--expires", default="", metavar="WHEN", help="90d, 12h, 4w, 2027-01-31 or an ISO time")
        parser.add_argument(
            "--limit",
            action="append",
            default=[],
            metavar="ACCOUNT[/MODEL]",
            help="narrow it to this account or model; may be repeated",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            token, secret, made = issue_token(
                name=options["name"],
                user=options["user"],
                virtual_account=options["virtual_account"],
                expires=options["expires"],
                limits=options["limit"],
            )
        except ValueError as error:
            raise CommandError(str(error), returncode=2) from None
        owner = token.user or f"virtual account {token.virtual_account}"
        if made:
            now = "what is granted to everyone" if token.user else "nothing"
            self._note(f"Made {owner}; until an account is granted to them, they may call {now}.")
        until = f"until {token.expires_at:%Y-%m-%d %H:%M} UTC" if token.expires_at else "without an end"
        narrowed = f", for {', '.join(token.limits)} only" if token.limits else ""
        self._note(f"Token {token.prefix}… of {owner}, valid {until}{narrowed}. It is shown this once:")
        self.stdout.write(secret)

    def _note(self, text: str) -> None:
        self.stderr.write(text, style_func=str)
