"""Commands whose changes are recorded as those of the operating system's user who ran them."""

import getpass
from typing import Any

from accounts.acting import acting
from accounts.command import GatehouseCommand


def shell_user() -> str:
    """Return the name of the user who runs this process; empty when the system knows none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return ""


class AuditedCommand(GatehouseCommand):
    """A command that changes the configuration. ``source`` is what the audit log calls where the change comes from."""

    source = "command"

    def execute(self, *args: Any, **options: Any) -> Any:
        """Run the command on the user's behalf."""
        with acting(shell_user(), self.source, type(self).__module__.rsplit(".", 1)[-1]):
            return super().execute(*args, **options)
