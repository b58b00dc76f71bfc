"""The harness around the load: choices, children, pins, and the audit of records."""

import os
import re
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import processes, runner, tools
from benchmarks.errors import BenchmarkError, VoidRun
from benchmarks.options import Options, quick
from benchmarks.payloads import PROMPT_TOKENS
from benchmarks.scenarios import SCENARIOS, Bench, Column, Scenario
from benchmarks.servers import BY_KEY, SERVERS, gatehouse
from benchmarks.servers.base import Running
from benchmarks.upstream import Upstreams


def test_rows_are_chosen_by_key_and_keep_their_order() -> None:
    assert [row.key for row in command.chosen(SERVERS, "gatehouse, nginx")] == ["nginx", "gatehouse"]
    assert command.chosen(SCENARIOS, None) == list(SCENARIOS)


@pytest.mark.parametrize("keys", ["bifrost", "nginx,bifrost", "", ","])
def test_an_unknown_row_is_refused_with_the_known_ones(keys: str) -> None:
    with pytest.raises(BenchmarkError, match=r"There are: direct, nginx, gatehouse, portkey, litellm\."):
        command.chosen(SERVERS, keys)


def test_options_are_shortened_by_quick_and_overruled_by_name() -> None:
    assert all(short <= asdict(Options())[name] for name, short in asdict(quick(Options())).items())
    arguments = command.parser().parse_args(["--quick", "--seconds", "7", "--talk-seconds", "600"])
    found = command.options(arguments)
    assert (found.seconds, found.rounds, found.talk_seconds) == (7, 1, 600)


@pytest.mark.parametrize("wrong", [["--seconds", "0"], ["--cores", "1,1"], ["--cores", "1"]])
def test_a_nonsensical_option_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.parser().parse_args(wrong)
    assert "error: argument" in capsys.readouterr().err


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_is_watched_and_stopped_with_its_children(tmp_path: Path) -> None:
    burn = "sum(range(5_000_000))"  # more than the kernel's clock may miss
    code = (
        f"import subprocess, time; {burn}; subprocess.Popen(['sleep', '60']); print('up', flush=True); time.sleep(60)"
    )
    core = min(os.sched_getaffinity(0))
    argv = [sys.executable, "-c", code]
    with processes.running("child", argv, core=core, home=tmp_path, env={}) as child:
        processes.wait_for(child, lambda: "up" in child.tail(), what="say so", seconds=30)
        pids = processes.tree(child.pid)
        assert len(pids) == 2
        assert os.sched_getaffinity(child.pid) == {core}
        assert processes.rss_bytes(child.pid) > 2**20
        assert 0 < processes.cpu_seconds(child.pid) < processes.core_seconds(core)
    end = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(map(alive, pids))


def test_the_most_memory_is_that_since_it_was_forgotten() -> None:
    def most() -> int:
        return processes.peak_bytes(os.getpid())

    ballast = bytes(range(256)) * (64 * 2**12)
    del ballast
    high = most()
    processes.forget_peak(os.getpid())
    low = most()
    assert low < high - 32 * 2**20
    ballast = bytes(range(256)) * (64 * 2**12)
    assert most() > low + 32 * 2**20
    del ballast


def test_a_child_that_ends_early_is_reported_with_its_last_words(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('no such port')"]
    core = min(os.sched_getaffinity(0))
    with (
        processes.running("child", argv, core=core, home=tmp_path, env={}) as child,
        pytest.raises(BenchmarkError, match=r"child ended with code 1:\n    no such port"),
    ):
        processes.wait_for(child, lambda: False, what="answer", seconds=30)


def test_children_inherit_neither_proxies_nor_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    assert processes.environment(tmp_path, {"PORT": "1"}).keys() <= {
        *processes.KEPT_VARIABLES,
        *("HOME", "NO_PROXY", "PORT"),
    }


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(BenchmarkError, match="As root: apt-get install -y no-such-package"):
        tools.need_programs({"no-such-program": "no-such-package"})


def test_the_pins_are_exact_checked_and_name_no_registry() -> None:
    pins = (tools.HERE / "requirements.txt").read_text()
    names = re.findall(r"^[a-z0-9].*$", pins, re.MULTILINE)
    assert names
    assert all(re.fullmatch(r"[a-z0-9._-]+==\S+ \\", name) for name in names)
    assert pins.count("--hash=sha256:") >= len(names)
    lock = (tools.HERE / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
    assert "://" not in pins


def bench(recorded: list[int], sent: int) -> Bench:
    found = Running(lambda path, which: None, None, lambda: recorded.pop(0) if len(recorded) > 1 else recorded[0])  # type: ignore[arg-type,return-value]
    return Bench(found, Upstreams({}), Options(), sent)


def scenario(run: Any) -> Scenario:
    return Scenario("chat-16", "Chat", run, "rps", True, (Column("rps", "requests/s"),))


def measure(row: Scenario, subject: Bench) -> dict[str, Any]:
    core = min(os.sched_getaffinity(0))
    return runner._scenario(row, subject, BY_KEY["gatehouse"], core)


@pytest.fixture
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(runner, "time", SimpleNamespace(sleep=lambda _: None, monotonic=lambda: float(next(clock))))


@pytest.mark.usefixtures("_no_waiting")
@pytest.mark.parametrize(
    ("recorded", "outcome"),
    [
        ([10], {"rps": 5.0, "recorded": 10}),
        ([7, 9, 10], {"rps": 5.0, "recorded": 10}),
        ([9], {"rps": 5.0, "void": "10 calls were answered, but 9 are on record"}),
        ([11], {"rps": 5.0, "void": "10 calls were answered, but 11 are on record"}),
    ],
)
def test_a_run_counts_only_when_every_call_is_on_record(recorded: list[int], outcome: dict[str, Any]) -> None:
    subject = bench(recorded, sent=10)
    assert measure(scenario(lambda _: {"rps": 5.0}), subject) == outcome
    assert subject.sent == recorded[-1]


@pytest.mark.usefixtures("_no_waiting")
def test_a_void_run_does_not_spoil_the_next_ones_audit() -> None:
    def fail(_: Bench) -> dict[str, float]:
        raise VoidRun("1 status errors in 12 requests")

    subject = bench([22], sent=10)
    assert measure(scenario(fail), subject) == {"void": "1 status errors in 12 requests"}
    assert subject.sent == 22


def test_rows_about_memory_have_a_server_of_their_own() -> None:
    def keys(server: str) -> list[list[str]]:
        return [[row.key for row in rows] for rows in runner.groups(BY_KEY[server], SCENARIOS)]

    together, *alone = keys("gatehouse")
    assert alone == [["sockets"], ["open-streams"], ["memory"]]
    assert set(together) == {row.key for row in SCENARIOS} - {"sockets", "open-streams", "memory"}
    assert keys("portkey")[1:] == [["open-streams"], ["memory"]]
    assert [[row.key for row in rows] for rows in runner.groups(BY_KEY["nginx"], SCENARIOS[-1:])] == [["memory"]]


def test_latency_is_added_to_the_upstreams_own() -> None:
    results: runner.Results = {
        "chat-1": {"direct": {"p50_ms": 0.05}, "nginx": {"p50_ms": 0.15}, "litellm": {"void": "x"}},
        "sockets": {"direct": {"one_p50_ms": 0.2}, "nginx": {"one_p50_ms": 0.6, "p50_ms": 9.0}},
    }
    runner._add_latency(results)
    assert results["chat-1"]["nginx"]["added_p50_ms"] == pytest.approx(0.1)
    assert results["sockets"]["nginx"]["added_p50_ms"] == pytest.approx(0.2)  # of each of two messages
    assert "added_p50_ms" not in results["chat-1"]["litellm"]


def test_gatehouses_token_is_read_from_its_command() -> None:
    token = "gh-" + "a1B" * 15 + "c"
    assert gatehouse.made_token(f"Token for bench@example.com, shown once:\n{token}\n") == token
    with pytest.raises(BenchmarkError, match="printed no token"):
        gatehouse.made_token("done\n")


@pytest.mark.parametrize(
    ("changes", "calls"), [({}, 10), ({"errors": 1}, 9), ({"unpriced": 2}, 8), ({"input_tokens": 9 * PROMPT_TOKENS}, 9)]
)
def test_a_call_of_gatehouse_counts_when_it_is_recorded_priced_and_metered(changes: dict[str, int], calls: int) -> None:
    total = {"attempts": 10, "errors": 0, "unpriced": 0, "input_tokens": 10 * PROMPT_TOKENS}
    sockets = {"operation": "realtime_session", "attempts": 4, "errors": 1, "unpriced": 0, "input_tokens": 0}
    assert gatehouse.metered({"rows": [{"operation": "chat"} | total | changes]}) == calls
    assert gatehouse.metered({"rows": [{"operation": "chat"} | total | changes, sockets]}) == calls + 3
