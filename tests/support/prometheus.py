"""A real Prometheus that scrapes a gateway under test."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.support.servers import free_port, wait_until

CONFIG = """
global: {{scrape_interval: 1s, evaluation_interval: 1s}}
rule_files: [{rules}]
scrape_configs:
  - job_name: gatehouse
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
    authorization: {{credentials: {token}}}
"""


def program(name: str) -> str:
    """Return the path of one of Prometheus' programs."""
    found = shutil.which(name)
    assert found, "run tests/support/programs_setup.sh"
    return found


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the result of an expression now; fails when Prometheus does not take it."""
        answer = self.http.get("/api/v1/query", params={"query": expression})
        assert answer.status_code == 200, (expression, answer.text)
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def value(self, expression: str) -> float:
        """Return the one value of an expression, 0 where there is none."""
        found = self.query(expression)
        assert len(found) < 2, found
        return float(found[0]["value"][1]) if found else 0.0


@contextlib.contextmanager
def prometheus(folder: Path, port: int, token: str, rules: Path) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes ``port`` every second."""
    folder.mkdir()
    config, own = folder / "prometheus.yml", free_port()
    config.write_text(CONFIG.format(rules=rules, port=port, token=token))
    command = [
        program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{own}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    running = Prometheus(own)
    try:
        wait_until(lambda: _ready(running), 30)
        yield running
    finally:
        running.http.close()
        process.terminate()
        process.wait(20)


def _ready(running: Prometheus) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return running.http.get("/-/ready").status_code == 200
    return False
