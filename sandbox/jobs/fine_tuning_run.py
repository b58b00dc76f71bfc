"""Running a fine-tuning job: through its states to a model that the other endpoints accept."""

from __future__ import annotations

import base64
import re

from sandbox.jobs import training_data
from sandbox.jobs.fine_tuning_job import Training, metrics
from sandbox.jobs.work import TICK, sleep_until, sleep_while
from sandbox.misbehaviour.job_switches import SUFFIX
from sandbox.model.catalog import FINE_TUNED, Model
from sandbox.state import State
from sandbox.store import stored_files
from sandbox.store.auth import owned
from sandbox.wire.messages import Host

# When a job leaves a state, as a part of its time.
VALIDATED = 0.1
DEQUEUED = 0.2
KEPT_CHECKPOINTS = 3


async def run(app: Host, job: Training) -> None:
    """Carries a new job to its end. Nothing that a client sends makes it raise."""
    state = app.state
    if await _validate(state, job) and await _dequeue(state, job):
        await _train(state, job)


def fail(state: State, job: Training, message: str) -> None:
    """Ends a job that was not to end like this."""
    if job.can("failed"):
        job.fail(state, "server_error", message, None)


async def _validate(state: State, job: Training) -> bool:
    job.report(state, f"Created fine-tuning job: {job.id}")
    job.report(state, f"Validating training file: {job.training.id}")
    is_chat = job.base.kind != "completion"
    found = await training_data.check(job.training, job.method, is_chat)
    problem = (found.error, "training_file")
    if found.error is None and job.validation is not None:
        problem = ((await training_data.check(job.validation, job.method, is_chat, low=1)).error, "validation_file")
    await _pass(state, job, VALIDATED)
    if job.status != "validating_files":
        return False
    error, param = problem
    if job.fails_in("validating_files"):
        error = error or ("invalid_training_file", "The job failed due to an invalid training file.")
    if error is not None:
        job.fail(state, *error, param)
        return False
    job.settle(found.examples)
    job.move(state, "queued")
    job.report(state, "Files validated, moving job to queued state")
    job.tokens = found.tokens * job.shape["hyperparameters"]["n_epochs"]
    return True


async def _dequeue(state: State, job: Training) -> bool:
    await _pass(state, job, DEQUEUED)
    if job.is_over:
        return False
    if job.fails_in("queued"):
        job.fail(state, "exceeded_quota", "Creating this fine-tuning job would exceed your hard limit.", None)
        return False
    job.move(state, "running")
    job.report(state, "Fine-tuning job started")
    return True


async def _pass(state: State, job: Training, part: float) -> None:
    """Lets time pass in the present status: as long as its part of the job's time, or while the job hangs in it.

    A pause does not end it: the job comes back to the queue, and waits for what is left.
    """
    status = job.status
    if job.hangs_in(status):
        await sleep_while(lambda: not job.is_over)
    while True:
        await sleep_while(lambda: job.status == "paused")
        moment = job.moment(part)
        await sleep_until(state, moment, lambda: job.status == status)
        if job.is_over or (job.status != "paused" and state.now() >= moment):
            return


async def _train(state: State, job: Training) -> None:
    """Takes the steps one by one; each epoch's end is a checkpoint."""
    while job.steps_done < job.steps and not job.is_over:
        if job.status == "queued":
            job.move(state, "running")
            job.report(state, "Fine-tuning job resumed")
        first = job.moment(DEQUEUED)
        past = (state.now() - first) / (job.ends - first) if job.ends > first else 1.0
        due = min(int(job.steps * past), job.steps)
        if job.hangs_in("running") or job.fails_in("running"):
            due = min(due, job.steps // 2)
        if job.fails_in("running") and job.steps_done >= job.steps // 2:
            job.fail(state, "server_error", "The job failed while it was running.", None)
        elif job.status == "paused" or job.steps_done >= due:
            await sleep_until(state, state.now() + TICK / 2, lambda: not job.is_over)
        else:
            _step(state, job)
    if not job.is_over:
        _succeed(state, job)


def _step(state: State, job: Training) -> None:
    job.steps_done += 1
    step = job.steps_done
    found = metrics(job, step)
    job.report(
        state, f"Step {step}/{job.steps}: training loss={found['train_loss']:.2f}", {**found, "total_steps": job.steps}
    )
    epochs = job.shape["hyperparameters"]["n_epochs"]
    ends = {max(job.steps * epoch // epochs, 1) for epoch in range(1, epochs + 1)}
    if step in ends and len([end for end in ends if end >= step]) <= KEPT_CHECKPOINTS:
        _checkpoint(state, job, step)


def _checkpoint(state: State, job: Training, step: int) -> None:
    name = model_name(job) if step == job.steps else f"{model_name(job)}:ckpt-step-{step}"
    found = metrics(job, step)
    if job.validation is not None:
        found["full_valid_loss"] = found["valid_loss"]
        found["full_valid_mean_token_accuracy"] = found["valid_mean_token_accuracy"]
    job.checkpoints.append(
        {
            "object": "fine_tuning.job.checkpoint",
            "id": state.new_id("ftckpt_"),
            "created_at": state.created(),
            "fine_tuned_model_checkpoint": name,
            "fine_tuning_job_id": job.id,
            "metrics": found,
            "step_number": step,
        }
    )
    if step < job.steps:
        _register(state, job, name)
        job.report(state, f"Checkpoint created at step {step}")


def _succeed(state: State, job: Training) -> None:
    name = model_name(job)
    _register(state, job, name)
    job.shape["fine_tuned_model"] = name
    job.shape["trained_tokens"] = job.tokens
    job.shape["result_files"] = [_results(state, job)]
    job.report(state, f"New fine-tuned model created: {name}")
    job.move(state, "succeeded")
    job.report(state, "The job has successfully completed")


def _register(state: State, job: Training, name: str) -> None:
    row = Model(name, job.base.kind, created=state.created(), owned_by="org-sandbox")
    owned(state, FINE_TUNED).put(name, row)


def model_name(job: Training) -> str:
    """`ft:{base}:{organization}:{suffix}:{id}`, the suffix empty when none was given."""
    base = job.base.shown.split(":")[1] if job.base.shown.startswith("ft:") else job.base.shown
    suffix = "" if job.suffix.startswith(SUFFIX) else re.sub(r"[^a-z0-9]+", "-", job.suffix.lower()).strip("-")
    return f"ft:{base}:sandbox:{suffix}:{job.id[-8:]}"


def _results(state: State, job: Training) -> str:
    """The id of a CSV file with a line for each step. As at OpenAI, its content is in base64."""
    lines = ["step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"]
    for step in range(1, job.steps_done + 1):
        found = metrics(job, step)
        valid = (found.get("valid_loss", ""), found.get("valid_mean_token_accuracy", ""))
        lines.append(f"{step},{found['train_loss']},{found['train_mean_token_accuracy']},{valid[0]},{valid[1]}")
    content = base64.b64encode("\n".join(lines).encode() + b"\n")
    return stored_files.keep_bytes(state, content, "step_metrics.csv", "fine-tune-results").id
