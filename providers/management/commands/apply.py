"""``manage.py apply``: make the configuration what files say."""

import json
import os
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.audited_command import AuditedCommand
from providers.manifests.apply import ManifestError, apply_manifests

SUFFIXES = (".yaml", ".yml", ".json")


class Command(AuditedCommand):
    source = "manifest"
    help = (
        "Apply manifests: users, teams, virtual accounts, provider accounts with models and access. Prints what it "
        "adds, changes and removes. All or nothing: with one fault nothing is written and the exit status is 1."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "-f",
            "--file",
            action="append",
            required=True,
            dest="files",
            metavar="FILE",
            help="a YAML or JSON file, a folder of them, or - for standard input; may be repeated",
        )
        parser.add_argument("--dry-run", action="store_true", help="print what would be done, and write nothing")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="also remove provider accounts, teams and virtual accounts that no file names (never users)",
        )
        parser.add_argument("--json", action="store_true", help="print the plan, or the faults, as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        sources = [source for name in options["files"] for source in _read(name)]
        try:
            plan = apply_manifests(sources, os.environ, dry_run=options["dry_run"], prune=options["prune"])
        except ManifestError as error:
            if options["json"]:
                faults = [
                    {"file": one.source, "document": one.document, "path": one.path, "problem": one.problem}
                    for one in error.faults
                ]
                self.stdout.write(json.dumps({"faults": faults}, indent=2))
            count = len(error.faults)
            raise CommandError(f"{error}\n{count} fault{'s' * (count > 1)}; nothing was written.") from None
        if options["json"]:
            self.stdout.write(json.dumps(plan.as_dict(), indent=2, default=str))
            return
        for note in plan.notes:
            self.stderr.write(f"note: {note}", style_func=str)
        for line in plan.lines():
            self.stdout.write(line)


def _read(name: str) -> list[tuple[str, str]]:
    """Return name and text of the files that ``name`` matches."""
    if name == "-":
        return [("<stdin>", sys.stdin.read())]
    path = Path(name)
    files = sorted(entry for entry in path.iterdir() if entry.suffix in SUFFIXES) if path.is_dir() else [path]
    if not files:
        raise CommandError(f"The folder {name} holds no {', '.join(SUFFIXES)} file.")
    try:
        return [(str(file), file.read_text(encoding="utf-8")) for file in files]
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CommandError(f"{name}: is not UTF-8 text.") from None
