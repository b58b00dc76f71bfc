"""The board and the alert rules that are shipped, against a real Prometheus that scrapes a real gateway."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.gateway.telemetry.test_exporter import TOKEN, Counted, counted
from tests.support.calls import CHAT_PATH, chat
from tests.support.fixtures import ACCOUNT, USER
from tests.support.installation import ROOT
from tests.support.prometheus import Prometheus, program, prometheus
from tests.support.servers import wait_until

__all__ = ["counted"]

BOARD = ROOT / "deploy" / "grafana" / "gatehouse.json"
RULES = ROOT / "deploy" / "prometheus" / "gatehouse-alerts.yml"


def board_queries() -> list[tuple[str, str]]:
    """Every query of the board, its variables filled in as Grafana does."""
    panels = json.loads(BOARD.read_text())["panels"]
    found = [(panel["title"], target["expr"]) for panel in panels for target in panel["targets"]]
    filled = {"$__rate_interval": "10s", "$model": ".*", "$account": ".*", "$job": ".*"}
    for name, value in filled.items():
        found = [(title, query.replace(name, value)) for title, query in found]
    assert not [query for _, query in found if "$" in query]
    return found


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_every_query_of_the_board_finds_something(counted: Counted, tmp_path: Path) -> None:
    gateway, scraper = counted()
    gateway.installation.do("limited")
    token = gateway.token("t", user=USER)
    headers = {"x-tfy-retry-config": '{"attempts": 1, "onStatusCodes": [500]}'}

    def call(stream: bool = True) -> None:
        said = "prompt_tokens=100 completion_tokens=20 cached_tokens=30"
        assert gateway.post(token, CHAT_PATH, chat(f"hi [[sandbox: {said}]]", stream=stream)).status_code == 200

    port = int(scraper.url.split(":")[2].split("/")[0])
    with prometheus(tmp_path / "prometheus", port, TOKEN, RULES) as running:
        wait_until(lambda: running.value('up{job="gatehouse"}') == 1)
        for _ in range(3):  # rates need growth that was seen
            call()
            gateway.post(token, CHAT_PATH, chat("hi [[sandbox: status=500]]"), headers=headers)
            gateway.post("gh-nonsense", CHAT_PATH, chat())
            seen = running.value("sum(ai_gateway_requests_total)")
            wait_until(lambda: running.value("sum(ai_gateway_requests_total)") > seen)  # noqa: B023 - called here
        for title, query in board_queries():
            assert running.query(query), f"{title}: {query}"
        _check_rules(running)


def _check_rules(running: Prometheus) -> None:
    """Prometheus evaluates every rule, and the metrics that each is about are there."""
    wait_until(lambda: running.http.get("/api/v1/rules").json()["data"]["groups"][0]["lastEvaluation"] > "1970")
    (group,) = running.http.get("/api/v1/rules").json()["data"]["groups"]
    assert {rule["name"] for rule in group["rules"]} == {rule["alert"] for rule in rules()}
    assert [rule for rule in group["rules"] if rule.get("lastError")] == []
    names = {name for rule in rules() for name in re.findall(r"\b(?:ai_gateway|gatehouse)_\w+", rule["expr"])}
    for name in names - {"gatehouse_unpriced_total"}:
        assert running.query(name), name
    assert running.value(f'sum(rate(ai_gateway_requests_total{{provider_account="{ACCOUNT}"}}[30s]))') > 0


@pytest.mark.parametrize(
    ("alert", "series"),
    [
        ("GatehouseDown", {'up{job="gatehouse"}': "0x20"}),
        ("GatehouseErrors", {'ai_gateway_requests_total{status="502",provider_account="a"}': "0+1x60"}),
        ("GatehouseSpoolGrows", {"gatehouse_spool_oldest_seconds": "61+30x20"}),
        ("GatehouseUsageLost", {"gatehouse_spool_dropped_records": "3x20"}),
        ("GatehouseBudgetNearlyUsed", {'gatehouse_budget_used_ratio{rule="a",unit="b",mode="enforce"}': "0.95x40"}),
        ("GatehouseRateLimitReached", {'gatehouse_rate_limit_used_ratio{rule="a",unit="b",mode="enforce"}': "1x40"}),
        ("GatehouseSpend", {'ai_gateway_request_cost_total{model_name="m"}': "0+9x120"}),
        ("GatehouseConfigurationOld", {"gatehouse_directory_age_seconds": "40+30x20"}),
    ],
)
def test_an_alert_fires_when_it_should(tmp_path: Path, alert: str, series: dict[str, str]) -> None:
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    others = [] if alert == "GatehouseDown" else [{"series": 'up{job="gatehouse"}', "values": "1x200"}]
    expression = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) > 0'
    tests = [
        {
            "interval": "30s",
            "input_series": [*inputs, *others],
            "promql_expr_test": [
                {"expr": expression, "eval_time": "40m", "exp_samples": [{"labels": "{}", "value": 1}]}
            ],
        }
    ]
    if alert != "GatehouseSpend":
        tests[0]["promql_expr_test"][0]["eval_time"] = "8m"  # type: ignore[index]
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "30s", "tests": tests}))
    done = subprocess.run(
        [program("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
