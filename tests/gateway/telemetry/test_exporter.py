"""Metrics at their own port: what is counted equals the usage records, whatever the number of workers."""

import os
import signal
import socket
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from openai import OpenAIError
from prometheus_client.parser import text_string_to_metric_families

from tests.support.calls import CHAT_PATH, chat
from tests.support.fixtures import ACCOUNT, CHAT, USER, InstallationMaker
from tests.support.installation import Gateway
from tests.support.servers import free_port, wait_until

TOKEN = "a-token-for-the-tests"


class Scraper:
    """Reads the metrics of a gateway."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/metrics"
        self.http = httpx.Client(headers={"authorization": f"Bearer {TOKEN}"})

    def samples(self) -> dict[str, list[tuple[dict[str, str], float]]]:
        """Return the samples by name."""
        found = defaultdict(list)
        answer = self.http.get(self.url)
        assert answer.status_code == 200, answer.text
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                found[sample.name].append((dict(sample.labels), sample.value))
        return found

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the samples that have ``labels``."""
        rows = self.samples()[name]
        return sum(value for given, value in rows if all(given.get(key) == each for key, each in labels.items()))

    def answers(self) -> bool:
        """Whether a process serves the port."""
        try:
            return self.http.get(self.url).status_code == 200
        except httpx.TransportError:
            return False


Counted = Callable[..., tuple[Gateway, Scraper]]


@pytest.fixture
def counted(make_installation: InstallationMaker) -> Counted:
    """A function that starts a gateway whose metrics are served."""

    def make(*options: str, **env: str) -> tuple[Gateway, Scraper]:
        port = free_port()
        more = {"GATEHOUSE_METRICS_PORT": str(port), "GATEHOUSE_METRICS_TOKEN": TOKEN, "GATEHOUSE_ENV": "development"}
        gateway = make_installation(env={**more, **env}).gateway(*options)
        scraper = Scraper(port)
        wait_until(scraper.answers)
        return gateway, scraper

    return make


def records(gateway: Gateway, count: int) -> list[dict[str, Any]]:
    return gateway.installation.records(count)


def test_metrics_equal_the_records(counted: Counted) -> None:
    gateway, scraper = counted()
    token = gateway.token("t", user=USER)
    sdk = gateway.sdk(token)
    said = "prompt_tokens=100 completion_tokens=20 cached_tokens=30"
    for _ in range(3):
        sdk.chat.completions.create(**chat(f"hi [[sandbox: {said}]]"))
    for _ in sdk.chat.completions.create(**chat(f"hi [[sandbox: {said}]]", stream=True)):
        pass
    sdk.embeddings.create(model=f"{ACCOUNT}/text-embedding-3-small", input="hello")
    for body in (chat("hi [[sandbox: status=500]]"), chat("hi") | {"model": "none/such-1234"}):
        with pytest.raises(OpenAIError):
            sdk.chat.completions.create(**body)
    wait_until(lambda: scraper.total("ai_gateway_requests_total") >= 7)

    rows = records(gateway, 7)
    total = scraper.total
    assert total("ai_gateway_requests_total") == len(rows)
    assert total("ai_gateway_requests_total", model_name=CHAT, status="200") == 4
    assert total("ai_gateway_requests_total", status="500", error_code="upstream_error") == 1
    assert total("ai_gateway_requests_total", model_name="unresolved", error_code="model_not_found") == 1
    assert total("ai_gateway_request_model_inference_failure_total", error_code="500") == 1
    for name, column in (("input", "input_tokens"), ("output", "output_tokens"), ("cached", "cached_tokens")):
        assert total("gatehouse_tokens_total", kind=name) == sum(row[column] for row in rows)
    cost = sum(row["cost_pico"] or 0 for row in rows) / 1e12
    assert total("ai_gateway_request_cost_total") == pytest.approx(cost, rel=1e-9)
    assert total("ai_gateway_request_processing_ms_count") == 6
    assert total("ai_gateway_request_processing_ms_sum") == pytest.approx(
        sum(row["latency_us"] for row in rows) / 1000, rel=1e-6
    )
    assert total("gen_ai_client_operation_duration_seconds_count", gen_ai_operation_name="chat") == 5
    assert total("gen_ai_server_time_to_first_token_seconds_count", gen_ai_request_model=CHAT) >= 1
    assert total("gatehouse_overhead_seconds_count") == 6
    assert 0 < total("gatehouse_overhead_seconds_sum") < 5
    assert "none/such" not in scraper.http.get(scraper.url).text


def test_the_port_asks_for_its_token(counted: Counted) -> None:
    _, scraper = counted()
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": f"Basic {TOKEN}"}):
        answer = httpx.get(scraper.url, headers=headers)
        assert answer.status_code == 401
        assert "ai_gateway" not in answer.text
    assert scraper.http.get(scraper.url.removesuffix("metrics")).status_code == 404
    assert scraper.http.head(scraper.url).status_code == 200


def test_several_workers_count_as_one_and_a_killed_one_takes_nothing_away(counted: Counted) -> None:
    gateway, scraper = counted("--workers", "3")
    token = gateway.token("t", user=USER)
    known = {"authorization": f"Bearer {token}"}
    # Each worker learns of a token by itself: a connection each, so that several are asked.
    models = gateway.origin + "/v1/models"
    wait_until(lambda: all(httpx.get(models, headers=known).status_code == 200 for _ in range(12)))
    done = 0

    def calls(number: int) -> None:
        nonlocal done
        for _ in range(number):  # a connection each, so that several workers get some
            with httpx.Client() as fresh:
                headers = {"authorization": f"Bearer {token}"}
                assert fresh.post(gateway.origin + CHAT_PATH, json=chat(), headers=headers).status_code == 200
        done += number

    wait_until(lambda: scraper.total("gatehouse_workers") == 3)
    calls(30)
    wait_until(lambda: scraper.total("ai_gateway_requests_total") == done)
    pids = {labels["pid"] for labels, _ in scraper.samples()["process_resident_memory_bytes"]}
    assert len(pids) == 3
    for pid in pids:  # whichever of them exports, another takes over
        os.kill(int(pid), signal.SIGKILL)
        wait_until(lambda: scraper.answers() and scraper.total("gatehouse_workers") == 3, 40)
        assert scraper.total("ai_gateway_requests_total") == done
    calls(5)
    wait_until(lambda: scraper.total("ai_gateway_requests_total") == done)


def test_labels_are_chosen_and_capped(counted: Counted) -> None:
    labels = {"GATEHOUSE_METRICS_LABELS": "username,metadata.project", "GATEHOUSE_METRICS_MAX_ROWS": "10"}
    gateway, scraper = counted(**labels, GATEHOUSE_METRICS_NAMES="ai_gateway")
    token = gateway.token("t", user=USER)
    for number in range(15):
        headers = {"x-tfy-metadata": f'{{"project": "p{number}", "other": "x"}}'}
        assert gateway.post(token, CHAT_PATH, chat(), headers=headers).status_code == 200
    wait_until(lambda: scraper.total("ai_gateway_requests_total") == 15)
    rows = scraper.samples()["ai_gateway_requests_total"]
    found = {labels["metadata_project"]: value for labels, value in rows}
    assert found == {**{f"p{number}": 1 for number in range(10)}, "other": 5}
    assert {labels["username"] for labels, _ in rows} == {USER, "other"}
    assert not [name for name in scraper.samples() if name.startswith("gen_ai")]


def test_retries_and_strangers_are_counted(counted: Counted) -> None:
    gateway, scraper = counted()
    token = gateway.token("t", user=USER)
    headers = {"x-tfy-retry-config": '{"attempts": 2, "onStatusCodes": [500]}'}
    gateway.post(token, CHAT_PATH, chat("hi [[sandbox: status=500]]"), headers=headers)
    wait_until(lambda: scraper.total("gatehouse_tried_again_total"))
    before = scraper.total("gatehouse_unauthenticated_total", error_code="invalid_api_key")
    gateway.post("gh-nonsense", CHAT_PATH, chat())
    wait_until(lambda: scraper.total("gatehouse_unauthenticated_total", error_code="invalid_api_key") == before + 1)
    assert scraper.total("gatehouse_tried_again_total", kind="retry", from_model=CHAT, to_model=CHAT) == 2


def test_a_port_that_others_reach_needs_a_token(make_installation: InstallationMaker) -> None:
    env = {"GATEHOUSE_METRICS_PORT": str(free_port()), "GATEHOUSE_METRICS_HOST": "0.0.0.0"}
    done = make_installation(env=env, seeded=False).manage("serve")
    assert done.returncode == 1
    assert "GATEHOUSE_METRICS_TOKEN: is not set" in done.stderr


def test_a_port_in_use_costs_nothing_but_a_line(make_installation: InstallationMaker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        gateway = make_installation(env={"GATEHOUSE_METRICS_PORT": str(port)}).gateway()
        token = gateway.token("t", user=USER)
        wait_until(lambda: f"Metrics can't be served at port {port}" in gateway.log)
        assert gateway.post(token, CHAT_PATH, chat()).status_code == 200
