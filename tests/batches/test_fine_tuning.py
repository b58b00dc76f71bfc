"""Fine-tuning through the customer's SDK: the seed's example, pausing, cancelling, and the model that a job ends in."""

from collections.abc import Callable
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError, OpenAI

from tests.support.batch_inputs import HEADERS, training, tuned
from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import wait_until

BASE = "gpt-4o-mini-2024-07-18"
TEAM = "tuners"


def begin(client: OpenAI, **options: Any) -> Any:
    """Upload a training file and begin a job."""
    uploaded = client.files.create(file=("training.jsonl", training()), purpose="fine-tune")
    return client.fine_tuning.jobs.create(**{"training_file": uploaded.id, "model": BASE, **options})


def say(client: OpenAI, model: str) -> Any:
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Say hi in French."}])


def test_the_seeds_example(client: OpenAI) -> None:
    job = begin(client)
    assert job.status == "validating_files"
    assert client.fine_tuning.jobs.retrieve(job.id).id == job.id
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"
    assert client.fine_tuning.jobs.retrieve(job.id).status == "cancelled"


def test_every_method_of_a_job(client: OpenAI, quick: Gateway) -> None:
    validation = client.files.create(file=("v.jsonl", training()), purpose="fine-tune")
    job = begin(client, validation_file=validation.id, suffix="sandbox-hang=running", metadata={"colour": "green"})
    wait_until(lambda: client.fine_tuning.jobs.retrieve(job.id).status == "running", 20, 0.1)
    assert client.fine_tuning.jobs.pause(job.id).status == "paused"
    assert client.fine_tuning.jobs.resume(job.id).status == "queued"
    events = client.fine_tuning.jobs.list_events(job.id, limit=2)
    assert len(list(events)) >= 2
    assert client.fine_tuning.jobs.with_raw_response.retrieve(job.id).parse().id == job.id
    assert job.id in [each.id for each in client.fine_tuning.jobs.list(limit=1)]
    green = client.fine_tuning.jobs.list(extra_query={"metadata[colour]": "green"})
    assert [each.id for each in green.data] == [job.id]
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"


def test_graders(client: OpenAI, quick: Gateway) -> None:
    graders = client.fine_tuning.alpha.graders
    plain: Any = {
        "type": "string_check",
        "name": "same",
        "input": "{{sample.output_text}}",
        "reference": "Hi",
        "operation": "eq",
    }
    assert graders.run(grader=plain, model_sample="Hi").reward == 1.0
    assert graders.validate(grader=plain).grader.name == "same"
    (free,) = quick.installation.records(1, operation__exact="grader.run")
    assert (free["cost_pico"], free["account"]) == (0, "openai-main")

    message = {"role": "user", "content": "Score {{sample.output_text}}"}
    asking: Any = {"type": "score_model", "name": "judge", "input": [message], "model": "openai-main/gpt-4o-mini"}
    assert graders.with_raw_response.run(grader=asking, model_sample="Hi").parse().metadata.name == "judge"
    unpriced = [record["cost_pico"] for record in quick.installation.records(2, operation__exact="grader.run")]
    assert unpriced.count(None) == 1
    with pytest.raises(NotFoundError):
        graders.run(grader={**asking, "model": "openai-main/none"}, model_sample="Hi")


@pytest.mark.parametrize("models", [["openai-main/gpt-4o-mini"], ["openai-main/gpt-4o-mini", "openai-main/gpt-4o"]])
def test_a_job_whose_graders_ask_models(client: OpenAI, quick: Gateway, models: list[str]) -> None:
    """The models of graders are the vendor's business: the job's record names the model that is tuned."""
    message = {"role": "user", "content": "Score {{sample.output_text}}"}
    graders = {
        f"judge{number}": {"type": "score_model", "name": f"judge{number}", "input": [message], "model": model}
        for number, model in enumerate(models)
    }
    grader: Any = {"type": "multi", "name": "all", "graders": graders, "calculate_output": " + ".join(graders)}
    job = begin(
        client, suffix="sandbox-hang=queued", method={"type": "reinforcement", "reinforcement": {"grader": grader}}
    )
    (known,) = quick.installation.do("owned", object_id=job.id)
    assert known["model_name"] == "openai-main/gpt-4o-mini"
    assert set(known["data"]["origin"]) == {"request_id", "token_prefix", "teams", "tags", "models", "model_types"}
    assert client.fine_tuning.jobs.cancel(job.id).status == "cancelled"


async def test_the_asynchronous_sdk(quick: Gateway) -> None:
    client: AsyncOpenAI = quick.async_sdk(quick.token("ft-async", user="ft-async@example.com"), default_headers=HEADERS)
    uploaded = await client.files.create(file=("training.jsonl", training()), purpose="fine-tune")
    job = await client.fine_tuning.jobs.create(training_file=uploaded.id, model=BASE, suffix="sandbox-hang=queued")
    assert [each.id async for each in client.fine_tuning.jobs.list()] == [job.id]
    assert (await client.fine_tuning.jobs.cancel(job.id)).id == job.id
    await client.close()


@pytest.mark.parametrize(
    ("model", "code", "kind"),
    [
        ("openai-main/gpt-4o-mini", "bare_model_name_required", BadRequestError),
        ("named-model", "bare_model_name_required", BadRequestError),
        ("o4-mini-nobody", "model_not_found", NotFoundError),
        ("whisper-1", "unsupported_model_type", BadRequestError),
    ],
)
def test_models_are_named_as_the_vendor_names_them(client: OpenAI, model: str, code: str, kind: type) -> None:
    with pytest.raises(kind) as caught:
        begin(client, model=model)
    assert caught.value.code == code


def test_jobs_and_their_files_belong_to_their_owner(client: OpenAI, other: OpenAI) -> None:
    job = begin(client, suffix="sandbox-hang=running")
    jobs = other.fine_tuning.jobs
    acts: list[Callable[[str], Any]] = [jobs.retrieve, jobs.cancel, jobs.pause, jobs.resume, jobs.list_events]
    for act in [*acts, jobs.checkpoints.list]:
        with pytest.raises(NotFoundError):
            act(job.id)
    assert job.id not in [each.id for each in jobs.list()]
    mine = other.files.create(file=("t.jsonl", training()), purpose="fine-tune").id
    for fields in ({"training_file": job.training_file}, {"training_file": mine, "validation_file": job.training_file}):
        with pytest.raises(NotFoundError) as caught:
            jobs.create(**{"model": BASE, **fields})
        assert caught.value.param == list(fields)[-1]
    client.fine_tuning.jobs.cancel(job.id)


@pytest.mark.parametrize("isolation", ["owner", "team", "account"])
def test_a_succeeded_job_registers_its_model_for_its_owner(
    quick: Gateway, quick_upstream: SandboxProcess, isolation: str
) -> None:
    account, installation = f"tuning-{isolation}", quick.installation
    models = ["gpt-4o-mini"]
    installation.apply(provider(account, quick_upstream.url, models=models, isolation=isolation))
    installation.do("change_account", account, register_fine_tuned=True)
    installation.do("team", f"{TEAM}-{isolation}", [f"{name}@{isolation}.example" for name in ("owner", "mate")])
    installation.do("user", f"root@{isolation}.example", is_superuser=True)
    headers = {"x-tfy-provider-name": account}
    owner, mate, stranger, root = (
        quick.sdk(quick.token(f"{name}-{isolation}", user=f"{name}@{isolation}.example"), default_headers=headers)
        for name in ("owner", "mate", "stranger", "root")
    )
    wait_until(lambda: f"{account}/gpt-4o-mini" in [each.id for each in owner.models.list()])
    job = tuned(owner, begin(owner).id)
    assert job.status == "succeeded"
    model = f"{account}/{job.fine_tuned_model}"
    wait_until(lambda: model in [each.id for each in owner.models.list()])
    assert say(owner, model).choices
    assert say(owner, job.fine_tuned_model).choices
    record = installation.records(1, model_asked=model)[0]
    # A fine-tuned gpt-4o-mini costs 0.30 and 1.20 dollars a million tokens.
    assert record["cost_pico"] == record["input_tokens"] * 300_000 + record["output_tokens"] * 1_200_000

    allowed = {"owner": [], "team": [mate], "account": [mate, stranger, root]}[isolation]
    for who in (mate, stranger, root):
        assert (model in [each.id for each in who.models.list()]) is (who in allowed)
        if who in allowed:
            assert say(who, model).choices
        else:
            with pytest.raises(NotFoundError):
                say(who, model)
        if who is stranger:
            with pytest.raises(NotFoundError):
                who.models.delete(job.fine_tuned_model)
    if isolation != "account":
        with pytest.raises(NotFoundError):
            begin(stranger, model=job.fine_tuned_model)

    checkpoints = list(owner.fine_tuning.jobs.checkpoints.list(job.id))
    assert checkpoints
    assert list(owner.files.list(purpose="fine-tune-results")) or job.result_files
    assert owner.files.content(job.result_files[0]).read()
    assert owner.models.delete(job.fine_tuned_model).deleted
    wait_until(lambda: model not in [each.id for each in owner.models.list()])


def test_an_unlisted_fine_tuned_model_is_its_owners(quick: Gateway, quick_upstream: SandboxProcess) -> None:
    models = ["gpt-4o-mini"]
    quick.installation.apply(provider("tuning-any", quick_upstream.url, models=models, any_model=True))
    headers = {"x-tfy-provider-name": "tuning-any"}
    owner, stranger = (
        quick.sdk(quick.token(f"any-{name}", user=f"{name}@any.example"), default_headers=headers)
        for name in ("owner", "stranger")
    )
    wait_until(lambda: "tuning-any/gpt-4o-mini" in [each.id for each in owner.models.list()])
    job = tuned(owner, begin(owner).id)
    assert say(owner, job.fine_tuned_model).choices
    checkpoint = owner.fine_tuning.jobs.checkpoints.list(job.id).data[0].fine_tuned_model_checkpoint
    for name in (job.fine_tuned_model, f"tuning-any/{job.fine_tuned_model}", checkpoint):
        with pytest.raises(NotFoundError):
            say(stranger, name)
    with pytest.raises(NotFoundError):
        begin(stranger, model=job.fine_tuned_model)
    permissions = owner.fine_tuning.checkpoints.permissions
    given = permissions.create(checkpoint, project_ids=["proj_1"])
    assert given.data[0].project_id == "proj_1"
    assert permissions.list(checkpoint).data
    assert permissions.delete(given.data[0].id, fine_tuned_model_checkpoint=checkpoint).deleted
    with pytest.raises(NotFoundError):
        stranger.fine_tuning.checkpoints.permissions.list(checkpoint)
