"""``manage.py test_channel NAME``: send a test message now, and say what came of it."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from accounts.command import GatehouseCommand
from alerts.delivery import send_test
from alerts.management.named import find
from alerts.models import Channel


class Command(GatehouseCommand):
    help = "Send a test message to a channel. The exit status is 1 when it was not accepted."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="the channel's name")

    def handle(self, *args: Any, **options: Any) -> None:
        channel = find(Channel, options["name"])
        fault = send_test(channel)
        if fault:
            raise CommandError(f"It was not accepted: {fault}.")
        self.stdout.write("It was accepted.")
