"""The LiteLLM proxy from its PyPI package: one worker, no database, a master key, its advised production settings."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks import tools
from benchmarks.endpoint import ANTHROPIC, CLAUDE, GEMINI, MODEL, OTHERS, Endpoint, address
from benchmarks.processes import free_port, running, wait_ready
from benchmarks.servers.base import Host, Running

MASTER_KEY = "sk-benchmark"
START_SECONDS = 180
ENVIRONMENT = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    # Without this it fetches its price list from the network at start.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "NO_DOCS": "True",
    # By default it opens 500 connections to one upstream, and a thousand streams need a thousand.
    "AIOHTTP_CONNECTOR_LIMIT": "4096",
    "AIOHTTP_CONNECTOR_LIMIT_PER_HOST": "4096",
}

# Model -> its name with LiteLLM's word for its vendor, and the end of the vendor's address.
MODELS = {
    **{model: (f"openai/{model}", "/v1") for model in (MODEL, *OTHERS.values())},
    CLAUDE: (f"anthropic/{CLAUDE}", ANTHROPIC),
    GEMINI: (f"gemini/{GEMINI}", "/v1beta"),
}


def version() -> str:
    """Return the version of the installed package."""
    return tools.package_version("litellm")


def configuration(host: Host) -> dict[str, Any]:
    """Return LiteLLM's configuration: every model of every upstream."""
    models = [
        {
            "model_name": f"{model}-{which}",
            "litellm_params": {
                "model": name,
                "api_base": f"{host.upstreams.origin(which)}{end}",
                "api_key": "sk-upstream",
            },
        }
        for which in host.upstreams.ports
        for model, (name, end) in MODELS.items()
    ]
    # Otherwise it asks OpenAI's Responses API for messages.
    settings = {"use_chat_completions_url_for_anthropic_messages": True}
    return {"model_list": models, "litellm_settings": settings, "general_settings": {"master_key": MASTER_KEY}}


@contextmanager
def start(host: Host) -> Iterator[Running]:
    """Run the proxy with one uvicorn worker."""
    port = free_port()
    # JSON is YAML too.
    config = host.home / "litellm.yaml"
    config.write_text(json.dumps(configuration(host)))

    def endpoint(path: str, which: str, model: str) -> Endpoint:
        headers = {"authorization": f"Bearer {MASTER_KEY}"}
        name = f"{model}-{which}"
        return Endpoint(address(f"http://127.0.0.1:{port}", path, name), headers, name)

    argv = [
        *(tools.program("litellm"), "--config", str(config), "--host", "127.0.0.1"),
        *("--port", str(port), "--num_workers", "1", "--telemetry", "False"),
        # By default it closes a connection that waited for 5 s, as those of a load that is done wait for its last
        # answer.
        *("--keepalive_timeout", "75"),
    ]
    with running("litellm", argv, cores=host.cores, home=host.home, env=ENVIRONMENT) as child:
        wait_ready(child, f"http://127.0.0.1:{port}/health/liveliness", seconds=START_SECONDS)
        yield Running(endpoint, child.pid)
