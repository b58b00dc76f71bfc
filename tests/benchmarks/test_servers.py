"""What the peers are given before they start: their upstream, and nothing that would leave the machine."""

import json
import tomllib
from pathlib import Path

from benchmarks.endpoint import CLAUDE, MODEL
from benchmarks.servers import BY_KEY, envoy, ferro, tensorzero
from benchmarks.servers.base import Host
from benchmarks.upstream import Upstreams

PORTS = {"instant": 4001, "streaming": 4002, "talking": 4003}
HOST = Host((0,), Path("/nowhere"), Upstreams(PORTS), 1)


def test_envoy_listens_on_loopback_and_passes_each_port_to_its_upstream() -> None:
    found = envoy.configuration({"instant": 5001, "streaming": 5002}, {"instant": 4001, "streaming": 4002})
    text = json.dumps(found)
    assert text.count('"address": "127.0.0.1"') == text.count('"address": "') == 4
    assert "admin" not in found
    for listener, cluster, ports in zip(
        found["static_resources"]["listeners"],
        found["static_resources"]["clusters"],
        ((5001, 4001), (5002, 4002)),
        strict=True,
    ):
        assert listener["address"]["socket_address"]["port_value"] == ports[0]
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        assert manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] == cluster["name"]
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        assert endpoint["address"]["socket_address"]["port_value"] == ports[1]


def test_tensorzero_has_a_model_for_each_upstream_and_reports_nothing() -> None:
    found = tomllib.loads(tensorzero.configuration(HOST))
    assert found["gateway"]["disable_pseudonymous_usage_analytics"] is True
    assert found["gateway"]["observability"]["enabled"] is False
    assert found["models"].keys() == {f"{model}-{which}" for model in (MODEL, CLAUDE) for which in PORTS}
    for which, port in PORTS.items():
        for model, kind, end in ((MODEL, "openai", "/v1/"), (CLAUDE, "anthropic", "/anthropic/v1/messages")):
            provider = found["models"][f"{model}-{which}"]["providers"]["vendor"]
            assert (provider["type"], provider["model_name"]) == (kind, model)
            assert provider["api_base"] == f"http://127.0.0.1:{port}{end}"


def test_ferro_fetches_no_list_of_models_and_limits_no_rate() -> None:
    assert ferro.ENVIRONMENT["FERRO_MODEL_CATALOG_TIMEOUT"] == "0"
    assert ferro.ENVIRONMENT["RATE_LIMIT_RPS"] == "0"
    assert MODEL in ferro.configuration()["targets"][0]["models"]


def test_servers_that_choose_their_interface_themselves_are_marked() -> None:
    assert {key for key, server in BY_KEY.items() if server.everywhere} == {"ferro", "portkey"}
