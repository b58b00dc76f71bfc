"""Fine-tuning jobs through the SDK, from the training file to a model that answers."""

import base64
from typing import Any

import pytest
from openai import BadRequestError, NotFoundError, OpenAI
from openai.types.fine_tuning import FineTuningJob

from tests.support.openapi import assert_valid
from tests.support.sandbox_jobs import chat_example, chat_line, finished, jsonl, rows, submit, until, upload
from tests.support.sandbox_process import KEY, SandboxProcess

BASE = "gpt-4o-mini-2024-07-18"
TEN = jsonl(chat_example(number) for number in range(10))
DPO = {
    "input": {"messages": [{"role": "user", "content": "Hi"}]},
    "preferred_output": [{"role": "assistant", "content": "Hello!"}],
    "non_preferred_output": [{"role": "assistant", "content": "What?"}],
}
ENDS = ("succeeded", "failed", "cancelled")


def train(client: OpenAI, data: bytes = TEN, switches: str = "duration=0.2", **options: Any) -> FineTuningJob:
    """A new job, valid as it came over the wire."""
    options = {"model": BASE, "metadata": {"sandbox": switches}, **options}
    raw = client.fine_tuning.jobs.with_raw_response.create(
        training_file=upload(client, data, "fine-tune").id, **options
    )
    assert_valid("FineTuningJob", raw.http_response.json())
    return raw.parse()


def ended(client: OpenAI, job: FineTuningJob) -> FineTuningJob:
    return until(lambda: client.fine_tuning.jobs.retrieve(job.id), lambda answer: answer.status in ENDS)


def reached(client: OpenAI, job: FineTuningJob, status: str) -> FineTuningJob:
    return until(lambda: client.fine_tuning.jobs.retrieve(job.id), lambda answer: answer.status == status)


def ask(client: OpenAI, model: str) -> str | None:
    answer = client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Say hi in French."}])
    assert answer.model == model
    return answer.choices[0].message.content


def test_states_follow_each_other() -> None:
    """A job of a thousand seconds, of which the sandbox's clock lets some pass at a time."""
    with SandboxProcess() as sandbox, sandbox.client() as client:
        job = train(client, switches="duration=1000")
        for status, seconds in (("validating_files", 100), ("queued", 100), ("running", 800), ("succeeded", 0)):
            assert reached(client, job, status).fine_tuned_model is None or status == "succeeded"
            shape = sandbox.get(f"/fine_tuning/jobs/{job.id}").json()
            assert_valid("FineTuningJob", shape)
            assert (shape["estimated_finish"] is not None) == (status == "running")
            sandbox.advance(seconds)


def test_a_job_ends_in_a_model_that_answers(client: OpenAI) -> None:
    job = train(client, suffix="My Support Bot", validation_file=None, seed=7)
    assert (job.status, job.model, job.seed) == ("validating_files", BASE, 7)
    assert job.hyperparameters.n_epochs == "auto"
    assert job.fine_tuned_model is job.finished_at is job.trained_tokens is job.error is None

    job = ended(client, job)
    assert job.status == "succeeded"
    job = client.fine_tuning.jobs.retrieve(job.id)
    assert job.fine_tuned_model == f"ft:{BASE}:sandbox:my-support-bot:{job.id[-8:]}"
    assert job.finished_at is not None
    assert job.trained_tokens is not None
    assert job.trained_tokens > 0
    assert (job.hyperparameters.n_epochs, job.hyperparameters.batch_size) == (3, 1)
    assert job.method is not None
    assert job.method.type == "supervised"
    assert ask(client, job.fine_tuned_model) == "Bonjour !"
    assert job.fine_tuned_model in {model.id for model in client.models.list()}
    assert client.models.retrieve(job.fine_tuned_model).created >= job.created_at

    assert client.models.delete(job.fine_tuned_model).deleted
    with pytest.raises(NotFoundError):
        ask(client, job.fine_tuned_model)


def test_the_model_serves_batches_and_more_training(client: OpenAI) -> None:
    model = ended(client, train(client, switches="duration=0")).fine_tuned_model
    assert model is not None
    assert model.startswith(f"ft:{BASE}:sandbox::")

    batch = finished(client, submit(client, jsonl([chat_line("a", model=model)]), "duration=0"))
    assert batch.model == model
    assert rows(client, batch.output_file_id)[0]["response"]["body"]["model"] == model
    second = ended(client, train(client, model=model, suffix="again", switches="duration=0"))
    assert second.model == model
    assert second.fine_tuned_model is not None
    assert second.fine_tuned_model.startswith(f"ft:{BASE}:sandbox:again:")


def test_aliases_become_dated_names(client: OpenAI) -> None:
    assert train(client, model="gpt-4o-mini").model == BASE


def test_events_tell_the_story(client: OpenAI, sandbox: SandboxProcess) -> None:
    job = ended(client, train(client, switches="duration=0", validation_file=upload(client, TEN, "fine-tune").id))
    answer = sandbox.get(f"/fine_tuning/jobs/{job.id}/events", limit=5).json()
    assert_valid("ListFineTuningJobEventsResponse", answer)
    assert len(answer["data"]) == 5
    assert answer["has_more"]

    events = list(client.fine_tuning.jobs.list_events(job.id, limit=7))

    told = [event.message for event in events][::-1]
    assert told[0] == f"Created fine-tuning job: {job.id}"
    assert told[1] == f"Validating training file: {job.training_file}"
    assert told[2:4] == ["Files validated, moving job to queued state", "Fine-tuning job started"]
    assert told[-2:] == [
        f"New fine-tuned model created: {job.fine_tuned_model}",
        "The job has successfully completed",
    ]
    steps = [event for event in events if event.type == "metrics"][::-1]
    assert len(steps) == 30
    expected = {"step", "train_loss", "valid_loss", "total_steps"}
    assert all(set(step.data) >= expected for step in steps)  # type: ignore[call-overload]
    assert steps[-1].data["train_loss"] < steps[0].data["train_loss"]  # type: ignore[index]


def test_checkpoints_can_be_called_too(client: OpenAI, sandbox: SandboxProcess) -> None:
    file = upload(client, TEN, "fine-tune").id
    job = train(client, switches="duration=0", validation_file=file, hyperparameters={"n_epochs": 5, "batch_size": 2})
    job = ended(client, job)
    assert_valid("ListFineTuningJobCheckpointsResponse", sandbox.get(f"/fine_tuning/jobs/{job.id}/checkpoints").json())

    checkpoints = list(client.fine_tuning.jobs.checkpoints.list(job.id, limit=2))

    assert [checkpoint.step_number for checkpoint in checkpoints] == [25, 20, 15]
    assert checkpoints[0].fine_tuned_model_checkpoint == job.fine_tuned_model
    assert checkpoints[1].fine_tuned_model_checkpoint == f"{job.fine_tuned_model}:ckpt-step-20"
    assert checkpoints[1].metrics.full_valid_loss is not None
    assert ask(client, checkpoints[1].fine_tuned_model_checkpoint) == "Bonjour !"


def test_the_result_file_has_a_row_for_each_step(client: OpenAI) -> None:
    job = ended(client, train(client, switches="duration=0"))
    [file_id] = job.result_files
    assert client.files.retrieve(file_id).purpose == "fine-tune-results"
    table = base64.b64decode(client.files.content(file_id).read()).decode().splitlines()
    assert table[0].startswith("step,train_loss,")
    assert len(table) == 31


class TestMethods:
    def test_hyperparameters_may_be_given(self, client: OpenAI) -> None:
        chosen: Any = {"n_epochs": 2, "batch_size": 4, "learning_rate_multiplier": 0.5}
        method: Any = {"type": "supervised", "supervised": {"hyperparameters": chosen}}
        job = ended(client, train(client, switches="duration=0", method=method))
        assert job.hyperparameters.to_dict() == chosen
        assert job.method is not None
        assert job.method.supervised is not None
        assert job.method.supervised.hyperparameters is not None
        assert job.method.supervised.hyperparameters.n_epochs == 2

    def test_preferences(self, client: OpenAI) -> None:
        method: Any = {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2}}}
        job = ended(client, train(client, jsonl([DPO] * 10), "duration=0", method=method))
        assert job.status == "succeeded"
        assert job.method is not None
        assert job.method.dpo is not None
        assert job.method.dpo.hyperparameters is not None
        assert job.method.dpo.hyperparameters.beta == 0.2
        wrong = ended(client, train(client, TEN, "duration=0", method=method))
        assert wrong.error is not None
        assert wrong.error.message == 'Invalid file format. Example 1, is missing key "messages".'

    def test_reinforcement(self, client: OpenAI) -> None:
        grader = {"type": "string_check", "name": "g", "input": "{{sample.output_text}}", "reference": "4"}
        method: Any = {"type": "reinforcement", "reinforcement": {"grader": {**grader, "operation": "eq"}}}
        example = {"messages": [{"role": "user", "content": "2+2?"}], "answer": "4"}
        job = train(client, jsonl([example] * 10), "duration=0", method=method, model="o4-mini")
        assert ended(client, job).status == "succeeded"

    def test_completion_models_learn_from_prompts(self, client: OpenAI) -> None:
        data = jsonl([{"prompt": "a", "completion": "b"}] * 10)
        job = ended(client, train(client, data, "duration=0", model="babbage-002"))
        assert job.fine_tuned_model is not None
        assert client.completions.create(model=job.fine_tuned_model, prompt="Say hi").choices

    def test_integrations(self, client: OpenAI) -> None:
        job = train(client, integrations=[{"type": "wandb", "wandb": {"project": "mine", "tags": ["a"]}}])
        assert job.integrations is not None
        assert (job.integrations[0].wandb.project, job.integrations[0].wandb.tags) == ("mine", ["a"])


@pytest.mark.parametrize(
    ("data", "code", "message"),
    [
        (TEN + b"nope\n", "invalid_file_format", "Example 11, is not parseable as valid JSON"),
        (TEN + b"[1]\n", "invalid_file_format", "Example 11, is not a dictionary"),
        (jsonl([{"text": "x"}]), "invalid_file_format", 'Example 1, is missing key "messages"'),
        (jsonl([{"messages": []}]), "invalid_file_format", 'key "messages" must be a list of messages'),
        (
            jsonl([{"messages": [{"role": "robot", "content": "x"}]}]),
            "invalid_file_format",
            'key "role" must be one of',
        ),
        (jsonl([{"messages": [{"role": "assistant"}]}]), "invalid_file_format", 'key "content" is missing'),
        (jsonl([{"messages": [{"role": "user", "content": "x"}]}]), "invalid_file_format", "from the assistant"),
        (jsonl(chat_example(number) for number in range(9)), "invalid_n_examples", "has 9 example"),
    ],
)
def test_a_bad_training_file_fails_the_job(client: OpenAI, data: bytes, code: str, message: str) -> None:
    job = ended(client, train(client, data, "duration=0"))

    assert job.status == "failed"
    assert job.finished_at is not None
    assert job.fine_tuned_model is None
    assert job.error is not None
    assert (job.error.code, job.error.param) == (code, "training_file")
    assert message in (job.error.message or "")
    newest = client.fine_tuning.jobs.list_events(job.id).data[0]
    assert newest.level == "error"


def test_a_bad_validation_file_fails_the_job(client: OpenAI) -> None:
    file = upload(client, b"nope\n", "fine-tune")
    job = ended(client, train(client, switches="duration=0", validation_file=file.id))
    assert job.error is not None
    assert job.error.param == "validation_file"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"model": "gpt-99"}, "model"),
        ({"model": "gpt-5"}, "model"),
        ({"training_file": "file-none"}, "training_file"),
        ({"validation_file": "file-none"}, "validation_file"),
        ({"suffix": "x" * 65}, "suffix"),
        ({"seed": -1}, "seed"),
        ({"hyperparameters": {"n_epochs": 51}}, "hyperparameters.n_epochs"),
        ({"hyperparameters": {"batch_size": "large"}}, "hyperparameters.batch_size"),
        ({"method": {"type": "magic"}}, "type"),
        ({"method": {"type": "reinforcement"}}, "method.reinforcement.grader"),
        ({"integrations": [{"type": "wandb", "wandb": {}}]}, "integrations[0].wandb.project"),
        ({"metadata": {"sandbox": "explode"}}, "metadata.sandbox"),
        ({"suffix": "sandbox-explode"}, "metadata.sandbox"),
    ],
)
def test_bad_values_are_refused_at_once(client: OpenAI, change: dict[str, Any], param: str) -> None:
    good = {"model": BASE, "training_file": upload(client, TEN, "fine-tune").id}
    with pytest.raises(BadRequestError) as caught:
        client.fine_tuning.jobs.create(**{**good, **change})
    assert caught.value.param == param


def test_the_file_must_be_for_training(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as caught:
        client.fine_tuning.jobs.create(model=BASE, training_file=upload(client, TEN, "batch").id)
    assert caught.value.code == "invalid_file_purpose"


def test_lists_page_newest_first_and_keys_are_apart() -> None:
    with SandboxProcess("--key", KEY, "--key", "sk-other", "--job-seconds", "0") as sandbox, sandbox.client() as client:
        file = upload(client, TEN, "fine-tune").id
        ids = [
            client.fine_tuning.jobs.create(model=BASE, training_file=file, metadata=metadata).id
            for metadata in ({"team": "red"}, {"team": "blue", "x": "y"}, None, {"team": "red", "x": "y"})
        ]
        listed = client.fine_tuning.jobs.list(limit=3)
        assert listed.has_more
        assert [job.id for job in listed] == ids[::-1]
        assert [job.id for job in client.fine_tuning.jobs.list(metadata={"team": "red"})] == [ids[3], ids[0]]
        assert [job.id for job in client.fine_tuning.jobs.list(metadata={"team": "red", "x": "y"})] == [ids[3]]
        assert [job["id"] for job in sandbox.get("/fine_tuning/jobs", metadata="null").json()["data"]] == [ids[2]]
        assert_valid("ListPaginatedFineTuningJobsResponse", sandbox.get("/fine_tuning/jobs").json())

        model = ended(client, client.fine_tuning.jobs.retrieve(ids[0])).fine_tuned_model
        assert model is not None
        other = sandbox.client(api_key="sk-other")
        assert list(other.fine_tuning.jobs.list()) == []
        with pytest.raises(NotFoundError) as caught:
            other.fine_tuning.jobs.retrieve(ids[0])
        assert caught.value.code == "fine_tune_not_found"
        with pytest.raises(NotFoundError):
            ask(other, model)
        with pytest.raises(NotFoundError):
            other.models.delete(model)
        assert model not in {item.id for item in other.models.list()}
        assert ask(client, model) == "Bonjour !"
