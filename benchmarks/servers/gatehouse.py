"""Gatehouse through its public surface only, with governance on: token, grants, capability gate, usage recorded."""

import json
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from benchmarks import revisions, valkey
from benchmarks.endpoint import ANTHROPIC, CLAUDE, GEMINI, MODEL, OTHERS, REALTIME, TRANSCRIPTIONS, Endpoint
from benchmarks.errors import BenchmarkError
from benchmarks.payloads import PROMPT_TOKENS
from benchmarks.processes import environment, free_port, running, wait_ready
from benchmarks.revisions import Source
from benchmarks.servers.base import Host, Running
from benchmarks.upstream import INSTANT

USER = "bench@example.com"
TOKEN = re.compile(r"\bgh-[0-9A-Za-z]{46}\b")
COMMAND_SECONDS = 120
# Kind of account -> the suffix of its name, the end of its address, and its models with their types.
ACCOUNTS: dict[str, tuple[str, str, dict[str, list[str]]]] = {
    "openai": (
        "",
        "/v1",
        {
            MODEL: ["chat", "responses"],
            OTHERS[TRANSCRIPTIONS]: ["audio_transcription"],
            OTHERS[REALTIME]: ["realtime"],
        },
    ),
    "anthropic": ("-anthropic", f"{ANTHROPIC}/v1", {CLAUDE: ["chat"]}),
    "google-gemini": ("-gemini", "/v1beta", {GEMINI: ["chat"]}),
}
SUFFIXES = {model: suffix for suffix, _, models in ACCOUNTS.values() for model in models}
# How its records name a socket, which has no tokens of its own.
SESSION = "realtime_session"


def version(source: Source = revisions.HERE, commit: str = "") -> str:
    """Return the project's version and the commit that is measured: ``commit``, or the one that is checked out."""
    project = tomllib.loads((source.root / "pyproject.toml").read_text())["project"]["version"]
    if not commit:
        commit = _git(source, "rev-parse", "--short", "HEAD")
        commit += "+changes" if _git(source, "status", "--porcelain", "--untracked-files=no") else ""
    return f"{project} ({commit})" if commit else project


def translates(source: Source) -> bool:
    """Whether a commit has accounts of other vendors' dialects."""
    return (source.root / "providers" / "dialects" / "anthropic").exists()


def manifests(host: Host, source: Source = revisions.HERE) -> list[dict[str, Any]]:
    """Return a provider account of each kind that ``source`` has per upstream; the user is granted access to all."""
    return [
        {
            "type": f"provider-account/{kind}",
            "name": f"{which}{suffix}",
            "auth_data": {"type": "api-key", "api_key": "sk-upstream"},
            "base_url": f"{host.upstreams.origin(which)}{end}",
            "collaborators": [{"subject": f"user:{USER}", "role_id": "provider-account-access"}],
            "integrations": [
                {
                    "type": f"integration/model/{kind}",
                    "name": name,
                    "model_id": name,
                    "model_types": types,
                    "cost": {"metric": "public_cost"},
                }
                for name, types in models.items()
            ],
        }
        for which in host.upstreams.ports
        for kind, (suffix, end, models) in ACCOUNTS.items()
        if kind == "openai" or translates(source)
    ]


def traced(host: Host, ratio: float) -> dict[str, str]:
    """Return the environment that sends a share of the traces, and all metrics, to the instant upstream."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": host.upstreams.origin(INSTANT),
        "OTEL_TRACES_SAMPLER_ARG": str(ratio),
        "OTEL_METRICS_EXPORTER": "otlp",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        "GATEHOUSE_METRICS_PORT": str(free_port()),
    }


def keeping_bodies(host: Host) -> dict[str, str]:
    """Return the environment that keeps the bodies of all calls."""
    return {"GATEHOUSE_REQUEST_LOG": "always"}


@contextmanager
def start(
    host: Host,
    source: Source = revisions.HERE,
    workers: int = 1,
    settings: Mapping[str, str] | None = None,
    observed: Callable[[Host], dict[str, str]] | None = None,
) -> Iterator[Running]:
    """Set up a fresh data directory, start ``source`` on it, and check its records against what was sent.

    One worker has all that it needs inside; several share a Valkey, which runs beside the load. ``observed`` returns
    what lets others see more of its calls.
    """
    more = {**(settings or {}), **(observed(host) if observed is not None else {})}
    if workers == 1:
        with _served(host, source, workers, more) as found:
            yield found
    else:
        with (
            valkey.started(host.load_core, host.home) as url,
            _served(host, source, workers, {"REDIS_URL": url, **more}) as found,
        ):
            yield found


@contextmanager
def _served(host: Host, source: Source, workers: int, more: Mapping[str, str]) -> Iterator[Running]:
    env = {
        "GATEHOUSE_DATA_DIR": str(host.home / "data"),
        "GATEHOUSE_EGRESS_ALLOW": "127.0.0.1/32",
        "GATEHOUSE_REALTIME_SESSIONS_PER_SUBJECT": "0",  # one user opens hundreds
        **more,
    }
    run, port = partial(manage, source, host, env), free_port()
    run("migrate", "--verbosity", "0")
    token = made_token(run("create_token", "--user", USER, "--name", "benchmark"))
    file = host.home / "manifests.yaml"
    file.write_text("\n---\n".join(json.dumps(manifest) for manifest in manifests(host, source)))
    run("apply", "-f", str(file))

    def endpoint(path: str, which: str, model: str) -> Endpoint:
        base = f"live/{which}{path}?model={model}" if path == REALTIME else f"api/llm{path}"
        name = f"{which}{SUFFIXES[model]}/{model}"
        return Endpoint(f"http://127.0.0.1:{port}/{base}", {"authorization": f"Bearer {token}"}, name)

    argv = [
        *(source.python, str(source.root / "manage.py"), "serve", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", str(workers)),
    ]
    served = {**env, "PORT": str(port)}
    with running("gatehouse", argv, cores=host.cores, home=host.home, env=served, cwd=source.root) as child:
        wait_ready(child, f"http://127.0.0.1:{port}/readyz", seconds=60)
        yield Running(endpoint, child.pid, partial(recorded, run))


def manage(source: Source, host: Host, env: dict[str, str], *arguments: str) -> str:
    """Run a management command and return what it printed; raise BenchmarkError when it fails."""
    result = subprocess.run(
        [source.python, str(source.root / "manage.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        env=environment(host.home, env),
        cwd=source.root,
        check=False,
    )
    if result.returncode:
        raise BenchmarkError(f"manage.py {' '.join(arguments)} failed:\n{(result.stderr or result.stdout)[-1500:]}")
    return result.stdout


def made_token(output: str) -> str:
    """Return the token in what ``create_token`` printed."""
    found = TOKEN.search(output)
    if not found:
        raise BenchmarkError("manage.py create_token printed no token")
    return found[0]


def _git(source: Source, *arguments: str) -> str:
    return revisions.git(source.root, *arguments).stdout.decode().strip()


def recorded(run: Callable[..., str]) -> int:
    """Return how many calls the usage report, printed by a management command, counts as :func:`metered`."""
    return metered(json.loads(run("usage_report", "--since", "all", "--group-by", "operation", "--json")))


def metered(report: dict[str, Any]) -> int:
    """Return how many calls of a usage report by operation succeeded, have a price, and the upstream's tokens.

    A socket is a call without tokens.
    """
    return sum(_whole(row) for row in report["rows"])


def _whole(row: dict[str, Any]) -> int:
    priced = row["attempts"] - row["errors"] - row["unpriced"]
    return priced if row["operation"] == SESSION else min(priced, row["input_tokens"] // PROMPT_TOKENS)
