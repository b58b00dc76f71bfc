"""Vector stores and their search, containers and their files, through the SDK."""

from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI

from tests.support.openapi import assert_valid
from tests.support.sandbox_jobs import upload
from tests.support.sandbox_process import SandboxProcess

TEXTS = {
    "paris.txt": "The Eiffel tower stands in Paris. It was built in 1889.",
    "rome.md": "The Colosseum stands in Rome. Gladiators fought there.",
    "tea.txt": "Green tea is brewed at eighty degrees.",
}


@pytest.fixture
def files(quick_client: OpenAI) -> dict[str, str]:
    """The ids of uploaded texts by name."""
    return {name: upload(quick_client, text.encode(), "assistants", name).id for name, text in TEXTS.items()}


def shape(raw: Any, schema: str) -> Any:
    """The parsed answer, after validating what came over the wire."""
    assert_valid(schema, raw.http_response.json())
    return raw.parse()


def test_the_life_of_a_store(quick_client: OpenAI) -> None:
    stores = quick_client.vector_stores
    expiry: Any = {"anchor": "last_active_at", "days": 2}
    store = shape(
        stores.with_raw_response.create(name="docs", metadata={"a": "b"}, expires_after=expiry), "VectorStoreObject"
    )
    assert (store.name, store.status, store.metadata) == ("docs", "completed", {"a": "b"})
    assert store.expires_at == store.last_active_at + 2 * 86_400
    assert stores.retrieve(store.id) == store
    assert shape(stores.with_raw_response.update(store.id, name="new"), "VectorStoreObject").name == "new"
    assert store.id in [item.id for item in stores.list(limit=1)]
    assert shape(stores.with_raw_response.delete(store.id), "DeleteVectorStoreResponse").deleted
    with pytest.raises(NotFoundError, match=f"No vector store found with id '{store.id}'"):
        stores.retrieve(store.id)


def test_files_become_ready(quick_client: OpenAI, files: dict[str, str]) -> None:
    store = quick_client.vector_stores.create(file_ids=[files["paris.txt"]])
    assert store.file_counts.total == 1
    inside = quick_client.vector_stores.files
    file = shape(
        inside.with_raw_response.create(store.id, file_id=files["rome.md"], attributes={"year": 80}),
        "VectorStoreFileObject",
    )
    assert file.status == "in_progress"
    file = inside.poll(files["rome.md"], vector_store_id=store.id)
    assert file.status == "completed"
    assert file.usage_bytes == len(TEXTS["rome.md"])

    unreadable = upload(quick_client, bytes(range(128, 256)) * 20, "assistants", "x.bin")
    failed = inside.create_and_poll(file_id=unreadable.id, vector_store_id=store.id)
    assert failed.status == "failed"
    assert failed.last_error is not None
    assert failed.last_error.code == "unsupported_file"
    assert [item.id for item in inside.list(store.id, filter="failed")] == [unreadable.id]
    assert len(list(inside.list(store.id, limit=2))) == 3
    counts = quick_client.vector_stores.retrieve(store.id).file_counts
    assert (counts.completed, counts.failed, counts.total) == (2, 1, 3)

    changed = inside.update(files["rome.md"], vector_store_id=store.id, attributes={"year": 81, "old": True})
    assert changed.attributes == {"year": 81, "old": True}
    raw = inside.with_raw_response.content(files["rome.md"], vector_store_id=store.id)
    assert_valid("VectorStoreFileContentResponse", raw.http_response.json())
    assert [part.text for part in raw.parse()] == [TEXTS["rome.md"]]
    assert inside.delete(unreadable.id, vector_store_id=store.id).deleted
    with pytest.raises(NotFoundError):
        inside.retrieve(unreadable.id, vector_store_id=store.id)
    with pytest.raises(NotFoundError, match="No such File object"):
        inside.create(store.id, file_id="file-none")


def test_search_finds_shared_words(quick_client: OpenAI, files: dict[str, str]) -> None:
    store = quick_client.vector_stores.create()
    for name, file_id in files.items():
        quick_client.vector_stores.files.create_and_poll(
            file_id=file_id, vector_store_id=store.id, attributes={"name": name, "size": len(TEXTS[name])}
        )

    def found(query: Any, **options: Any) -> list[str]:
        raw = quick_client.vector_stores.with_raw_response.search(store.id, query=query, **options)
        assert_valid("VectorStoreSearchResultsPage", raw.http_response.json())
        return [result.filename for result in raw.parse()]

    assert found("Where is the Eiffel tower?")[0] == "paris.txt"
    assert set(found(["gladiators", "eiffel"])) == {"paris.txt", "rome.md"}
    assert found("bicycle") == []
    assert len(found("stands in", max_num_results=1)) == 1
    assert found("tower", filters={"type": "eq", "key": "name", "value": "rome.md"}) == []
    short: Any = {"type": "lt", "key": "size", "value": 45}
    not_tea: Any = {"type": "ne", "key": "name", "value": "tea.txt"}
    assert found("the is", filters={"type": "and", "filters": [short, not_tea]}) == []
    assert found("is", filters={"type": "or", "filters": [short, not_tea]})[0] == "tea.txt"
    assert found("eiffel bicycle", ranking_options={"score_threshold": 0.9}) == []
    with pytest.raises(BadRequestError):
        found("x", filters={"type": "like", "key": "a", "value": "b"})


def test_many_files_at_once(quick_client: OpenAI, files: dict[str, str]) -> None:
    store = quick_client.vector_stores.create()
    batches = quick_client.vector_stores.file_batches
    raw = batches.with_raw_response.create(store.id, file_ids=list(files.values()))
    batch = shape(raw, "VectorStoreFileBatchObject")
    assert (batch.status, batch.file_counts.in_progress) == ("in_progress", 3)
    batch = batches.poll(batch.id, vector_store_id=store.id)
    assert (batch.status, batch.file_counts.completed) == ("completed", 3)
    assert {file.id for file in batches.list_files(batch.id, vector_store_id=store.id)} == set(files.values())
    with pytest.raises(BadRequestError, match="Cannot cancel"):
        batches.cancel(batch.id, vector_store_id=store.id)


def test_a_batch_of_files_can_be_cancelled(client: OpenAI) -> None:
    file = upload(client, b"hello", "assistants", "a.txt")
    store = client.vector_stores.create()
    each: Any = [{"file_id": file.id, "attributes": {"n": 1}}]
    batch = client.vector_stores.file_batches.create(store.id, files=each)
    cancelled = client.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id)
    assert (cancelled.status, cancelled.file_counts.cancelled) == ("cancelled", 1)


def test_a_store_expires_when_nobody_uses_it() -> None:
    with SandboxProcess() as sandbox, sandbox.client() as client:
        store = client.vector_stores.create(expires_after={"anchor": "last_active_at", "days": 1})
        sandbox.advance(86_401)
        assert client.vector_stores.retrieve(store.id).status == "expired"
        with pytest.raises(BadRequestError, match="is expired"):
            client.vector_stores.search(store.id, query="x")


class TestContainers:
    def test_the_life_of_a_container(self, quick_client: OpenAI) -> None:
        containers = quick_client.containers
        raw = containers.with_raw_response.create(
            name="box", memory_limit="4g", expires_after={"anchor": "last_active_at", "minutes": 5}
        )
        container = shape(raw, "ContainerResource")
        assert (container.status, container.memory_limit) == ("running", "4g")
        assert containers.retrieve(container.id).to_dict() == container.to_dict()
        assert [item.id for item in containers.list(name="box")] == [container.id]
        assert list(containers.list(name="other")) == []
        containers.delete(container.id)
        with pytest.raises(NotFoundError):
            containers.retrieve(container.id)

    def test_files_come_both_ways(self, quick_client: OpenAI) -> None:
        uploaded = upload(quick_client, b"a,b\n1,2\n", "user_data", "table.csv")
        container = quick_client.containers.create(name="box", file_ids=[uploaded.id])
        inside = quick_client.containers.files
        own = shape(inside.with_raw_response.create(container.id, file=("x/note.txt", b"hi")), "ContainerFileResource")
        assert (own.path, own.bytes, own.source) == ("/mnt/data/note.txt", 2, "user")
        copy = inside.create(container.id, file_id=uploaded.id)
        assert copy.path == "/mnt/data/table.csv"

        assert len(list(inside.list(container.id, limit=1))) == 3
        assert inside.retrieve(own.id, container_id=container.id).to_dict() == own.to_dict()
        assert inside.content.retrieve(copy.id, container_id=container.id).read() == b"a,b\n1,2\n"
        inside.delete(own.id, container_id=container.id)
        with pytest.raises(NotFoundError, match="No container file found"):
            inside.content.retrieve(own.id, container_id=container.id)
        assert own.id not in [file.id for file in quick_client.files.list()]

    def test_an_idle_container_expires(self) -> None:
        with SandboxProcess() as sandbox, sandbox.client() as client:
            container = client.containers.create(name="box")
            sandbox.advance(20 * 60 + 1)
            assert client.containers.retrieve(container.id).status == "expired"
            with pytest.raises(NotFoundError, match="Container is expired"):
                client.containers.files.list(container.id)
