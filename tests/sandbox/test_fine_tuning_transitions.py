"""Fine-tuning jobs that are paused, cancelled or told to misbehave; permissions and graders."""

import time
from typing import Any

import pytest
from openai import BadRequestError, InternalServerError, NotFoundError, OpenAI, RateLimitError

from tests.sandbox.test_fine_tuning import ended, reached, train
from tests.support.openapi import assert_valid
from tests.support.sandbox_process import SandboxProcess


class TestSteering:
    @pytest.mark.parametrize(("status", "after"), [("queued", 150), ("running", 600)])
    def test_a_pause_stops_a_job(self, status: str, after: float) -> None:
        with SandboxProcess() as sandbox, sandbox.client() as client:
            job = train(client, switches="duration=1000")
            sandbox.advance(after)
            reached(client, job, status)
            # OpenAI's example of a paused job has a status that its schema does not know.
            assert client.fine_tuning.jobs.pause(job.id).status == "paused"
            before = list(client.fine_tuning.jobs.list_events(job.id))
            sandbox.advance(2000)
            time.sleep(0.2)  # a few times what it takes to see a moved clock
            assert client.fine_tuning.jobs.retrieve(job.id).status == "paused"
            assert list(client.fine_tuning.jobs.list_events(job.id)) == before

            assert client.fine_tuning.jobs.resume(job.id).status == "queued"
            sandbox.advance(1000 - after - 50)
            reached(client, job, "running")
            sandbox.advance(50)
            assert ended(client, job).status == "succeeded"

    def test_a_cancelled_job_makes_no_model(self, client: OpenAI) -> None:
        job = reached(client, train(client, switches="hang"), "running")
        raw = client.fine_tuning.jobs.with_raw_response.cancel(job.id)
        assert_valid("FineTuningJob", raw.http_response.json())
        job = raw.parse()
        assert job.status == "cancelled"
        assert job.finished_at is not None
        assert job.fine_tuned_model is job.trained_tokens is None

    @pytest.mark.parametrize(
        ("verb", "message"),
        [("cancel", "has already completed"), ("pause", "has already completed"), ("resume", "is not paused")],
    )
    def test_a_finished_job_takes_no_orders(self, client: OpenAI, verb: str, message: str) -> None:
        job = ended(client, train(client, switches="duration=0"))
        with pytest.raises(BadRequestError, match=f"Job {message}: {job.id}") as caught:
            getattr(client.fine_tuning.jobs, verb)(job.id)
        assert caught.value.code == f"invalid_{verb}_request"


class TestSwitches:
    @pytest.mark.parametrize("status", ["validating_files", "queued", "running"])
    def test_a_job_hangs_where_it_is_told(self, client: OpenAI, status: str) -> None:
        job = reached(client, train(client, switches=f"duration=0.05 hang={status}"), status)
        time.sleep(0.2)  # four times as long as it would take
        assert client.fine_tuning.jobs.retrieve(job.id).status == status
        client.fine_tuning.jobs.cancel(job.id)

    @pytest.mark.parametrize(
        ("switches", "code", "reached_steps"),
        [
            ("fail", "invalid_training_file", False),
            ("fail=queued", "exceeded_quota", False),
            ("fail=running", "server_error", True),
        ],
    )
    def test_a_job_fails_on_request(self, client: OpenAI, switches: str, code: str, reached_steps: bool) -> None:
        job = ended(client, train(client, switches=f"duration=0 {switches}"))
        assert job.status == "failed"
        assert job.error is not None
        assert job.error.code == code
        kinds = {event.type for event in client.fine_tuning.jobs.list_events(job.id)}
        assert ("metrics" in kinds) == reached_steps

    def test_a_suffix_will_do(self, client: OpenAI) -> None:
        job = train(client, metadata=None, suffix="sandbox-hang=queued-duration=0.05")
        assert reached(client, job, "queued").metadata is None

    def test_a_job_vanishes(self, client: OpenAI) -> None:
        job = train(client, switches="vanish=1")
        assert client.fine_tuning.jobs.retrieve(job.id).id == job.id
        with pytest.raises(NotFoundError):
            client.fine_tuning.jobs.retrieve(job.id)
        assert job.id not in [item.id for item in client.fine_tuning.jobs.list()]

    def test_polls_fail_for_a_while(self, client: OpenAI) -> None:
        job = train(client, switches="rate_limit_polls=1,http_500_polls=1")
        with pytest.raises(RateLimitError):
            client.fine_tuning.jobs.retrieve(job.id)
        with pytest.raises(InternalServerError):
            client.fine_tuning.jobs.retrieve(job.id)
        assert client.fine_tuning.jobs.retrieve(job.id).id == job.id

    def test_a_moved_clock_finishes_a_slow_job(self) -> None:
        with SandboxProcess() as sandbox, sandbox.client() as client:
            job = train(client, switches="slow")
            sandbox.advance(30)
            assert ended(client, job).status == "succeeded"

    def test_the_environment_sets_the_default(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SANDBOX_JOB_SECONDS", "0")
        with SandboxProcess() as sandbox, sandbox.client() as client:
            started = time.monotonic()
            ended(client, train(client, switches=""))
            assert time.monotonic() - started < 0.8


def test_permissions_of_a_checkpoint(client: OpenAI) -> None:
    model = ended(client, train(client, switches="duration=0")).fine_tuned_model
    assert model is not None
    permissions = client.fine_tuning.checkpoints.permissions

    raw = permissions.with_raw_response.create(model, project_ids=["proj_a", "proj_b", "proj_c"])
    assert_valid("ListFineTuningCheckpointPermissionResponse", raw.http_response.json())
    made = {item.project_id: item.id for item in raw.parse()}
    assert [item.id for item in permissions.create(model, project_ids=["proj_a"])] == [made["proj_a"]]

    assert [item.project_id for item in permissions.list(model, limit=2)] == ["proj_c", "proj_b", "proj_a"]
    assert [item.project_id for item in permissions.list(model, order="ascending")] == ["proj_a", "proj_b", "proj_c"]
    assert [item.id for item in permissions.list(model, project_id="proj_b")] == [made["proj_b"]]

    gone = permissions.with_raw_response.delete(made["proj_b"], fine_tuned_model_checkpoint=model)
    assert_valid("DeleteFineTuningCheckpointPermissionResponse", gone.http_response.json())
    assert [item.project_id for item in permissions.list(model)] == ["proj_c", "proj_a"]
    with pytest.raises(NotFoundError):
        permissions.delete(made["proj_b"], fine_tuned_model_checkpoint=model)
    with pytest.raises(NotFoundError):
        permissions.list("ft:none")


CHECK = {"type": "string_check", "name": "same", "input": "{{sample.output_text}}", "reference": "{{item.answer}}"}
SIMILAR = {"type": "text_similarity", "name": "near", "evaluation_metric": "fuzzy_match"}
BOTH = {
    "type": "multi",
    "name": "both",
    "graders": {
        "same": {**CHECK, "operation": "eq"},
        "near": {**SIMILAR, "input": "{{sample.output_text}}", "reference": "{{item.answer}}"},
    },
    "calculate_output": "0.5 * same + near / 2",
}


class TestGraders:
    @pytest.mark.parametrize(
        ("grader", "sample", "reward"),
        [
            ({**CHECK, "operation": "eq"}, "Paris", 1),
            ({**CHECK, "operation": "eq"}, "paris", 0),
            ({**CHECK, "operation": "ne"}, "paris", 1),
            ({**CHECK, "operation": "like"}, "It is Paris.", 1),
            ({**CHECK, "operation": "ilike"}, "it is paris.", 1),
            (BOTH["graders"]["near"], "paris", 1),  # type: ignore[index]
            (BOTH, "paris", 0.5),
            (BOTH, "Paris", 1),
        ],
    )
    def test_a_text_is_rewarded(self, client: OpenAI, grader: Any, sample: str, reward: float) -> None:
        raw = client.fine_tuning.alpha.graders.with_raw_response.run(
            grader=grader, model_sample=sample, item={"answer": "Paris"}
        )
        shape = raw.http_response.json()
        assert_valid("RunGraderResponse", shape)
        assert raw.parse().reward == reward
        assert set(shape["sub_rewards"]) == (set(BOTH["graders"]) if grader is BOTH else set())

    def test_a_good_grader_comes_back(self, client: OpenAI) -> None:
        grader: Any = {**CHECK, "operation": "eq"}
        raw = client.fine_tuning.alpha.graders.with_raw_response.validate(grader=grader)
        assert_valid("ValidateGraderResponse", raw.http_response.json())
        assert raw.http_response.json() == {"grader": grader}

    @pytest.mark.parametrize(
        ("grader", "param"),
        [
            ({"type": "magic", "name": "x"}, "grader.type"),
            ({**CHECK}, "grader.operation"),
            ({**CHECK, "operation": "equals"}, "grader.operation"),
            ({**BOTH, "graders": {"same": CHECK}}, "grader.graders.same.operation"),
        ],
    )
    def test_a_bad_grader_is_refused(self, client: OpenAI, grader: Any, param: str) -> None:
        with pytest.raises(BadRequestError) as caught:
            client.fine_tuning.alpha.graders.validate(grader=grader)
        assert caught.value.param == param

    def test_a_formula_is_arithmetic_only(self, client: OpenAI) -> None:
        grader: Any = {**BOTH, "calculate_output": "__import__('os').getpid()"}
        with pytest.raises(BadRequestError, match="Invalid formula"):
            client.fine_tuning.alpha.graders.run(grader=grader, model_sample="x", item={"answer": "x"})
