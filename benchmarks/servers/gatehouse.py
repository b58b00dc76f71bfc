"""Gatehouse through its public surface only, with governance on: token, grants, capability gate, usage recorded."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.endpoint import MODEL, OTHERS, REALTIME, TRANSCRIPTIONS, Endpoint, model_of
from benchmarks.errors import BenchmarkError
from benchmarks.payloads import PROMPT_TOKENS
from benchmarks.processes import environment, free_port, running, wait_ready
from benchmarks.servers.base import Host, Running

ROOT = Path(__file__).resolve().parent.parent.parent
USER = "bench@example.com"
TOKEN = re.compile(r"\bgh-[0-9A-Za-z]{46}\b")
COMMAND_SECONDS = 120
MODEL_TYPES = {
    MODEL: ["chat", "responses"],
    OTHERS[TRANSCRIPTIONS]: ["audio_transcription"],
    OTHERS[REALTIME]: ["realtime"],
}
# How its records name a socket, which has no tokens of its own.
SESSION = "realtime_session"


def version() -> str:
    """Return the project's version and the commit that is measured."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    commit = _git("rev-parse", "--short", "HEAD")
    changed = "+changes" if _git("status", "--porcelain", "--untracked-files=no") else ""
    return f"{project} ({commit}{changed})" if commit else project


def manifests(host: Host) -> list[dict[str, Any]]:
    """Return one provider account per upstream; the user is granted access to each."""
    models = [
        {
            "type": "integration/model/openai",
            "name": name,
            "model_id": name,
            "model_types": types,
            "cost": {"metric": "public_cost"},
        }
        for name, types in MODEL_TYPES.items()
    ]
    return [
        {
            "type": "provider-account/openai",
            "name": which,
            "auth_data": {"type": "api-key", "api_key": "sk-upstream"},
            "base_url": f"{host.upstreams.origin(which)}/v1",
            "collaborators": [{"subject": f"user:{USER}", "role_id": "provider-account-access"}],
            "integrations": models,
        }
        for which in host.upstreams.ports
    ]


@contextmanager
def start(host: Host) -> Iterator[Running]:
    """Set up a fresh data directory, start one worker on it, and check its records against what was sent."""
    env = {
        "GATEHOUSE_DATA_DIR": str(host.home / "data"),
        "GATEHOUSE_EGRESS_ALLOW": "127.0.0.1/32",
        "GATEHOUSE_REALTIME_SESSIONS_PER_SUBJECT": "0",  # one user opens hundreds
    }
    port = free_port()
    manage(host, env, "migrate", "--verbosity", "0")
    token = made_token(manage(host, env, "create_token", "--user", USER, "--name", "benchmark"))
    file = host.home / "manifests.yaml"
    file.write_text("\n---\n".join(json.dumps(manifest) for manifest in manifests(host)))
    manage(host, env, "apply", "-f", str(file))

    def endpoint(path: str, which: str) -> Endpoint:
        model = model_of(path)
        base = f"live/{which}{path}?model={model}" if path == REALTIME else f"api/llm{path}"
        return Endpoint(f"http://127.0.0.1:{port}/{base}", {"authorization": f"Bearer {token}"}, f"{which}/{model}")

    argv = [sys.executable, str(ROOT / "manage.py"), "serve", "--host", "127.0.0.1", "--port", str(port)]
    served = {**env, "PORT": str(port)}
    with running("gatehouse", argv, core=host.core, home=host.home, env=served, cwd=ROOT) as child:
        wait_ready(child, f"http://127.0.0.1:{port}/readyz", seconds=60)
        yield Running(endpoint, child.pid, partial(recorded, host, env))


def manage(host: Host, env: dict[str, str], *arguments: str) -> str:
    """Run a management command and return what it printed; raise BenchmarkError when it fails."""
    result = subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        env=environment(host.home, env),
        cwd=ROOT,
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


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], capture_output=True, text=True, cwd=ROOT, check=False)
    return result.stdout.strip()


def recorded(host: Host, env: dict[str, str]) -> int:
    """Return how many calls the usage report counts as :func:`metered`."""
    return metered(json.loads(manage(host, env, "usage_report", "--since", "all", "--group-by", "operation", "--json")))


def metered(report: dict[str, Any]) -> int:
    """Return how many calls of a usage report by operation succeeded, have a price, and the tokens that the upstream told.

    A socket is a call without tokens.
    """
    return sum(_whole(row) for row in report["rows"])


def _whole(row: dict[str, Any]) -> int:
    priced = row["attempts"] - row["errors"] - row["unpriced"]
    return priced if row["operation"] == SESSION else min(priced, row["input_tokens"] // PROMPT_TOKENS)
