"""The recipes on docs/clients.md work as they are there: those whose clients are at hand, against a real demo."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.installation import Gateway, Installation
from tests.support.node_package import node_with

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "clients.md").read_text()
PYTHON = {
    "OpenAI for Python": "1 2 3 4 5\n",
    "Anthropic's SDK": "1 2 3 4 5\n",
    "Google's GenAI SDK": 'You said: "Say hello."',
    "Azure's client": 'You said: "Say hello."',
}


def recipe(heading: str) -> str:
    """The first program below a heading of the page."""
    section = PAGE.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    found = re.search(r"```\w+\n(.*?)```", section, re.S)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """What ``make run`` serves."""
    with Installation(tmp_path_factory.mktemp("clients") / "data") as installation:
        yield installation.gateway("--no-traffic", server="demo")


def run(command: list[str], demo: Gateway, **env: str) -> str:
    token = (demo.installation.data / "demo_token").read_text()
    named = {"OPENAI_BASE_URL": f"{demo.origin}/v1", "OPENAI_API_KEY": token}
    given = {"PATH": os.environ["PATH"], "HOME": str(demo.installation.data), **named, **env}
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("heading", "says"), PYTHON.items())
def test_a_recipe_in_python(demo: Gateway, heading: str, says: str) -> None:
    assert says in run([sys.executable, "-c", recipe(heading)], demo)


def test_the_recipe_for_node(demo: Gateway, tmp_path: Path) -> None:
    node, modules = node_with("openai")
    (tmp_path / "recipe.mjs").write_text(recipe("OpenAI for Node"))
    (tmp_path / "node_modules").symlink_to(modules)
    assert run([node, str(tmp_path / "recipe.mjs")], demo) == "1 2 3 4 5\n"


def test_every_name_in_the_recipes_is_one_that_the_demo_has(demo: Gateway) -> None:
    token = (demo.installation.data / "demo_token").read_text()
    listed = {model["id"] for model in demo.get(token, "/v1/models").json()["data"]}
    named = set(re.findall(r"openai-main/[a-z][a-z0-9.-]+[a-z0-9]", PAGE))
    assert named
    assert named <= listed
