"""Rules of the project that a reader would otherwise have to keep in mind: imports, documented settings, one
admission.
"""

import ast
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.views import APIView

from gateway.addresses import is_api
from gateway.config import env
from gateway.endpoints.base import InferenceView, OpenView
from gateway.endpoints.health import Healthz, Readyz
from gateway.endpoints.realtime import BrowserView
from tests.support.loops import unchecked

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("console", "alerts", "gateway", "rules", "accounts", "providers", "usage", "batches", "sandbox")
# Every function of gateway.variables that reads one: all that takes a variable's name first.
READERS = {
    name
    for name, function in inspect.getmembers(env, inspect.isfunction)
    if next(iter(inspect.signature(function).parameters), "") == "name" and name != "fail"
}
SETTINGS = ROOT / "gateway" / "settings.py"
DOCUMENT = ROOT / "docs" / "settings.md"
# Views of the lean handler that need no token.
OPEN = {Healthz, Readyz}


def test_imports_go_one_way() -> None:
    program = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_the_protocol_needs_no_apps() -> None:
    """Worker processes import it to begin with."""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    subprocess.run([sys.executable, "-c", "import gateway.server.http"], cwd=ROOT, env=env, check=True, timeout=60)


# What takes more for a number than int() does, and where it may be asked all the same.
DIGITS = re.compile(r"\.(?:isdigit|isdecimal|isnumeric)\b")
ASKED = {"accounts/numbers.py", "sandbox/wire/numbers.py", "sandbox/model/patterns.py"}


def test_one_function_says_what_a_whole_number_is() -> None:
    """``"²".isdigit()`` is true and ``int("²")`` fails, as it does for 5,000 digits."""
    found = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if DIGITS.search(path.read_text())
    }
    assert found == ASKED


# --- settings -----------------------------------------------------------------------------------------------


def read_variables() -> dict[str, ast.Call]:
    """Every environment variable that the settings read, and the call that reads it."""
    found = {}
    for node in ast.walk(ast.parse(SETTINGS.read_text())):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = ast.unparse(node.func)
            assert not re.fullmatch(r"env\.\w+", function), f"{function} names no variable in its errors"
            if function in READERS:
                found[str(node.args[0].value)] = node
    return found


def documented() -> dict[str, tuple[str, str, str]]:
    """The rows of the tables in the document: default, range, meaning."""
    rows = {}
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        name = re.fullmatch(r"`([A-Z_]+)`", cells[0].strip("| "))
        if name:
            assert name[1] not in rows, f"{name[1]} is documented twice"
            rows[name[1]] = _cells(line)
    return rows


def _cells(line: str) -> tuple[str, str, str]:
    _, _, default, bounds, meaning, _ = (cell.strip() for cell in line.split("|"))
    return default.strip("`"), bounds, meaning


def test_every_setting_is_documented() -> None:
    assert set(read_variables()) == set(documented())


def test_no_other_file_reads_the_environment() -> None:
    allowed = {"DJANGO_SETTINGS_MODULE", "SQLITE_TMPDIR"}  # the latter is set for SQLite, which reads it
    read = re.compile(r"os\.(?:environ(?:\.get|\.setdefault)?[\[(]|getenv\()\s*\"([A-Z_]+)\"")
    for path in python_files():
        if path.parent.name != "sandbox":  # a program of its own
            assert set(read.findall(path.read_text())) <= allowed, path


@pytest.mark.parametrize(
    "name", [name for name, call in read_variables().items() if ast.unparse(call.func) in ("number", "whole")]
)
def test_the_document_tells_default_and_range(name: str) -> None:
    call = read_variables()[name]
    values = [ast.literal_eval(argument) for argument in (call.args[1], *(keyword.value for keyword in call.keywords))]
    default, bounds, meaning = documented()[name]
    assert float(default) == values[0]
    assert [float(bound) for bound in bounds.split(" to ")] == values[1:]
    assert meaning.endswith(".")


@pytest.mark.parametrize(
    "name", [name for name, call in read_variables().items() if ast.unparse(call.func) == "choice"]
)
def test_the_document_tells_the_choices(name: str) -> None:
    call = read_variables()[name]
    default, bounds, _ = documented()[name]
    assert default == ast.literal_eval(call.args[1])
    assert tuple(re.findall("`([^`]+)`", bounds)) == ast.literal_eval(call.args[2])


# --- one admission ------------------------------------------------------------------------------------------


def patterns(found: list[Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every route of the URLconf, with the pattern as text and its view."""
    for entry in found:
        text = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from patterns(entry.url_patterns, text)
        elif isinstance(entry, URLPattern):
            yield text, entry.callback


CHOICE = re.compile(r"\((?:\?:|\?P<\w+>)((?:[^()\[\]]|\[[^]]*\])*)\)(\??)")


@cache
def examples(text: str) -> tuple[str, ...]:
    """Return every way in which an address of a route may begin; parameters stay as the route writes them."""
    found, done = [text.removeprefix("^")], set()
    while found:
        route = found.pop().replace("^", "")
        group = CHOICE.search(route)
        if group is None:
            done.add(f"/{route}".removesuffix("$"))
            continue
        ways = group[1].split("|") + ([""] if group[2] else [])
        found += [route[: group.start()] + way + route[group.end() :] for way in ways]
    return tuple(sorted(done))


def views() -> dict[str, type[APIView]]:
    """The views of the lean handler's routes, by pattern. The admin and the description of the API are Django's own."""
    return {
        text: getattr(view, "cls", None) or view.view_class
        for text, view in patterns(get_resolver().url_patterns)
        if all(map(is_api, examples(text)))
    }


def test_every_route_of_the_api_passes_the_same_admission() -> None:
    assert len(views()) > 10
    for text, view in views().items():
        assert issubclass(view, InferenceView) or view in OPEN, f"{text} is not admitted"
        assert view.dispatch is OpenView.dispatch, f"{text} dispatches by itself"
        if issubclass(view, InferenceView) and view.admit is not InferenceView.admit:
            # Of browsers' short-lived secrets, which act for a token's holder.
            assert view.admit is BrowserView.admit, f"{text} admits by itself"
            assert "client_secrets.identify(" in inspect.getsource(view.admit)


def test_the_lean_handler_takes_every_address_of_the_api_and_no_other() -> None:
    """Whatever may stand before a route: a view of the lean handler fails in Django's, and the other way round."""
    for text, view in patterns(get_resolver().url_patterns):
        ours = issubclass(getattr(view, "cls", object), OpenView)
        for address in examples(text):
            assert is_api(address) is ours, address
    for root in ("/v1", "/v1beta", "/v1alpha", "/v2", "/openai", "/api/llm", "/api/svc"):
        assert is_api(root)  # whose answer says what a path of the API is


def test_no_method_of_a_view_hides_behind_the_table() -> None:
    """Every coroutine of a view that is named like an HTTP method is one that the dispatcher lets through."""
    found = views()
    assert len(found) > 50
    for text, view in found.items():
        named = {name.upper() for name in dir(view) if name in {"get", "post", "put", "patch", "delete", "head"}}
        assert named == set(view.implemented_methods()), text  # type: ignore[attr-defined]


# --- plain code ---------------------------------------------------------------------------------------------


def python_files() -> list[Path]:
    files = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    assert len(files) > 300
    return [path for path in files if "migrations" not in path.parts]


def test_adapters_are_pure() -> None:
    adapters = list((ROOT / "providers" / "dialects").rglob("*.py"))
    assert len(adapters) > 40
    for path in adapters:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not [name for name in names if name.split(".")[0] in {"django", "aiohttp", "httpx"}], path


# Made by a tool, which the first line names, from a specification with as many rows: no one writes them, or reads them
# from the first to the last.
GENERATED = {ROOT / "gateway" / "body" / "reference_table.py"}


def test_files_and_functions_stay_readable() -> None:
    for path in python_files():
        text = path.read_text()
        lines = text.splitlines()
        if path in GENERATED:
            assert "Made by ``tools/" in lines[0], f"{path} does not say what makes it"
        else:
            assert len(lines) <= 450, f"{path} is long"
        assert [number for number, line in enumerate(lines, 1) if len(line) > 120] == [], f"{path} is wide"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno
                assert length <= 60, f"{path}: {node.name} has {length} lines"
                count = len(node.args.posonlyargs) + len(node.args.args) + len(node.args.kwonlyargs)
                assert count <= 8, f"{path}: {node.name} has {count} parameters"


def test_nothing_is_left_to_do() -> None:
    """No unfinished work in the code, and no way around a test."""
    # The words are here because these are the patterns that forbid them, in this file, too: a bracket in each keeps it
    # from finding itself. The first promise work that is not done; the others hide a case, or any error of types.
    marks = re.compile(r"\b(TOD[O]|FIXM[E]|XX[X])\b|NotImplementedErro[r]")
    skips = re.compile(r"pytes[t]\.(?:mark\.)?(skip|xfail|importorskip)|type: ignor[e](?!\[)")
    for path in (*python_files(), *(ROOT / "tests").rglob("*.py")):
        assert not marks.search(path.read_text()), path
        assert not skips.search(path.read_text()), path


def test_no_test_checks_only_in_a_loop_that_may_not_run() -> None:
    """A test whose only checks are in a loop over nothing passes, whatever the code does."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    assert len(files) > 100
    assert [name for path in files for name in unchecked(path)] == []
