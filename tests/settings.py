"""The settings under test: Gatehouse's own, with a data directory of this test process and nothing from the outside.

pytest-django loads the settings before any conftest, so this is the one place that is early enough.
"""

import atexit
import os
import shutil
import tempfile

DATA = tempfile.mkdtemp(prefix="gatehouse-tests-")
os.environ["GATEHOUSE_DATA_DIR"] = DATA
for name in [name for name in os.environ if name.startswith("GATEHOUSE_") and name != "GATEHOUSE_DATA_DIR"]:
    del os.environ[name]
for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "DEBUG"):
    os.environ.pop(name, None)


def remove_data(owner: int = os.getpid()) -> None:
    """Remove the data directory when the process that made it ends; a forked child leaves it alone."""
    if os.getpid() == owner:
        shutil.rmtree(DATA, ignore_errors=True)


atexit.register(remove_data)

from gateway.settings import *  # noqa: E402, F403 - after the environment is made

tempfile.tempdir = None  # pytest's own folders are not the installation's
