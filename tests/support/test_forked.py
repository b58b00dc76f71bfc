"""Processes that are forks have the settings, the outputs and the end that a new interpreter would have."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.forked import Forked, finished
from tests.support.installation import environment

PRINT = "from django.conf import settings as s; print(s.MAX_BODY_BYTES, s.DEBUG, s.DATABASES['default']['NAME'])"


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"GATEHOUSE_MAX_BODY_MB": "3"}, f"{3 * 2**20} False"),  # the set-up process takes it over
        ({"GATEHOUSE_MAX_BODY_MB": "2", "DEBUG": "true"}, f"{2 * 2**20} True"),  # which set-up has read already
    ],
)
def test_settings_are_those_of_the_environment(tmp_path: Path, env: dict[str, str], said: str) -> None:
    data = tmp_path / "data"
    done = finished(["manage.py", "shell", "-v0", "-c", PRINT], environment(data, env), 60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{said} {data}/gatehouse.sqlite3\n"


def test_a_program_ends_with_its_code_or_its_signal(tmp_path: Path) -> None:
    env = environment(tmp_path / "data", {})
    done = finished(["manage.py", "no-such-command"], env, 60)
    assert done.returncode == 1
    assert "Unknown command" in done.stderr
    with (tmp_path / "log").open("wb") as log:
        command = ["manage.py", "shell", "-v0", "-c", "print('begun', flush=True); import time; time.sleep(60)"]
        process = Forked(command, env, log.fileno(), log.fileno())
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.kill()
    assert process.wait(10) == -signal.SIGKILL
    assert process.poll() == -signal.SIGKILL
    process.terminate()  # it is gone: nothing happens
