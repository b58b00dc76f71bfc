"""``manage.py silence_alert NAME``: send nothing of an alert for some time."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.audited_command import AuditedCommand
from accounts.database_clock import database_now
from accounts.issuing import parse_expiry
from alerts.management.named import find
from alerts.models import Alert


class Command(AuditedCommand):
    help = "Keep an alert silent until a time. Incidents are still recorded; what is open then is announced afterwards."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the alert's name")
        when = parser.add_mutually_exclusive_group(required=True)
        when.add_argument("--until", metavar="WHEN", help="30m, 12h or 7d from now, a day or an ISO time")
        when.add_argument("--end", action="store_true", help="end the silence")

    def handle(self, *args: Any, **options: Any) -> None:
        alert = find(Alert, options["name"])
        try:
            alert.silenced_until = None if options["end"] else parse_expiry(options["until"], database_now())
        except ValueError as error:
            raise CommandError(str(error).replace("expiry", "time")) from None
        alert.save(update_fields=["silenced_until"])
        until = f"silent until {alert.silenced_until:%Y-%m-%d %H:%M} UTC" if alert.silenced_until else "not silent"
        self.stdout.write(f"{alert} is {until}.")
