"""The Portkey gateway from its npm package. It keeps no tokens and no records: it routes by request headers."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import tools
from benchmarks.endpoint import Endpoint, address
from benchmarks.processes import free_port, running, wait_ready
from benchmarks.servers.base import Host, Running

PACKAGE = tools.NODE_FOLDER / "node_modules" / "@portkey-ai" / "gateway"


def version() -> str:
    """Return the version of the installed package."""
    return json.loads((PACKAGE / "package.json").read_text())["version"]


@contextmanager
def start(host: Host) -> Iterator[Running]:
    """Run the gateway without its console page."""
    port = free_port()

    def endpoint(path: str, which: str, model: str) -> Endpoint:
        headers = {
            "authorization": "Bearer sk-upstream",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{host.upstreams.origin(which)}/v1",
        }
        return Endpoint(address(f"http://127.0.0.1:{port}", path, model), headers, model)

    argv = [
        shutil.which("node") or "node",
        str(PACKAGE / "build" / "start-server.js"),
        f"--port={port}",
        "--headless",
    ]
    env = {"NODE_ENV": "production"}
    with running("portkey", argv, cores=host.cores, home=host.home, env=env) as child:
        wait_ready(child, f"http://127.0.0.1:{port}/", seconds=60)
        yield Running(endpoint, child.pid)
