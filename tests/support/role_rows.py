"""Prints the table of the walk over roles as things are: ``python -m tests.support.role_rows > new.txt``.

Compare it with ``role_table.txt``, decide about each difference, and enter what is meant.
"""

import os
import tempfile
from pathlib import Path

import django

HEADING = """\
# What each role gets at each place: a status, "in" for a redirect to the sign-in page, "asks" for a page that asks
# whether to delete. Where a place names an object there are two: one that the manager manages, and one that they don't.
# "member" belongs to the teams of both objects, and may call the models of both.
# "application" has an API token and no session: the console knows no tokens.
# "auditor" sees everything and changes nothing.
# python -m tests.support.role_rows prints what is so now.
#
# method and route {} anonymous member  manager  auditor  superuser application"""


def main() -> None:
    """Walk as each role over an installation of its own, on SQLite."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from tests.support.installation import Installation  # needs Django set up
    from tests.support.role_walk import PASSWORD, PEOPLE, ROLES, Walker, in_order, places  # needs Django set up

    with Installation(Path(tempfile.mkdtemp()) / "data") as installation:
        assert installation.manage("migrate", "--verbosity=0").returncode == 0
        installation.do("people", PEOPLE, PASSWORD)
        gateway = installation.gateway()
        cells: dict[tuple[str, str], str] = {}
        for role in ROLES:
            objects = installation.do("role_objects", role, PEOPLE["manager"], PEOPLE["member"])
            token = gateway.token(f"walk-{role}", virtual_account=f"{role}-mine-bot")
            walker = Walker(gateway.origin, role, token, objects)
            cells.update({(str(place), role): walker.cell(place) for place in in_order(places())})
    print(HEADING.format(" " * 77))
    for place in places():
        print(f"{place!s:<95} " + " ".join(f"{cells[str(place), role]:<8}" for role in ROLES).rstrip())


if __name__ == "__main__":
    main()
