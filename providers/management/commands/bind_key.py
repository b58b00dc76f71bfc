"""``manage.py bind_key``: say that stored secrets are for the address that their account has."""

from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from accounts.audit import note
from accounts.audited_command import AuditedCommand
from providers.bound_secrets import SECRETS
from providers.management.accounts import account_named
from providers.models import ProviderAccount
from providers.origins import origin


class Command(AuditedCommand):
    help = (
        "Bind the stored key and extra headers of accounts to the address that each has now, after a look at it: for "
        "secrets that an older release or another program stored. Without a name it lists the accounts that need it."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", nargs="*", help="the accounts' names")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["account"]:
            self._list()
            return
        with transaction.atomic():
            for name in options["account"]:
                self._bind(name)

    def _list(self) -> None:
        needed = [account for account in ProviderAccount.objects.all() if account.secrets_fault()]
        for account in needed:
            self.stdout.write(f"{account.name} ({origin(account.url)}): {account.secrets_fault()}")
        if not needed:
            self.stdout.write("Nothing to do: every stored secret is bound to its account's address.")

    def _bind(self, name: str) -> None:
        account = account_named(name, lock=True)
        faulty = [column for column in SECRETS if account.secret_fault(column)]
        if faulty:
            account.bind_secrets()
            account.save()
            note(account, f"bound its stored secrets to {origin(account.url)}")
        done = f"bound to {origin(account.url)}" if faulty else "nothing to do"
        self.stdout.write(f"{account.name}: {done}")
