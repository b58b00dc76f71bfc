"""Ratios, goals and tables of a benchmark's report."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import goals, report
from benchmarks.scenarios import BY_KEY as SCENARIO
from benchmarks.scenarios import SCENARIOS

RESULTS: dict[str, dict[str, dict[str, Any]]] = {
    "chat-16": {
        "nginx": {"rps": 40_000.0, "p50_ms": 0.2, "p99_ms": 0.5, "cpu_us": 12.0},
        "gatehouse": {"rps": 3_000.0, "p50_ms": 5.0, "p99_ms": 9.0, "cpu_us": 300.0, "idle_percent": 0.4},
        "portkey": {"rps": 800.0, "p50_ms": 18.0, "p99_ms": 50.0, "cpu_us": 1200.0},
        "litellm": {"void": "3 status errors in 100 requests"},
    },
    "stream": {
        "nginx": {"cpu_us_event": 8.0, "first_ms": 0.3, "events": 100.0},
        "gatehouse": {"cpu_us_event": 64.0, "first_ms": 1.0, "events": 100.0},
        "portkey": {"cpu_us_event": 128.0, "first_ms": 2.0, "events": 100.0},
    },
}
TITLES = {"nginx": "nginx", "gatehouse": "Gatehouse", "portkey": "Portkey", "litellm": "LiteLLM"}
DOCUMENT = {
    "command": "make bench",
    "machine": {"processor": "two cores"},
    "versions": {"nginx": "1.22.1"},
    "titles": TITLES,
    "results": RESULTS,
}


def cells(text: str, title: str) -> list[str]:
    """Return the cells of the line of a table that begins with ``title``."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {title}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_where_more_is_better_the_ratio_is_ours_over_theirs() -> None:
    table = report.scenario_table(RESULTS, SCENARIO["chat-16"], TITLES)
    assert cells(table, "nginx")[-2:] == ["100.0%", "0.07×"]
    assert cells(table, "Gatehouse")[-2:] == ["7.5%", "1.00×"]
    assert cells(table, "Portkey")[1:] == ["800", "18.00", "50.00", "1,200", "2.0%", "3.75×"]


def test_where_less_is_better_the_ratio_is_theirs_over_ours() -> None:
    table = report.scenario_table(RESULTS, SCENARIO["stream"], TITLES)
    assert cells(table, "Gatehouse")[-2:] == ["8.0×", "1.00×"]
    assert cells(table, "Portkey")[-2:] == ["16.0×", "2.00×"]


def test_a_void_run_has_no_numbers_and_says_why() -> None:
    table = report.scenario_table(RESULTS, SCENARIO["chat-16"], TITLES)
    assert set(cells(table, "LiteLLM")[1:]) == {"–"}
    assert report.void_runs(RESULTS) == ["litellm (chat-16): 3 status errors in 100 requests"]
    assert "- litellm (chat-16): 3 status errors in 100 requests" in report.render(DOCUMENT)


def test_a_void_run_gives_no_ratio() -> None:
    assert report.ratio(RESULTS, "chat-16", "rps", "gatehouse", "litellm") is None
    assert report.ratio(RESULTS, "chat-16", "rps", "gatehouse", "portkey") == 3.75


def test_noise_is_reported_with_the_worst_run() -> None:
    shares = {"nginx": {"foreign_percent": 2.0}, "litellm": {"foreign_percent": 30.4}}
    assert report.noise({"chat-16": shares, "stream": {"nginx": {"void": "x"}}}) == (
        "at most 30% of the server's core went to others (litellm, chat-16). NOT a quiet machine: measure again."
    )
    assert "NOT" not in report.noise({"chat-16": {"nginx": {"foreign_percent": 2.0}}})
    assert report.noise(RESULTS) == ""


def test_noise_includes_how_far_rounds_were_apart() -> None:
    rounds = {"nginx": {"rps": 100.0, "low": 90.0, "high": 105.0}, "envoy": {"rps": 50.0, "low": 25.0, "high": 60.0}}
    assert report.noise({"chat-16": rounds}) == "rounds of a row were at most 70% apart (envoy, chat-16)."


def verdicts(results: dict[str, dict[str, dict[str, Any]]]) -> dict[str, bool]:
    return {
        goal.title: goals.reached(goal, value)
        for goal in goals.GOALS
        if (value := goals.measured(results, goal)) is not None
    }


def test_goals_are_judged_in_both_directions() -> None:
    assert verdicts(RESULTS) == {
        "requests/s at 16 connections": True,
        "times Portkey's requests/s at 16 connections": True,
        "CPU µs an event, paced": False,
    }
    assert cells(report.goals_table(RESULTS), "CPU µs an event, paced")[1:] == ["≤ 40", "64.0", "NO"]


def test_goals_compare_with_other_servers_and_other_scenarios() -> None:
    found = verdicts(
        {
            "chat-16": {
                "gatehouse": {"cpu_us": 450.0},
                "ferro": {"cpu_us": 310.0},
                "tensorzero": {"cpu_us": 290.0},
            },
            "responses-16": {"gatehouse": {"cpu_us": 600.0}},
            "workers": {"gatehouse": {"rps": 1000.0}, "gatehouse-2": {"rps": 1750.0}},
        }
    )
    assert found == {
        "CPU of a plain call, times Ferro's": True,
        "CPU of a plain call, times TensorZero's": False,
        "CPU of a plain response, times a chat call's": True,
        "two workers' requests/s, times one's": False,
    }


def test_costs_have_a_line_for_every_server() -> None:
    table = report.costs_table(RESULTS, TITLES)
    assert cells(table, "nginx")[1:] == ["12", "–", "8.0", "–", "–", "40,000", "25.00×"]
    assert cells(table, "Gatehouse")[1:] == ["300", "–", "64.0", "–", "0.4", "3,000", "1.00×"]
    assert cells(table, "Portkey")[-1] == "0.25×"
    assert not any(line.startswith("| LiteLLM") for line in table.splitlines())


def test_an_earlier_commit_is_compared_in_both_directions() -> None:
    results = {
        "chat-16": {"gatehouse": {"rps": 3000.0, "cpu_us": 300.0}, "against": {"rps": 2000.0, "cpu_us": 450.0}},
        "burst": {"gatehouse": {"cpu_us_event": 16.0}, "against": {"cpu_us_event": 8.0}},
        "stream": {"gatehouse": {"cpu_us_event": 16.0}, "against": {"void": "x"}},
    }
    lines = report.changes_table(results).splitlines()[2:]
    assert [[cell.strip() for cell in line.split("|")[2:-1]] for line in lines] == [
        ["2,000", "3,000", "1.50×"],
        ["450", "300", "1.50×"],
        ["8.0", "16.0", "0.50×"],
    ]
    assert report.changes_table(RESULTS) == ""


def test_every_goal_asks_for_a_metric_that_a_table_shows() -> None:
    cells = [cell for goal in goals.GOALS for cell in (goal.value, goal.over, goal.base) if cell]
    assert len(cells) >= len(goals.GOALS) > 0
    for cell in cells:
        assert cell.metric in {column.name for column in SCENARIO[cell.scenario].columns}
        assert cell.server in SCENARIO[cell.scenario].servers


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
