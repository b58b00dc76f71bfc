"""Batches through the customer's SDK: the seed's example, ownership, cost, and following without anybody who asks."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from openai import OpenAI

from tests.batches.inputs import HEADERS, QUICK, ended, submit
from tests.fixtures import USER, furnish
from tests.gateway.server import Gateway, House
from tests.sandbox.server import SandboxProcess


@pytest.fixture(scope="module")
def quick_upstream() -> Iterator[SandboxProcess]:
    """An upstream whose jobs take half a second."""
    with SandboxProcess("--job-seconds", "0.5") as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def quick(
    tmp_path_factory: pytest.TempPathFactory, migrated_data: Path, quick_upstream: SandboxProcess
) -> Iterator[Gateway]:
    """A gateway that looks at jobs often."""
    with House(tmp_path_factory.mktemp("quick") / "data", migrated_data, QUICK) as house:
        furnish(house, quick_upstream.url)
        yield house.gateway()


@pytest.fixture(scope="module")
def client(quick: Gateway) -> OpenAI:
    return quick.sdk(quick.token("batches", user=USER), default_headers=HEADERS)


@pytest.fixture(scope="module")
def other(quick: Gateway) -> OpenAI:
    return quick.sdk(quick.token("batches-other", user="other@example.com"), default_headers=HEADERS)


def test_the_seeds_example(client: OpenAI, quick: Gateway) -> None:
    batch = submit(client, 2)
    assert batch.status == "validating"
    batch = ended(client, batch.id)
    assert batch.status == "completed"
    raw = client.files.content(batch.output_file_id).read()
    lines = [json.loads(text) for text in raw.decode("utf-8").strip().splitlines()]
    assert {each["custom_id"] for each in lines} == {"req-0", "req-1"}
    records = quick.house.records(2, batch_key=f"openai-main/{batch.id}")
    assert {each["batch_line"] for each in records} == {"req-0", "req-1"}
    for record in records:
        answer = next(each for each in lines if each["custom_id"] == record["batch_line"])["response"]["body"]
        tokens = (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"])
        assert (record["input_tokens"], record["output_tokens"]) == tokens
        # gpt-4o-mini costs 0.15 and 0.60 dollars a million tokens; batches half of that.
        assert record["cost_pico"] == tokens[0] * 75_000 + tokens[1] * 300_000
        assert (record["subject_name"], record["service_tier"], record["operation"]) == (USER, "batch", "chat")
        assert record["model_asked"] == "openai-main/gpt-4o-mini"
