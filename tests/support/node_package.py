"""Packages of npm's for tests: those of ``tests/support/node``, which ``programs_setup.sh`` installs."""

import shutil
import sys
from pathlib import Path


def node_with(package: str) -> tuple[str, Path]:
    """Return node and the folder of modules that has ``package``. Fails where they are not installed."""
    node = shutil.which("node")
    modules = Path(sys.prefix) / "node-packages" / "node_modules"
    assert node is not None, "The tests need node: sh tests/support/programs_setup.sh"
    assert (modules / package).exists(), f"The tests need {package} for node: sh tests/support/programs_setup.sh"
    return node, modules
