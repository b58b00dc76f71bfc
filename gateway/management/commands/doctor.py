"""``manage.py doctor``: what is wrong with this installation, and what to do about it."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from accounts.command import GatehouseCommand
from accounts.printable import printable
from gateway.doctor.checks import examine
from gateway.doctor.findings import ERROR, OK, WARNING

MARKS = {OK: "ok", WARNING: "WARNING", ERROR: "ERROR"}
EXIT_ERRORS, EXIT_WARNINGS = 1, 3


class Command(GatehouseCommand):
    help = (
        "Look at settings, database, Redis, clocks, disk, keys, addresses of providers, rules that reach nothing, "
        "prices and models that are shut down, and say what to do. Ends with 0 when all is well, 3 with warnings "
        "only, 1 with errors."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        findings = list(examine())
        if options["json"]:
            self.stdout.write(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=2))
        else:
            for finding in findings:
                self.stdout.write(f"{MARKS[finding.level]:8} {finding.check}: {printable(finding.message)}")
                if finding.action:
                    self.stdout.write(f"{'':8} -> {printable(finding.action)}")
        levels = {finding.level for finding in findings}
        if ERROR in levels:
            sys.exit(EXIT_ERRORS)
        if WARNING in levels:
            sys.exit(EXIT_WARNINGS)
