"""The harness around the load: choices, children, pins, and the audit of records."""

import mmap
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import isolation, measures, processes, runner, tools
from benchmarks.errors import BenchmarkError, VoidRun
from benchmarks.measures import Bench
from benchmarks.options import Options, quick
from benchmarks.payloads import PROMPT_TOKENS
from benchmarks.scenarios import SCENARIOS, Column, Scenario
from benchmarks.servers import BY_KEY, SERVERS, Server, direct, gatehouse
from benchmarks.servers.base import Running
from benchmarks.upstream import ROOT, Upstreams


def test_rows_are_chosen_by_key_and_keep_their_order() -> None:
    assert [row.key for row in command.chosen(SERVERS, "gatehouse, nginx")] == ["nginx", "gatehouse"]
    assert command.chosen(SCENARIOS, None) == list(SCENARIOS)


@pytest.mark.parametrize("keys", ["bifrost", "nginx,bifrost", "", ","])
def test_an_unknown_row_is_refused_with_the_known_ones(keys: str) -> None:
    known = ", ".join(server.key for server in SERVERS)
    assert known.startswith("direct, nginx, envoy, gatehouse, gatehouse-2, gatehouse-traced, ")
    with pytest.raises(BenchmarkError, match=rf"Valid values: {known}\."):
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
    with processes.running("child", argv, cores=[core], home=tmp_path, env={}) as child:
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

    def use() -> None:
        with mmap.mmap(-1, 64 * 2**20) as ballast:  # memory of its own, that no earlier test has left
            for page in range(0, len(ballast), mmap.PAGESIZE):
                ballast[page] = 1

    processes.forget_peak(os.getpid())
    use()
    high = most()
    processes.forget_peak(os.getpid())
    low = most()
    assert low < high - 32 * 2**20
    use()
    assert most() > low + 32 * 2**20


def test_a_child_that_ends_early_is_reported_with_its_last_words(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('no such port')"]
    core = min(os.sched_getaffinity(0))
    with (
        processes.running("child", argv, cores=[core], home=tmp_path, env={}) as child,
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
    assert all(re.fullmatch(r"[a-z0-9._-]+==\S+( ; [^@\\]+)? \\", name) for name in names)
    assert pins.count("--hash=sha256:") >= len(names)
    lock = (tools.HERE / "package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
    assert "://" not in pins


def no_endpoint(path: str, which: str, model: str) -> Any:
    """An endpoint of a server that takes no calls."""


def bench(recorded: list[int], sent: int) -> Bench:
    found = Running(no_endpoint, None, lambda: recorded.pop(0) if len(recorded) > 1 else recorded[0])
    return Bench(found, Upstreams({}), Options(), sent)


def scenario(run: Any) -> Scenario:
    return Scenario("chat-16", "Chat", run, "rps", True, (Column("rps", "requests/s"),))


def measure(row: Scenario, subject: Bench) -> dict[str, Any]:
    return runner._measured(row, subject, min(os.sched_getaffinity(0)))


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
@pytest.mark.parametrize("error", [VoidRun("1 status errors in 12 requests"), BenchmarkError("wrk gave no result")])
def test_a_void_run_does_not_spoil_the_next_ones_audit(error: Exception) -> None:
    def fail(_: Bench) -> dict[str, float]:
        raise error

    subject = bench([22], sent=10)
    assert measure(scenario(fail), subject) == {"void": str(error)}
    assert subject.sent == 22


def rounds(runs: dict[str, list[float | None]]) -> tuple[list[str], dict[str, dict[str, Any]]]:
    """Run three rounds over servers whose runs bring these rates (None: a failure); return who ran when, and what came
    of it.
    """
    order: list[str] = []
    benches = {key: bench([0], 0) for key in runs}

    def run(subject: Bench) -> dict[str, float]:
        key = next(key for key, each in benches.items() if each is subject)
        order.append(key)
        rate = runs[key][order.count(key) - 1]
        if rate is None:
            raise VoidRun("a call failed")
        return {"rps": rate, "p99_ms": 1000 / rate}

    subjects = [
        runner.Subject(Server(key, key, direct.start, direct.version), each, min(os.sched_getaffinity(0)))
        for key, each in benches.items()
    ]
    return order, runner._rounds(scenario(run), subjects, 3)


@pytest.mark.usefixtures("_no_waiting")
def test_rounds_visit_the_servers_in_turn_and_medians_count() -> None:
    order, found = rounds({"nginx": [10, 50, 20], "envoy": [5, 5, 8]})
    assert order == ["nginx", "envoy"] * 3
    assert found["nginx"] == {"rps": 20, "p99_ms": 50, "recorded": 0, "low": 10, "high": 50}
    assert found["envoy"]["rps"] == 5


@pytest.mark.usefixtures("_no_waiting")
def test_a_failed_round_voids_a_row_and_no_other() -> None:
    order, found = rounds({"nginx": [10, None, 20], "envoy": [5, 5, 8]})
    assert order == ["nginx", "envoy", "nginx", "envoy", "envoy"]
    assert found["nginx"] == {"void": "a call failed"}
    assert found["envoy"]["rps"] == 5


def plan() -> runner.Plan:
    return runner.Plan(SERVERS, SCENARIOS, Options(), (0, 1))


def test_rows_about_memory_have_a_server_of_their_own() -> None:
    def keys(server: str, *, fresh: bool) -> set[str]:
        return {row.key for row in plan().rows(BY_KEY[server], fresh=fresh)}

    assert keys("gatehouse", fresh=True) == {"sockets", "open-streams", "memory"}
    assert keys("gatehouse", fresh=False) == {row.key for row in SCENARIOS} - {"sockets", "open-streams", "memory"}
    assert keys("portkey", fresh=True) == {"open-streams", "memory"}
    assert keys("direct", fresh=True) == {"sockets"}
    assert keys("gatehouse-2", fresh=False) == {"workers"}
    assert keys("gatehouse-traced", fresh=False) == {"observed"}


def test_every_scenario_names_servers_that_there_are() -> None:
    for row in SCENARIOS:
        assert row.servers
        assert row.servers <= set(BY_KEY)


def test_an_earlier_commit_does_what_gatehouse_does() -> None:
    earlier = replace(BY_KEY["gatehouse"], key="against", kind="gatehouse")
    assert plan().rows(earlier, fresh=False) == plan().rows(BY_KEY["gatehouse"], fresh=False)


def test_an_earlier_commit_is_placed_behind_gatehouses_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "previous", lambda revision: replace(BY_KEY["gatehouse"], key=revision))
    chosen = command.subjects(command.parser().parse_args(["--against", "v1", "--servers", "nginx,gatehouse,ferro"]))
    assert [server.key for server in chosen] == ["nginx", "gatehouse", "v1", "ferro"]
    chosen = command.subjects(command.parser().parse_args(["--against", "v1", "--servers", "nginx"]))
    assert [server.key for server in chosen] == ["nginx", "v1"]


def test_a_server_that_listens_on_every_interface_runs_only_in_a_network_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(isolation, "enter", lambda: False)
    assert command.isolated([BY_KEY["nginx"]]).startswith("NOT")
    with pytest.raises(BenchmarkError, match="ferro: listen on every interface"):
        command.isolated([BY_KEY["nginx"], BY_KEY["ferro"]])
    monkeypatch.setattr(isolation, "enter", lambda: True)
    assert "nothing can leave" in command.isolated([BY_KEY["ferro"]])


NETWORK = """
import socket, sys
from pathlib import Path
from benchmarks import isolation
entered = isolation.enter()
with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5):
    names = [line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]]
print(entered, names == ["lo"])
"""


def test_a_network_of_its_own_has_a_loopback_and_nothing_else() -> None:
    possible = any(
        subprocess.run(["unshare", *flags, "true"], capture_output=True, check=False).returncode == 0
        for flags in (["--net"], ["--user", "--net"])
    )
    output = subprocess.check_output([sys.executable, "-c", NETWORK], cwd=ROOT, text=True)
    assert output.startswith("True True" if possible else "False")


def readings(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> Bench:
    """Return a bench whose server's CPU seconds are read as ``values``, on a clock that moves only when slept on."""
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(measures, "time", clock)
    monkeypatch.setattr(measures, "rss_bytes", lambda _: 0)
    monkeypatch.setattr(measures, "cpu_seconds", lambda _: values.pop(0) if len(values) > 1 else values[0])
    return Bench(Running(lambda path, which: None, 1), Upstreams({}), Options())  # type: ignore[arg-type,return-value]


def test_work_left_for_the_background_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert readings(monkeypatch, [10.5, 10.8, 10.9, 10.9]).spent() == 10.9


def test_waiting_as_without_a_load_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = readings(monkeypatch, [10.5, 10.52])
    subject.idle = 0.08
    assert subject.spent() == pytest.approx(10.52 - 0.08 * 1.25)


def test_a_server_that_never_rests_is_not_awaited_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = readings(monkeypatch, [float(number) for number in range(1000)])
    assert busy.spent() < 100


def test_what_a_server_takes_when_idle_is_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = readings(monkeypatch, [5.0, 5.0, 5.0, 5.1])
    subject.learn_idle()
    assert subject.idle == pytest.approx(0.05)


def test_a_process_for_each_upstream_is_measured_alone() -> None:
    found = Running(no_endpoint, 7, parts={"instant": 7, "streaming": 8})
    assert [found.pid_behind(which) for which in ("instant", "streaming", "talking")] == [7, 8, 7]
    assert found.groups() == {7, 8}


def test_a_frozen_child_stands_still_goes_on_and_can_be_stopped(tmp_path: Path) -> None:
    code = "import time\nwhile True:\n    print(time.monotonic(), flush=True)\n    time.sleep(0.005)"
    core = min(os.sched_getaffinity(0))
    with processes.running("child", [sys.executable, "-c", code], cores=[core], home=tmp_path, env={}) as child:
        processes.wait_for(child, lambda: bool(child.tail()), what="count", seconds=30)
        processes.freeze(child.pid)
        processes.wait_for(child, lambda: processes._stat(child.pid)[0] == "T", what="stand still", seconds=30)
        frozen = child.log.stat().st_size
        time.sleep(0.1)
        assert child.log.stat().st_size == frozen
        processes.thaw(child.pid)
        processes.wait_for(child, lambda: child.log.stat().st_size > frozen, what="go on", seconds=30)
        processes.freeze(child.pid)
        started = time.monotonic()
    assert child.process.returncode == -signal.SIGTERM
    assert time.monotonic() - started < processes.STOP_SECONDS


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
