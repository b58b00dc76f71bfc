#!/usr/bin/env python3
"""Run Gatehouse's management commands."""

import os
import signal
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import DatabaseError


def fill_closed_streams() -> None:
    """Give standard streams that are closed something to be, so that no file or socket of ours gets their number.

    A closed output is a pipe that no one reads, so that what is written there is not taken for written.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr)):
        if stream is None:
            os.dup2(null, number)
            os.set_inheritable(number, True)
    if null > 2:
        os.close(null)
    if sys.stdout is None:
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.close(writer)
        os.close(reader)
        sys.stdout = os.fdopen(1, "w", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", closefd=False)


if __name__ == "__main__":
    fill_closed_streams()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    try:
        execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except ImproperlyConfigured as error:
        sys.exit(str(error))  # a bad setting: what it says is for the operator, where it was found is not
    except DatabaseError:  # of Django's own commands, like migrate: ours say it themselves
        from accounts.command import why_unusable  # nothing of ours can be imported before the settings are read

        why = "" if "--traceback" in sys.argv else why_unusable()
        if not why:
            raise
        sys.exit(f"CommandError: {why}")
    except BrokenPipeError:
        # "manage.py export | head", or ">&-": what reads us has enough. Nothing may be written at the interpreter's end
        # either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # sys.stdout may be closed by now
        sys.exit(128 + signal.SIGPIPE)
