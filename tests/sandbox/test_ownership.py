"""What one API key makes does not exist for another."""

from collections.abc import Iterator
from typing import Any

import pytest
from openai import NotFoundError, OpenAI

from tests.support.sandbox_jobs import CHAT, chat_example, chat_line, jsonl, upload
from tests.support.sandbox_process import KEY, SandboxProcess

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
SKILL = b"name: a\ndescription: b\n"
SOURCE: Any = {"type": "custom", "item_schema": {}}


def upload_book(client: OpenAI) -> str:
    return client.uploads.create(bytes=1, filename="a.pdf", mime_type="application/pdf", purpose="assistants").id


def batch(client: OpenAI) -> str:
    file = upload(client, jsonl([chat_line("a")]))
    return client.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h").id


def job(client: OpenAI) -> str:
    file = upload(client, jsonl(chat_example(number) for number in range(10)), "fine-tune")
    return client.fine_tuning.jobs.create(model="gpt-4o-mini", training_file=file.id).id


def evaluation(client: OpenAI) -> str:
    return client.evals.create(data_source_config=SOURCE, testing_criteria=[]).id


# path: who makes an object there, and whether it can be listed
KINDS: dict[str, tuple[Any, bool]] = {
    "files": (lambda client: upload(client, b"x", "user_data").id, True),
    "uploads": (upload_book, False),
    "batches": (batch, True),
    "fine_tuning/jobs": (job, True),
    "vector_stores": (lambda client: client.vector_stores.create().id, True),
    "containers": (lambda client: client.containers.create(name="a").id, True),
    "evals": (evaluation, True),
    "videos": (lambda client: client.videos.create(prompt="a").id, True),
    "skills": (lambda client: client.skills.create(files=[("SKILL.md", SKILL)]).id, True),
    "assistants": (lambda client: client.beta.assistants.create(model="gpt-4o-mini").id, True),
    "threads": (lambda client: client.beta.threads.create().id, False),
}


@pytest.fixture(scope="module")
def two_keys() -> Iterator[SandboxProcess]:
    with SandboxProcess("--key", KEY, "--key", "sk-other") as sandbox:
        yield sandbox


@pytest.mark.parametrize("path", KINDS)
def test_other_keys_find_nothing(two_keys: SandboxProcess, path: str) -> None:
    make, listed = KINDS[path]
    with two_keys.client() as client, two_keys.client(api_key="sk-other") as other:
        made = make(client)
        if path == "uploads":
            with pytest.raises(NotFoundError):
                other.uploads.cancel(made)
            assert client.uploads.cancel(made).status == "cancelled"
            return
        assert client.get(f"/{path}/{made}", cast_to=object)["id"] == made  # type: ignore[index]
        with pytest.raises(NotFoundError) as caught:
            other.get(f"/{path}/{made}", cast_to=object)
        assert made in caught.value.message
        if listed:
            mine = client.get(f"/{path}", cast_to=object)["data"]  # type: ignore[index]
            assert made in [item["id"] for item in mine]
            assert other.get(f"/{path}", cast_to=object)["data"] == []  # type: ignore[index]
