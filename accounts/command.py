"""What all commands of ours have in common: a database that fails is said in a line, and rows end before it closes."""

from traceback import clear_frames
from typing import Any, Final

from django.conf import settings
from django.core.checks import Tags
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from accounts.words import counted

NOT_MIGRATED: Final = 2


class GatehouseCommand(BaseCommand):
    """A command that ends with 2 and what to do when the database lacks migrations, with 1 when it can't be used.

    Of Django's checks it makes those of settings and keys: the others, for which all addresses and pages would be
    loaded, are of the code.
    """

    requires_system_checks: tuple[str, ...] = (Tags.security,)

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run the command. Raises ``CommandError`` for a database that is not ready."""
        try:
            return super().execute(*args, **options)
        except BaseException as error:  # the command's boundary: whatever ends it, its rows must end first
            _end_generators(error)
            if not isinstance(error, DatabaseError) or options.get("traceback"):
                raise
            _refuse_unready(error)
            raise  # neither: a fault of ours


def missing_migrations() -> int:
    """Return how many migrations the database lacks. Raises ``DatabaseError`` when it can't be asked."""
    executor = MigrationExecutor(connection)
    return len(executor.migration_plan(executor.loader.graph.leaf_nodes()))


def where_to_look() -> str:
    """Return what an operator has to fix when the database can't be used."""
    if settings.DATABASE_URL:
        return "Check DATABASE_URL."
    return (
        f"It is a file in the folder {settings.DATA_DIR}: this user must be able to write both. Fix that, or name "
        "another folder with GATEHOUSE_DATA_DIR."
    )


def why_unusable() -> str:
    """Return why the database can't be used, and what to do; empty: it can."""
    try:
        missing_migrations()
    except DatabaseError as fault:
        return _unusable(fault)
    return ""


def _refuse_unready(error: DatabaseError) -> None:
    """Raise ``CommandError`` where the database is what is wrong."""
    try:
        missing = missing_migrations()
    except DatabaseError as fault:
        raise CommandError(_unusable(fault)) from None
    if missing:
        lacks = f"The database lacks {counted(missing, 'migration')}. Run 'manage.py migrate' first."
        raise CommandError(lacks, returncode=NOT_MIGRATED) from None
    if isinstance(error, OperationalError | InterfaceError):
        raise CommandError(_unusable(error)) from None


def _unusable(error: DatabaseError) -> str:
    reason = str(error).partition("\n")[0]
    return f"The database can't be used ({type(error).__name__}: {reason}). {where_to_look()}"


def _end_generators(error: BaseException | None) -> None:
    """Let go of what the functions held that failed: a generator over rows would otherwise live as long as the error,
    and complain of a closed database at the interpreter's end.
    """
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__context__
