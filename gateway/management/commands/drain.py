"""``manage.py drain``: make the servers of this data directory unready, before they are stopped."""

import time
from argparse import ArgumentParser
from typing import Any

from accounts.command import GatehouseCommand
from gateway.server import draining


class Command(GatehouseCommand):
    help = (
        "Make /readyz of every server process on this data directory answer 503, so that a balancer sends new calls "
        "elsewhere; calls are served all the same. Stop the servers afterwards: the next start is ready again."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--wait", type=float, default=0, metavar="SECONDS", help="return only after so many seconds"
        )
        parser.add_argument("--off", action="store_true", help="make them ready again")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["off"]:
            draining.end()
            self.stdout.write("The servers are ready again.")
            return
        draining.begin()
        self.stdout.write("The servers are draining: /readyz answers 503.")
        time.sleep(max(0, options["wait"]))
