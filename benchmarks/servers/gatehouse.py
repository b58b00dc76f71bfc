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
# What governs a call beside access: three limits, two budgets, and a virtual model over two models of each account.
# They refuse nothing, so that a call with them does the same as one without.
ROUTED, SECOND = "routed", "second"
RULES: tuple[dict[str, Any], ...] = (
    *(
        {"type": "tenant-rate-limit-config/model", "name": name, "limits": limits, "applies_to": {"type": per}}
        for name, limits, per in (
            ("requests", {"requests_per_minute": 10**9}, "per-user"),
            ("tokens", {"tokens_per_hour": 10**12}, "per-user"),
            ("at-once", {"concurrent_requests": 10**6}, "aggregate"),
        )
    ),
    *(
        {"type": "tenant-budget-config", "name": name, "limits": limits, "applies_to": {"type": per}}
        for name, limits, per in (
            ("monthly", {"cost_per_month": 10**6}, "per-user"),
            ("daily", {"tokens_per_day": 10**12}, "aggregate"),
        )
    ),
)
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


def rules(host: Host) -> list[dict[str, Any]]:
    """Return what :data:`RULES` says, and a virtual model per upstream in place of its chat model."""
    second = {"name": SECOND, "model_id": MODEL, "model_types": ["chat"], "cost": {"metric": "public_cost"}}
    changed = [
        {**account, "integrations": [*account["integrations"], {"type": "integration/model/openai", **second}]}
        for account in manifests(host)
        if account["type"] == "provider-account/openai"
    ]
    models = [
        {
            "type": "integration/model/virtual",
            "name": which,
            "model_types": ["chat"],
            "routing_config": {
                "type": "weight-based-routing",
                "load_balance_targets": [
                    {"target": f"{which}/{name}", "weight": 50, "retry_config": {"attempts": 1}}
                    for name in (MODEL, SECOND)
                ],
            },
        }
        for which in host.upstreams.ports
    ]
    access = [{"subject": f"user:{USER}", "role_id": "provider-account-access"}]
    virtual = {
        "type": "provider-account/virtual-model",
        "name": ROUTED,
        "collaborators": access,
        "integrations": models,
    }
    return [*changed, virtual, *RULES]


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
    ruled: bool = False,
    shared: bool = False,
) -> Iterator[Running]:
    """Set up a fresh data directory, start ``source`` on it, and check its records against what was sent.

    One worker has all that it needs inside; several, and one that is ``shared``, use a Valkey, which runs beside the
    load. ``observed`` returns what lets others see more of its calls. ``ruled`` has calls go by :func:`rules`.
    """
    more = {**(settings or {}), **(observed(host) if observed is not None else {})}
    served = partial(_served, host, source, workers, ruled=ruled)
    if workers == 1 and not shared:
        with served(more) as found:
            yield found
    else:
        with (
            valkey.started(host.load_core, host.home) as url,
            served({"REDIS_URL": url, **more}) as found,
        ):
            yield found


@contextmanager
def _served(host: Host, source: Source, workers: int, more: Mapping[str, str], *, ruled: bool) -> Iterator[Running]:
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
    wanted = rules(host) if ruled else manifests(host, source)
    file.write_text("\n---\n".join(json.dumps(manifest) for manifest in wanted))
    run("apply", "-f", str(file))

    def endpoint(path: str, which: str, model: str) -> Endpoint:
        base = f"live/{which}{path}?model={model}" if path == REALTIME else f"api/llm{path}"
        name = f"{ROUTED}/{which}" if ruled else f"{which}{SUFFIXES[model]}/{model}"
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
