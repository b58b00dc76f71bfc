"""Ferro Labs' gateway (Go), from the binary in its PyPI package: a master key, no plugins, everything in memory.

It takes one address a provider from its environment, so a process runs for each upstream; only the one in use is
measured.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from benchmarks import tools
from benchmarks.endpoint import ANTHROPIC, CLAUDE, GEMINI, MODEL, OTHERS, Endpoint, address
from benchmarks.payloads import MEGABYTE
from benchmarks.processes import Child, free_port, running, wait_ready
from benchmarks.servers.base import Host, Running
from benchmarks.upstream import INSTANT, STREAMING

MASTER_KEY = "fgw_benchmark_0123456789abcdef"
ENVIRONMENT = {
    "GATEWAY_ENV": "production",
    "MASTER_KEY": MASTER_KEY,
    **dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"), "sk-upstream"),
    "LOG_LEVEL": "error",
    # Its limit of requests an address would stop the load.
    "RATE_LIMIT_RPS": "0",
    # Without this it fetches its list of models from the network at start.
    "FERRO_MODEL_CATALOG_TIMEOUT": "0",
}


def version() -> str:
    """Return the version of the installed package."""
    return tools.package_version("ferrogw")


def configuration() -> dict[str, Any]:
    """Return its configuration: a target for each vendor, chosen by the model, and room for the large upload."""
    targets = [
        {"virtual_key": "openai", "models": [MODEL, *OTHERS.values()]},
        {"virtual_key": "anthropic", "models": [CLAUDE]},
        {"virtual_key": "gemini", "models": [GEMINI]},
    ]
    by_model = {CLAUDE: "anthropic", GEMINI: "gemini"}
    rules = [{"key": "model", "value": model, "target_key": target} for model, target in by_model.items()]
    strategy = {"mode": "conditional", "conditions": rules}
    return {"strategy": strategy, "targets": targets, "max_request_bytes": 64 * MEGABYTE}


@contextmanager
def start(host: Host) -> Iterator[Running]:
    """Run a gateway in front of each upstream."""
    config = host.home / "ferro.json"
    config.write_text(json.dumps(configuration()))
    ports = {which: free_port() for which in (INSTANT, STREAMING)}

    def endpoint(path: str, which: str, model: str) -> Endpoint:
        headers = {"authorization": f"Bearer {MASTER_KEY}"}
        return Endpoint(address(f"http://127.0.0.1:{ports[which]}", path, model), headers, model)

    with ExitStack() as stack:
        children: dict[str, Child] = {}
        for which, port in ports.items():
            own = {
                "PORT": str(port),
                "GATEWAY_CONFIG": str(config),
                "OPENAI_BASE_URL": f"{host.upstreams.origin(which)}/v1",
                "ANTHROPIC_BASE_URL": f"{host.upstreams.origin(which)}{ANTHROPIC}/v1",
                "GEMINI_BASE_URL": host.upstreams.origin(which),
            }
            argv = [tools.program("ferrogw"), "serve"]
            child = running(f"ferro-{which}", argv, cores=host.cores, home=host.home, env=ENVIRONMENT | own)
            children[which] = stack.enter_context(child)
        for which, child in children.items():
            wait_ready(child, f"http://127.0.0.1:{ports[which]}/health", seconds=30)
        parts = {which: child.pid for which, child in children.items()}
        yield Running(endpoint, parts[INSTANT], parts=parts)
