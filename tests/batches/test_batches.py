"""Batches through the customer's SDK: the seed's example, ownership, cost, and following without anybody who asks."""

import json
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

from tests.support.batch_inputs import HEADERS, chat_lines, ended, jsonl, line, submit
from tests.support.fixtures import USER
from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until


def test_the_seeds_example(client: OpenAI, quick: Gateway) -> None:
    batch = submit(client, 2)
    assert batch.status == "validating"
    batch = ended(client, batch.id)
    assert batch.status == "completed"
    raw = client.files.content(batch.output_file_id).read()
    lines = [json.loads(text) for text in raw.decode("utf-8").strip().splitlines()]
    assert {each["custom_id"] for each in lines} == {"req-0", "req-1"}
    records = quick.installation.records(2, batch_key=f"openai-main/{batch.id}")
    assert {each["batch_line"] for each in records} == {"req-0", "req-1"}
    for record in records:
        answer = next(each for each in lines if each["custom_id"] == record["batch_line"])["response"]["body"]
        tokens = (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"])
        assert (record["input_tokens"], record["output_tokens"]) == tokens
        # gpt-4o-mini costs 0.15 and 0.60 dollars a million tokens; batches half of that.
        assert record["cost_pico"] == tokens[0] * 75_000 + tokens[1] * 300_000
        assert (record["subject_name"], record["service_tier"], record["operation"]) == (USER, "batch", "chat")
        assert record["model_asked"] == "openai-main/gpt-4o-mini"


def test_looks_at_a_batch_count_no_tokens(client: OpenAI, quick: Gateway) -> None:
    batch = submit(client, 1)
    wait_until(lambda: client.batches.retrieve(batch.id).status == "completed", 20, 0.3)
    quick.installation.records(1, batch_key=f"openai-main/{batch.id}")
    looks = quick.installation.records(operation__exact="batch.retrieve")  # some looks are answered here, unrecorded
    assert looks
    assert {(look["input_tokens"], look["output_tokens"], look["cost_pico"]) for look in looks} == {(0, 0, 0)}


def test_a_forgotten_batch_is_followed_to_its_end(client: OpenAI, quick: Gateway) -> None:
    batch = submit(client, 3)
    records = quick.installation.records(3, 30, batch_key=f"openai-main/{batch.id}")
    assert len(records) == 3
    (known,) = quick.installation.do("owned", object_id=batch.id)
    assert (known["state"], known["fault"]) == ("completed", "")
    output = known["data"]["body"]["output_file_id"]
    (file,) = quick.installation.do("owned", object_id=output)
    assert (file["kind"], file["parent_id"], file["owner_name"]) == ("file", batch.id, USER)
    assert output in [each.id for each in client.files.list(purpose="batch_output")]


def test_lines_are_charged_once_for_all_who_poll(client: OpenAI, quick: Gateway) -> None:
    batch = ended(client, submit(client, 2).id)
    quick.installation.records(2, batch_key=f"openai-main/{batch.id}")
    for _ in range(3):
        client.batches.retrieve(batch.id)
        client.files.content(batch.output_file_id).read()
        quick.installation.do("due_in", batch.id)
        wait_until(lambda: not quick.installation.do("is_due", batch.id))
    assert len(quick.installation.records(2, batch_key=f"openai-main/{batch.id}")) == 2


def test_lines_that_failed_cost_nothing(client: OpenAI, quick: Gateway) -> None:
    batch = ended(client, submit(client, 4, sandbox="fail_lines=2+3").id)
    assert (batch.request_counts.completed, batch.request_counts.failed) == (2, 2)
    wait_until(lambda: not quick.installation.do("is_due", batch.id))
    charged = quick.installation.records(2, batch_key=f"openai-main/{batch.id}")
    assert [each["batch_line"] for each in charged if each["cost_pico"]] == ["req-0", "req-3"]
    assert client.files.content(batch.error_file_id).read().count(b"\n") == 2


def test_an_expired_batch_costs_what_was_done(client: OpenAI, quick: Gateway) -> None:
    batch = ended(client, submit(client, 4, sandbox="expire").id)
    assert batch.status == "expired"
    wait_until(lambda: not quick.installation.do("is_due", batch.id))
    assert len(quick.installation.records(2, batch_key=f"openai-main/{batch.id}")) == 2


def test_a_cancelled_batch(client: OpenAI, quick: Gateway) -> None:
    batch = submit(client, 2, sandbox="hang=in_progress")
    assert client.batches.cancel(batch.id).status in {"cancelling", "cancelled"}
    assert ended(client, batch.id).status == "cancelled"
    assert ended(client, batch.id).id in [each.id for each in client.batches.list(limit=5)]


def test_an_output_slower_than_the_lease_is_charged(
    client: OpenAI, quick: Gateway, quick_upstream: SandboxProcess
) -> None:
    batch = submit(client, 3, sandbox="duration=0; output_delay=3000")  # a kilobyte in longer than the lease
    assert len(quick.installation.records(3, 30, batch_key=f"openai-main/{batch.id}")) == 3
    wait_until(lambda: not quick.installation.do("is_due", batch.id))
    (known,) = quick.installation.do("owned", object_id=batch.id)
    content = f"/v1/files/{known['data']['body']['output_file_id']}/content"
    assert len(quick_upstream.requests(content)) == 1
    assert known["fault"] == ""


def test_an_upstream_in_trouble_only_costs_time(client: OpenAI, quick: Gateway) -> None:
    switches = "http_500_polls=1; rate_limit_polls=1; cut_output=1; http_500_output=1"
    batch = submit(client, 3, sandbox=switches)
    quick.installation.do("hurry", batch.id)

    def charged() -> bool:
        quick.installation.do("hurry", batch.id)
        return not quick.installation.do("is_due", batch.id)

    wait_until(charged, 40, 0.3)
    assert len(quick.installation.records(3, batch_key=f"openai-main/{batch.id}")) == 3


def test_a_batch_that_the_upstream_forgot_is_given_up(client: OpenAI, quick: Gateway) -> None:
    batch = submit(client, 1, sandbox="vanish; hang=in_progress")

    def given_up() -> bool:
        quick.installation.do("hurry", batch.id)
        return not quick.installation.do("is_due", batch.id)

    wait_until(given_up, 40, 0.3)
    (known,) = quick.installation.do("owned", object_id=batch.id)
    assert "404" in known["fault"]


def test_lists_page(quick: Gateway) -> None:
    mine = quick.sdk(quick.token("batch-pages", user="pages@example.com"), default_headers=HEADERS)
    made = [submit(mine, 1).id for _ in range(3)]
    assert [each.id for each in mine.batches.list(limit=2)] == made[::-1]
    page = mine.batches.with_raw_response.list(limit=1).parse()
    assert (page.has_more, page.data[0].id) == (True, made[-1])
    assert [each.id for each in mine.batches.list(after=made[1])] == [made[0]]


async def test_the_asynchronous_sdk(quick: Gateway) -> None:
    token = quick.token("batch-async", user="async@example.com")
    client: AsyncOpenAI = quick.async_sdk(token, default_headers=HEADERS)
    uploaded = await client.files.create(file=("in.jsonl", chat_lines(1)), purpose="batch")
    batch = await client.batches.create(
        input_file_id=uploaded.id,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        metadata={"note": "async"},
        output_expires_after={"anchor": "created_at", "seconds": 86_400},
    )
    raw = await client.batches.with_raw_response.retrieve(batch.id)
    assert raw.parse().metadata == {"note": "async"}
    assert [each.id async for each in client.batches.list()] == [batch.id]
    assert (await client.batches.cancel(batch.id)).id == batch.id
    await client.close()


def test_batches_and_their_files_belong_to_their_owner(client: OpenAI, other: OpenAI, quick: Gateway) -> None:
    batch = ended(client, submit(client, 4, sandbox="fail_lines=1").id)
    for act in (
        lambda: other.batches.retrieve(batch.id),
        lambda: other.batches.cancel(batch.id),
        lambda: other.files.content(batch.output_file_id),
        lambda: other.files.content(batch.error_file_id),
        lambda: other.files.retrieve(batch.input_file_id),
        lambda: other.files.delete(batch.output_file_id),
    ):
        with pytest.raises(NotFoundError):
            act()
    with pytest.raises(NotFoundError) as caught:
        other.batches.create(
            input_file_id=batch.input_file_id, endpoint="/v1/chat/completions", completion_window="24h"
        )
    assert (caught.value.code, caught.value.param) == ("not_found", "input_file_id")
    assert batch.id not in [each.id for each in other.batches.list()]


def test_an_input_is_checked_again_when_a_batch_is_created(client: OpenAI, quick: Gateway) -> None:
    uploaded = client.files.create(file=("in.jsonl", chat_lines(2)), purpose="batch")
    with pytest.raises(BadRequestError) as caught:
        client.batches.create(input_file_id=uploaded.id, endpoint="/v1/embeddings", completion_window="24h")
    assert caught.value.code == "mismatched_endpoint"
    parts = client.uploads.upload_file_chunked(
        file=jsonl([line(1), line(1)]),
        filename="in.jsonl",
        bytes=len(jsonl([line(1), line(1)])),
        mime_type="application/jsonl",
        purpose="batch",
    )
    assert parts.file is not None
    with pytest.raises(BadRequestError) as caught:
        client.batches.create(input_file_id=parts.file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert (caught.value.code, caught.value.param) == ("duplicate_custom_id", "input_file_id")
    assert "Line 2" in caught.value.message


def test_an_input_in_parts_makes_a_batch(client: OpenAI, quick: Gateway) -> None:
    content = chat_lines(2)
    done = client.uploads.upload_file_chunked(
        file=content, filename="in.jsonl", bytes=len(content), mime_type="application/jsonl", purpose="batch"
    )
    assert done.file is not None
    batch = client.batches.create(input_file_id=done.file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert len(quick.installation.records(2, 30, batch_key=f"openai-main/{batch.id}")) == 2


def test_the_record_answers_when_the_upstream_does_not(client: OpenAI, quick: Gateway) -> None:
    batch = submit(client, 1, sandbox="hang=in_progress; http_500_polls=9")
    assert client.batches.retrieve(batch.id).id == batch.id


@pytest.mark.parametrize("way", ["save", "apply"])
def test_a_refused_key_pauses_the_account_until_it_is_mended(
    quick: Gateway, quick_upstream: SandboxProcess, way: str
) -> None:
    account, installation = f"paused-{way}", quick.installation

    def give(key: str) -> None:
        if way == "save":  # as the admin does
            installation.do("change_account", account, api_key=key)
        else:
            installation.apply(provider(account, quick_upstream.url, models=["gpt-4o-mini"], key=key))

    installation.apply(provider(account, quick_upstream.url, models=["gpt-4o-mini"]))
    token = quick.token(account, user="paused@example.com")
    mine = quick.sdk(token, default_headers={"x-tfy-provider-name": account})
    wait_until(lambda: f"{account}/gpt-4o-mini" in [each.id for each in mine.models.list()])
    batch = submit(mine, 1, sandbox="duration=2")
    give("sk-wrong")

    def known() -> dict[str, Any]:
        (found,) = installation.do("owned", object_id=batch.id)
        return dict(found)

    wait_until(lambda: known()["fault"] and not known()["lease_until"])
    assert "refuses the account's key (401)" in known()["fault"]
    installation.do("due_in", batch.id, seconds=300)
    installation.do("change_account", "openai-main", organization="")  # another account's change fixes nothing
    assert installation.do("seconds_until_due", batch.id) > 60
    give("sk-sandbox")
    assert len(installation.records(1, 30, batch_key=f"{account}/{batch.id}")) == 1
    assert known()["fault"] == ""


def test_the_output_stays_until_it_is_counted(client: OpenAI, quick: Gateway) -> None:
    batch = ended(client, submit(client, 1).id)
    wait_until(lambda: not quick.installation.do("is_due", batch.id))
    quick.installation.do("due_in", batch.id, seconds=60)
    with pytest.raises(BadRequestError) as caught:
        client.files.delete(batch.output_file_id)
    assert caught.value.code == "file_in_use"
    quick.installation.do("due_in", batch.id)
    wait_until(lambda: not quick.installation.do("is_due", batch.id))
    assert client.files.delete(batch.output_file_id).deleted


def test_a_range_of_the_output(client: OpenAI, quick: Gateway) -> None:
    batch = ended(client, submit(client, 1).id)
    headers = {"authorization": f"Bearer {client.api_key}", "range": "bytes=0-0"}
    answer = httpx.get(f"{quick.origin}/v1/files/{batch.output_file_id}/content", headers=headers)
    assert (answer.status_code, answer.content) == (206, b"{")
