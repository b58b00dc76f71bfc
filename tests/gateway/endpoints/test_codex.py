"""Codex CLI, the real program, works for a user on models of any vendor through Gatehouse.

It runs in a folder and with a home of its own. The sandbox plays the model: it calls the tools that the prompt names,
and answers in words when it has their results. Codex sends more or less by the name of a model that it knows (patches
as free text, its own search for tools, a program in JavaScript that calls all others), so a model of each account has
such a name, beside the vendor's own.
"""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.installation import Gateway, Installation
from tests.support.manifests import provider
from tests.support.node_package import node_with
from tests.support.sandbox_process import SandboxProcess

CLASSIC, NEWEST = "gpt-5.5", "gpt-6.2-sol"
CLAUDE, GEMINI = "claude-opus-4-6", "gemini-3.5-flash"
# Account -> its kind, the end of its address, and its models with what the vendor calls them.
ACCOUNTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "openai-main": ("openai", "/v1", {CLASSIC: CLASSIC}),
    "claude": ("anthropic", "/v1", {CLASSIC: CLAUDE, NEWEST: CLAUDE, CLAUDE: CLAUDE}),
    "google": ("google-gemini", "/v1beta", {CLASSIC: GEMINI, NEWEST: GEMINI, GEMINI: GEMINI}),
    "together": ("together-ai", "/v1", {CLASSIC: CLASSIC, NEWEST: CLASSIC}),  # chats are all that it knows
}
OTHERS = ("claude", "google", "together")
PRICE = {"metric": "per_1000_tokens", "value": {"input": 0.001, "output": 0.002}}
# No telemetry, no look for updates, no store of plugins; commands run as the user, as in a container.
CONFIG = """
model_provider = "gatehouse"
approval_policy = "never"
sandbox_mode = "danger-full-access"
check_for_update_on_startup = false

[analytics]
enabled = false

[feedback]
enabled = false

[otel]
exporter = "none"
trace_exporter = "none"
metrics_exporter = "none"

[features]
apps = false
plugins = false

[model_providers.gatehouse]
name = "Gatehouse"
base_url = "{origin}/v1"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
request_max_retries = 0
stream_max_retries = 0
http_headers = {{ "x-tfy-provider-name" = "{account}" }}
"""
PATCH = "*** Begin Patch\n*** Add File: patched.txt\n+by a patch\n*** End Patch\n"
RUN = """Run cmd "printf 'by a command' > run.txt", please."""
SCRIPT = "const done = await tools.exec_command({cmd: 'printf scripted > run.txt'}); text(done)"


@dataclass
class Stage:
    """A gateway with accounts of three vendors on a sandbox, a user's token, and a proxy that no one should ask."""

    gateway: Gateway
    sandbox: SandboxProcess
    token: str
    proxy: socket.socket
    codex: list[str]

    def run(self, folder: Path, account: str, model: str, prompt: str) -> list[dict[str, Any]]:
        """Let Codex work on a prompt in ``folder``/project; return its events."""
        home, project = folder / "home", folder / "project"
        for made in (home, project):
            made.mkdir()
        (home / "config.toml").write_text(CONFIG.format(origin=self.gateway.origin, account=account))
        elsewhere = f"http://127.0.0.1:{self.proxy.getsockname()[1]}"
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "CODEX_HOME": str(home),
            "OPENAI_API_KEY": self.token,
            **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), elsewhere),
            "NO_PROXY": "127.0.0.1",
        }
        options = ["exec", "--json", "--skip-git-repo-check", "--ephemeral", "-C", str(project), "-m", model, prompt]
        done = subprocess.run(
            [*self.codex, *options],
            env=env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, migrated_data: Path) -> Iterator[Stage]:
    node, modules = node_with("@openai/codex")
    data = tmp_path_factory.mktemp("codex") / "data"
    with (
        SandboxProcess() as sandbox,
        Installation(data, migrated_data) as installation,
        socket.create_server(("127.0.0.1", 0)) as proxy,
    ):
        proxy.setblocking(False)
        installation.apply(
            *(
                provider(
                    name,
                    sandbox.origin + end,
                    models=[
                        {
                            "name": model,
                            "model_id": named,
                            "type": f"integration/model/{kind}",
                            "model_types": ["chat", "responses"] if kind == "openai" else ["chat"],
                            **({"cost": PRICE} if kind == "together-ai" else {}),
                        }
                        for model, named in models.items()
                    ],
                    type=f"provider-account/{kind}",
                )
                for name, (kind, end, models) in ACCOUNTS.items()
            )
        )
        token = installation.do("token", "ada", user="ada@example.com")
        codex = [node, str(modules / "@openai" / "codex" / "bin" / "codex.js")]
        yield Stage(installation.gateway(), sandbox, token, proxy, codex)


def worked(stage: Stage, folder: Path, account: str, model: str, prompt: str) -> str:
    """Return Codex's last words on a prompt, after a turn with tools: nothing is refused, and both calls are on
    record.
    """
    stage.sandbox.clear()
    before = len(stage.gateway.installation.records())
    events = stage.run(folder, account, model, prompt)
    assert [event for event in events if event["type"] in ("error", "turn.failed")] == []
    ended = [event for event in events if event["type"] == "turn.completed"]
    assert [event["usage"]["output_tokens"] > 0 for event in ended] == [True]
    assert [request["status"] for request in stage.sandbox.requests()] == [200, 200]
    found = stage.gateway.installation.records(before + 2)[before:]
    served = ACCOUNTS[account][2][model]
    for record in found:
        assert (record["operation"], record["status"], record["stream"]) == ("responses", 200, True)
        assert record["error_class"] == ""
        assert record["model_served"].startswith(served)
        assert record["cost_pico"] > 0
    assert sum(record["input_tokens"] for record in found) == ended[0]["usage"]["input_tokens"]
    with pytest.raises(BlockingIOError):  # nor did Codex want to go anywhere else
        stage.proxy.accept()
    messages = [event["item"] for event in events if event.get("item", {}).get("type") == "agent_message"]
    return str(messages[-1]["text"])


def written(folder: Path) -> dict[str, str]:
    """The files that the agent left in its project."""
    return {path.name: path.read_text() for path in (folder / "project").iterdir()}


@pytest.mark.parametrize("account", ACCOUNTS)
def test_a_command_and_a_patch_at_once(stage: Stage, tmp_path: Path, account: str) -> None:
    prompt = f'{RUN} Patch with the input "{PATCH}". [[sandbox: call=exec_command+apply_patch]]'
    said = worked(stage, tmp_path, account, CLASSIC, prompt)
    assert written(tmp_path) == {"run.txt": "by a command", "patched.txt": "by a patch\n"}
    assert "exec_command says" in said
    assert "apply_patch says" in said


@pytest.mark.parametrize(("account", "model"), [("claude", CLAUDE), ("google", GEMINI)])
def test_a_model_that_it_does_not_know(stage: Stage, tmp_path: Path, account: str, model: str) -> None:
    said = worked(stage, tmp_path, account, model, f"{RUN} [[sandbox: call=exec_command]]")
    assert written(tmp_path) == {"run.txt": "by a command"}
    assert "exec_command says" in said


@pytest.mark.parametrize("account", OTHERS)
def test_a_program_that_calls_its_tools(stage: Stage, tmp_path: Path, account: str) -> None:
    prompt = f'Do it: input "{SCRIPT}" [[sandbox: call=functions__exec]]'
    assert "Script completed" in worked(stage, tmp_path, account, NEWEST, prompt)
    assert written(tmp_path) == {"run.txt": "scripted"}


@pytest.mark.parametrize("account", OTHERS)
def test_its_own_search_for_tools(stage: Stage, tmp_path: Path, account: str) -> None:
    said = worked(stage, tmp_path, account, CLASSIC, 'Look: query "spawn agent" [[sandbox: call=tool_search]]')
    assert "multi_agent_v1__spawn_agent" in said
    request = stage.sandbox.requests()[-1]["body"]
    assert b'"name":"multi_agent_v1__spawn_agent"' in request
