"""A key that the upstream refuses: batches wait for a better one, with a reason, and the customer sees no error of the
account's."""

import json
from collections import Counter
from typing import Any

import pytest
from openai import OpenAI

from batches import lines
from gateway.call.reply import Reply
from tests.support.batch_inputs import ended, jsonl, line, submit
from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

MODEL = "gpt-4o-mini"
ENDPOINT = "/v1/chat/completions"
MANAGED = {"x-gatehouse-batch": "managed"}


class Account:
    """An account of its own, and someone's SDK on it."""

    def __init__(self, gateway: Gateway, upstream_url: str, name: str, key: str = "sk-sandbox", **headers: str) -> None:
        self.name = name
        self.installation = gateway.installation
        self.installation.apply(provider(name, upstream_url, models=[MODEL], key=key))
        token = gateway.token(name, user=f"{name}@example.com")
        self.client: OpenAI = gateway.sdk(token, default_headers={"x-tfy-provider-name": name, **headers})
        wait_until(lambda: f"{name}/{MODEL}" in [each.id for each in self.client.models.list()])

    def give(self, key: str) -> None:
        """Change the key, as the admin does."""
        self.installation.do("change_account", self.name, api_key=key)

    def begin(self, *prompts: str) -> Any:
        """Create a batch that Gatehouse runs."""
        content = jsonl(line(number, prompt) for number, prompt in enumerate(prompts))
        uploaded = self.client.files.create(file=("in.jsonl", content), purpose="batch")
        return self.client.batches.create(input_file_id=uploaded.id, endpoint=ENDPOINT, completion_window="24h")

    def known(self, batch_id: str) -> dict[str, Any]:
        """Return the batch's record."""
        (found,) = self.installation.do("owned", object_id=batch_id)
        return dict(found)

    def paused(self, batch_id: str) -> None:
        """Wait until the batch waits for minutes, for the stated reason."""
        wait_until(lambda: self.known(batch_id)["fault"] and not self.known(batch_id)["lease_until"])
        wait_until(lambda: self.installation.do("seconds_until_due", batch_id) > 60)

    def statuses(self, batch_id: str) -> Counter[int]:
        """Return how the attempts at the batch's lines ended."""
        found = self.installation.do("records", batch_key=f"{self.name}/{batch_id}")
        return Counter(each["status"] for each in found)


def test_a_managed_batch_waits_for_a_good_key(quick: Gateway, quick_upstream: SandboxProcess) -> None:
    account = Account(quick, quick_upstream.url, "waiting", "sk-wrong", **MANAGED)
    batch = account.begin("One.", "Two.", "Three.")
    account.paused(batch.id)
    assert account.known(batch.id)["fault"].startswith("The upstream refuses the account's key (401).")
    told = account.client.batches.retrieve(batch.id)
    assert (told.status, told.request_counts.failed) == ("in_progress", 0)
    account.give("sk-sandbox")
    batch = ended(account.client, batch.id)
    counts = batch.request_counts
    assert (batch.status, counts.completed, counts.failed) == ("completed", 3, 0)
    assert account.known(batch.id)["fault"] == ""


def test_lines_under_way_are_kept_when_the_key_goes_bad(quick: Gateway, quick_upstream: SandboxProcess) -> None:
    account = Account(quick, quick_upstream.url, "spoiled", **MANAGED)
    batch = account.begin(*(f"[[sandbox: latency={200 + number % 8 * 50}]] {number}" for number in range(60)))
    wait_until(lambda: account.installation.do("line_results", batch.id))
    account.give("sk-wrong")
    account.paused(batch.id)
    assert 0 < len(account.installation.do("line_results", batch.id)) < 60
    account.give("sk-sandbox")
    wait_until(lambda: account.known(batch.id)["fault"] == "")
    assert account.known(batch.id)["state"] == "in_progress"  # the reason is gone as soon as a line succeeds
    batch = ended(account.client, batch.id)
    assert (batch.status, batch.request_counts.completed) == ("completed", 60)
    wait_until(lambda: account.statuses(batch.id)[200] >= 60)
    assert account.statuses(batch.id).keys() == {200, 401}  # none was cut off
    assert account.statuses(batch.id)[200] == 60


def test_a_batch_that_waits_for_a_key_can_be_cancelled(quick: Gateway, quick_upstream: SandboxProcess) -> None:
    account = Account(quick, quick_upstream.url, "given-up", **MANAGED)
    batch = account.begin("[[sandbox: status=403 message=Your_API_key_has_expired.]]")
    account.paused(batch.id)
    assert "refuses the account's key (403)" in account.known(batch.id)["fault"]
    account.client.batches.cancel(batch.id)
    assert ended(account.client, batch.id).status == "cancelled"


def test_a_403_about_a_line_is_an_answer(quick: Gateway, quick_upstream: SandboxProcess) -> None:
    account = Account(quick, quick_upstream.url, "forbidden", **MANAGED)
    batch = account.begin("One.", "[[sandbox: status=403 message=You_are_not_allowed_to_sample_from_this_model]]")
    counts = ended(account.client, batch.id).request_counts
    assert (counts.completed, counts.failed) == (1, 1)


@pytest.mark.parametrize(
    ("status", "words", "refused"),
    [
        (401, "Any words.", True),
        (403, "You have insufficient permissions for this operation. Missing scopes: model.request.", True),
        (403, "The API key is not valid.", True),
        (403, "Project proj_1 does not have access to model gpt-9.", False),
        (403, "Country, region, or territory not supported", False),
        (400, "The API key is not valid.", False),
    ],
)
def test_what_refuses_a_key(status: int, words: str, refused: bool) -> None:
    body = json.dumps({"error": {"message": words, "type": "invalid_request_error", "code": None}}).encode()
    assert lines.key_is_refused(Reply(status, [], body)) is refused


def test_the_record_answers_when_the_key_is_refused(quick: Gateway, quick_upstream: SandboxProcess) -> None:
    account = Account(quick, quick_upstream.url, "told-anyway")
    batch = submit(account.client, 1, sandbox="hang=in_progress")
    account.give("sk-wrong")
    account.paused(batch.id)
    answer = account.client.batches.with_raw_response.retrieve(batch.id)
    assert answer.parse().id == batch.id
    assert "age" in answer.headers
