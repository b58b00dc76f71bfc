"""The TensorZero gateway (Rust), from its PyPI package, which carries it as a library that a Python process starts.

No database, so nothing is recorded and no key is asked for; its usage reports to its makers are off.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import tools
from benchmarks.endpoint import ANTHROPIC, CLAUDE, MESSAGES, MODEL, Endpoint
from benchmarks.processes import running, wait_for
from benchmarks.servers.base import Host, Running

LAUNCHER = Path(__file__).with_name("tensorzero_launcher.py")
HEAD = """[gateway]
disable_pseudonymous_usage_analytics = true
observability.enabled = false

[object_storage]
type = "disabled"
"""
ROW = """
[models."{model}-{which}"]
routing = ["vendor"]

[models."{model}-{which}".providers.vendor]
type = "{vendor}"
model_name = "{model}"
api_base = "{origin}{end}"
api_key_location = "env::UPSTREAM_KEY"
"""
# Model -> TensorZero's word for its vendor, and the end of the vendor's address. Gemini's address can't be changed.
MODELS = {MODEL: ("openai", "/v1/"), CLAUDE: ("anthropic", f"{ANTHROPIC}/v1{MESSAGES}")}
ENVIRONMENT = {"UPSTREAM_KEY": "sk-upstream", "RUST_LOG": "error"}


def version() -> str:
    """Return the version of the installed package."""
    return tools.package_version("tensorzero")


def configuration(host: Host) -> str:
    """Return its configuration: every model of every upstream."""
    rows = (
        ROW.format(which=which, model=model, vendor=vendor, origin=host.upstreams.origin(which), end=end)
        for which in host.upstreams.ports
        for model, (vendor, end) in MODELS.items()
    )
    return HEAD + "".join(rows)


@contextmanager
def start(host: Host) -> Iterator[Running]:
    """Run the gateway; it chooses its own port and writes its address into a file."""
    config, address = host.home / "tensorzero.toml", host.home / "address"
    config.write_text(configuration(host))
    # -P: the launcher's folder has a module of the package's name.
    argv = [str(tools.VENV_PYTHON), "-P", str(LAUNCHER), str(config), str(address)]
    with running("tensorzero", argv, cores=host.cores, home=host.home, env=ENVIRONMENT) as child:
        wait_for(child, address.exists, what="listen", seconds=60)
        base = address.read_text()

        def endpoint(path: str, which: str, model: str) -> Endpoint:
            return Endpoint(f"{base}{path}", {}, f"tensorzero::model_name::{model}-{which}")

        yield Running(endpoint, child.pid)
