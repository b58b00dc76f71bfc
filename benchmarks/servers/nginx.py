"""nginx as a bare reverse proxy: what one core can do at most, with nothing decided and nothing recorded."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import nginx
from benchmarks.endpoint import Endpoint, address
from benchmarks.processes import free_port, running, wait_ready
from benchmarks.servers.base import Host, Running
from benchmarks.upstream import INSTANT


def version() -> str:
    """Return the version of the nginx on the path."""
    return subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr.split("/")[-1].strip()


@contextmanager
def start(host: Host) -> Iterator[Running]:
    """Run one nginx worker with a port for each upstream."""
    ports = {which: free_port() for which in host.upstreams.ports}
    blocks = [nginx.proxy_server(ports[which], target) for which, target in host.upstreams.ports.items()]
    config = nginx.config(host.home / "nginx", *blocks)

    def endpoint(path: str, which: str, model: str) -> Endpoint:
        return Endpoint(address(f"http://127.0.0.1:{ports[which]}", path, model), {}, model)

    argv = [shutil.which("nginx") or "nginx", "-c", str(config)]
    with running("nginx", argv, cores=host.cores, home=host.home, env={}) as child:
        wait_ready(child, f"http://127.0.0.1:{ports[INSTANT]}/healthz", seconds=20)
        yield Running(endpoint, child.pid)
