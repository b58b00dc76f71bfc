"""What all commands say of a database that is not ready, and that rows are let go of when a command fails."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command, get_commands, load_command_class
from django.db import IntegrityError

from accounts.command import GatehouseCommand
from tests.support.forked import ROOT, finished
from tests.support.installation import Installation, environment
from tests.test_roles import OURS

# Each command with arguments that let it begin. "FILE" is a manifest.
ARGUMENTS = {
    "alerts": (),
    "apply": ("-f", "FILE"),
    "batches": ("list",),
    "bind_key": ("openai-main",),
    "check_budgets": (),
    "create_token": ("--user=a@example.com", "--name=t"),
    "discover": ("openai-main",),
    "explain": ("--as=a@example.com", "--model=openai-main/gpt-4o"),
    "export": (),
    "export_usage": (),
    "list_tokens": (),
    "prune_objects": (),
    "prune_request_log": (),
    "prune_usage": (),
    "rerate": ("--list",),
    "reset_two_factor": ("ada@example.com",),
    "reconcile": ("--account=openai-main", "--since=2026-11-01"),
    "revoke_token": ("gh-4fK2c9a",),
    "scheduled_exports": (),
    "seed_catalogue": ("openai-main", "--all"),
    "serve": (),
    "sign_in_link": ("ada@example.com",),
    "silence_alert": ("slow", "--until=1h"),
    "simulate": (),
    "test_channel": ("ops",),
    "test_credentials": ("openai-main",),
    "unlock": ("--all",),
    "usage_report": (),
    "usage_sums": (),
    "why": ("req_1",),
}
# These set the database up themselves, report its state, need none, or are for PostgreSQL alone.
WITHOUT = {"demo", "doctor", "drain", "partition_usage", "sandbox"}
TEAM = '{"type": "team", "name": "red", "members": ["a@example.com"]}'


@pytest.fixture(scope="module")
def unmigrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """An installation whose database has no table."""
    env = {"GATEHOUSE_EXPORT_STORAGE": "django.core.files.storage.FileSystemStorage"}
    with Installation(tmp_path_factory.mktemp("new") / "data", env=env) as installation:
        (installation.data / "team.yaml").write_text(TEAM)
        yield installation


def test_all_commands_are_ours_and_here() -> None:
    ours = {name: app for name, app in get_commands().items() if str(app) in OURS}
    assert set(ours) == {*ARGUMENTS, *WITHOUT}
    for name, app in ours.items():
        assert isinstance(load_command_class(app, name), GatehouseCommand), name


def test_a_command_loads_no_pages() -> None:
    """The console's pages and all addresses take half of the time in which a command starts."""
    program = (
        "import sys, django; django.setup()\n"
        "from django.core import checks\n"
        "from accounts.command import GatehouseCommand\n"
        "checks.run_checks(tags=GatehouseCommand.requires_system_checks)\n"
        "print(*{'gateway.urls', 'usage.admin', 'unfold.admin'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.mark.parametrize("name", ARGUMENTS)
def test_before_migrate_a_command_says_what_to_do(unmigrated: Installation, name: str) -> None:
    arguments = [argument.replace("FILE", str(unmigrated.data / "team.yaml")) for argument in ARGUMENTS[name]]
    done = unmigrated.command(name, *arguments)
    assert done.returncode == 2, done.stderr
    assert re.search(r"The database lacks \d+ migrations\. Run 'manage\.py migrate'", done.stderr), done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_database_that_can_not_be_used_is_said_in_a_line(tmp_path: Path, migrated_data: Path) -> None:
    with Installation(tmp_path / "data", migrated_data) as installation:
        for file in installation.data.glob("*.sqlite3*"):
            file.write_bytes(b"this is not a database" * 100)
        done = installation.command("list_tokens")
    assert done.returncode == 1
    reason = "DatabaseError: file is not a database"
    assert done.stderr.startswith(f"CommandError: The database can't be used ({reason}). It is a file in "), done.stderr


def test_django_commands_say_so_too(tmp_path: Path) -> None:
    env = environment(tmp_path, {"DATABASE_URL": "postgres://user:secret@127.0.0.1:1/none"})
    done = finished(["manage.py", "migrate"], env, 60)
    assert done.returncode == 1
    assert done.stderr.startswith("CommandError: The database can't be used (OperationalError: "), done.stderr
    assert done.stderr.endswith(" Check DATABASE_URL.\n")
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr


class Faulty(GatehouseCommand):
    """A command with a fault."""

    def handle(self, *args: Any, **options: Any) -> None:
        raise IntegrityError("UNIQUE constraint failed")


@pytest.mark.django_db
def test_a_fault_of_ours_is_not_blamed_on_the_database() -> None:
    with pytest.raises(IntegrityError):
        call_command(Faulty())
