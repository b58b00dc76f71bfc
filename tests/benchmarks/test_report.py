"""Ratios, goals and tables of a benchmark's report."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import report
from benchmarks.scenarios import BY_KEY as SCENARIO
from benchmarks.scenarios import SCENARIOS

RESULTS: dict[str, dict[str, dict[str, Any]]] = {
    "chat-16": {
        "nginx": {"rps": 40_000.0, "p50_ms": 0.2, "p99_ms": 0.5, "cpu_us": 12.0},
        "gatehouse": {"rps": 3_000.0, "p50_ms": 5.0, "p99_ms": 9.0, "cpu_us": 300.0},
        "portkey": {"rps": 800.0, "p50_ms": 18.0, "p99_ms": 50.0, "cpu_us": 1200.0},
        "litellm": {"void": "3 status errors in 100 requests"},
    },
    "stream": {
        "nginx": {"cpu_us_chunk": 8.0, "first_ms": 0.3, "chunks": 100.0},
        "gatehouse": {"cpu_us_chunk": 64.0, "first_ms": 1.0, "chunks": 100.0},
        "portkey": {"cpu_us_chunk": 128.0, "first_ms": 2.0, "chunks": 100.0},
    },
}
DOCUMENT = {
    "command": "make bench",
    "machine": {"processor": "two cores"},
    "versions": {"nginx": "1.22.1"},
    "results": RESULTS,
}


def cells(text: str, title: str) -> list[str]:
    """Return the cells of the line of a table that begins with ``title``."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {title}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_where_more_is_better_the_ratio_is_ours_over_theirs() -> None:
    table = report.scenario_table(RESULTS, SCENARIO["chat-16"])
    assert cells(table, "nginx")[-2:] == ["100.0%", "0.07×"]
    assert cells(table, "Gatehouse")[-2:] == ["7.5%", "1.00×"]
    assert cells(table, "Portkey")[1:] == ["800", "18.00", "50.00", "1,200", "2.0%", "3.75×"]


def test_where_less_is_better_the_ratio_is_theirs_over_ours() -> None:
    table = report.scenario_table(RESULTS, SCENARIO["stream"])
    assert cells(table, "Gatehouse")[-2:] == ["8.0×", "1.00×"]
    assert cells(table, "Portkey")[-2:] == ["16.0×", "2.00×"]


def test_a_void_run_has_no_numbers_and_says_why() -> None:
    table = report.scenario_table(RESULTS, SCENARIO["chat-16"])
    assert set(cells(table, "LiteLLM")[1:]) == {"–"}
    assert report.void_runs(RESULTS) == ["litellm (chat-16): 3 status errors in 100 requests"]
    assert "- litellm (chat-16): 3 status errors in 100 requests" in report.render(DOCUMENT)


def test_a_void_run_gives_no_ratio() -> None:
    assert report.ratio(RESULTS, "chat-16", "rps", "gatehouse", "litellm") is None
    assert report.ratio(RESULTS, "chat-16", "rps", "gatehouse", "portkey") == 3.75


def test_noise_is_told_with_the_worst_run() -> None:
    shares = {"nginx": {"foreign_percent": 2.0}, "litellm": {"foreign_percent": 30.4}}
    told = report.noise({"chat-16": shares, "stream": {"nginx": {"void": "x"}}})
    assert told == (
        "at most 30% of the server's core went to others (litellm, chat-16). NOT a quiet machine: measure again."
    )
    assert "NOT" not in report.noise({"chat-16": {"nginx": {"foreign_percent": 2.0}}})
    assert report.noise(RESULTS) == ""


def test_goals_are_judged_in_both_directions() -> None:
    verdicts = {
        goal.title: report.reached(goal, value)
        for goal in report.GOALS
        if (value := report.measured(RESULTS, goal)) is not None
    }
    assert verdicts == {
        "requests/s at 16 connections": True,
        "times Portkey's requests/s at 16 connections": True,
        "CPU µs a streamed chunk": False,
    }
    assert cells(report.goals_table(RESULTS), "CPU µs a streamed chunk")[1:] == ["≤ 60", "64.0", "NO"]


def test_every_goal_asks_for_a_metric_that_a_table_shows() -> None:
    for goal in report.GOALS:
        assert goal.metric in {column.name for column in SCENARIO[goal.scenario].columns}


def test_every_scenario_shows_its_main_metric() -> None:
    for scenario in SCENARIOS:
        assert scenario.main in {column.name for column in scenario.columns}


def test_table_lines_up() -> None:
    lines = report.table(["", "n"], [["a", "1"], ["longer", "1,000"]]).splitlines()
    assert lines == ["|        |     n |", "| ------ | ----: |", "| a      |     1 |", "| longer | 1,000 |"]


def test_the_page_is_rewritten_between_its_markers_only(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text(f"# Speed\n\n{report.BEGIN}\nold\n{report.END}\n\nafter\n")
    report.write(page, "new")
    assert page.read_text() == f"# Speed\n\n{report.BEGIN}\n\nnew\n{report.END}\n\nafter\n"
    report.write(page, "newer")
    assert page.read_text() == f"# Speed\n\n{report.BEGIN}\n\nnewer\n{report.END}\n\nafter\n"


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    page.write_text("# Speed\n")
    with pytest.raises(ValueError, match="needs one line"):
        report.write(page, "new")
    assert page.read_text() == "# Speed\n"


def test_the_projects_own_page_can_be_rewritten(tmp_path: Path) -> None:
    own = Path(report.__file__).parent.parent / "docs" / "benchmarks.md"
    page = tmp_path / "benchmarks.md"
    page.write_text(own.read_text())
    report.write(page, report.render(DOCUMENT))
    assert "two cores" in page.read_text()
