"""Input files for batches and fine-tuning, and waiting for jobs."""

import json
from collections.abc import Iterable
from typing import Any

from openai import OpenAI

from tests.support.servers import wait_until

HEADERS = {"x-tfy-provider-name": "openai-main"}
ENDED = {"completed", "failed", "expired", "cancelled", "succeeded"}
# An installation whose jobs are polled often, for tests that wait.
QUICK = {
    "GATEHOUSE_JOB_POLL_S": "0.2",
    "GATEHOUSE_JOB_SWEEP_S": "0.2",
    "GATEHOUSE_JOB_FRESH_S": "0.1",
    "GATEHOUSE_JOB_LEASE_S": "2",
}


def line(number: int, prompt: str = "Say hi in French.", model: str = "gpt-4o-mini") -> dict[str, Any]:
    """Return one request of a batch of chat completions."""
    body = {"model": model, "messages": [{"role": "user", "content": prompt}]}
    return {"custom_id": f"req-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}


def jsonl(lines: Iterable[Any]) -> bytes:
    """Return ``lines`` as a file of JSON lines."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in lines)


def chat_lines(count: int) -> bytes:
    """Return the input of a batch of ``count`` lines."""
    return jsonl(line(number) for number in range(count))


def training(count: int = 10) -> bytes:
    """Return a training file of ``count`` examples."""
    example = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello!"}]}
    return jsonl([example] * count)


def submit(client: OpenAI, count: int = 2, **metadata: str) -> Any:
    """Upload an input of ``count`` lines and create a batch of it; ``metadata`` may hold the sandbox's switches."""
    uploaded = client.files.create(file=("in.jsonl", chat_lines(count)), purpose="batch")
    return client.batches.create(
        input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h", metadata=metadata or None
    )


def ended(client: OpenAI, batch_id: str, seconds: float = 30) -> Any:
    """Return a batch once it has ended."""
    wait_until(lambda: client.batches.retrieve(batch_id).status in ENDED, seconds, 0.1)
    return client.batches.retrieve(batch_id)


def tuned(client: OpenAI, job_id: str, seconds: float = 30) -> Any:
    """Return a fine-tuning job once it has ended."""
    wait_until(lambda: client.fine_tuning.jobs.retrieve(job_id).status in ENDED, seconds, 0.1)
    return client.fine_tuning.jobs.retrieve(job_id)
