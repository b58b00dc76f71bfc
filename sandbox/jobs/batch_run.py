"""Running a batch: each line is answered by the sandbox itself, in slices that let other requests through."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterator
from typing import BinaryIO

import msgspec

from sandbox.jobs import batch_input
from sandbox.jobs.batch_input import Line
from sandbox.jobs.batch_job import Batch
from sandbox.jobs.internal_request import ask
from sandbox.jobs.work import SLICE, TICK, Breather, sleep_until, sleep_while
from sandbox.misbehaviour.faults import Faults
from sandbox.state import State
from sandbox.store import stored_files
from sandbox.wire.messages import Host, Response, encode, error_response
from sandbox.wire.openai import status_error

# The parts of a batch's time that it spends validating and finalizing.
VALIDATING = 0.1
FINALIZING = 0.1
STEPS = 20  # of request_counts, at least
MIN_STEP = 0.01  # seconds
EXPIRED = ("batch_expired", "This request could not be executed before the completion window expired.")
CANCELLED = ("batch_cancelled", "This request was not executed because the batch was cancelled.")


async def run(app: Host, job: Batch) -> None:
    """Carries a new batch to its end. Nothing that a client sends makes it raise."""
    state, runner = app.state, _Runner(app, job)
    if await _validate(state, job):
        await runner.execute()
        await _finalize(state, job)
    await runner.close()


def fail(state: State, job: Batch, message: str) -> None:
    """Ends a batch that was not to end like this."""
    if job.can("failed"):
        job.fail(state, [batch_input.error("server_error", message)])


async def _validate(state: State, job: Batch) -> bool:
    """Whether there is something to execute."""
    found = await batch_input.check(state, job.input, job.shape["endpoint"])
    if job.fails_in("validating") and not found.errors:
        message = "Enqueued token limit reached for this model. Please try again once some batches have completed."
        found.errors.append(batch_input.error("token_limit_exceeded", message))
    await _pass(state, job, job.moment(VALIDATING))
    if not job.goes_on(state):
        return False
    if found.errors:
        job.fail(state, found.errors)
        return False
    job.shape["model"] = found.model or None
    job.counts["total"] = found.total
    job.move(state, "in_progress")
    return True


async def _finalize(state: State, job: Batch) -> None:
    if job.goes_on(state) and not job.is_over:
        job.move(state, "finalizing")
        await _pass(state, job, job.ends)


async def _pass(state: State, job: Batch, moment: float) -> None:
    """Lets time pass in the present status: until `moment`, or for as long as the batch hangs in it."""
    status = job.status
    if job.hangs_in(status):
        await sleep_while(lambda: job.goes_on(state))
    else:
        await sleep_until(state, moment, lambda: job.goes_on(state))


class _Runner:
    """The lines that are left, and the two files that they end in."""

    def __init__(self, app: Host, job: Batch) -> None:
        self.app = app
        self.job = job
        self.output = stored_files.new_content()
        self.errors = stored_files.new_content()

    async def execute(self) -> None:
        """Answers lines at such a pace that the last one is done shortly before the batch's end."""
        job, state = self.job, self.app.state
        lines = self._lines()
        total = job.counts["total"]
        first, last = job.moment(VALIDATING), job.moment(1 - FINALIZING)
        step = TICK if job.hangs_in("in_progress") else max((last - first) / STEPS, MIN_STEP)
        while job.done < total and job.goes_on(state) and not job.is_over:
            past = (state.now() - first) / (last - first) if last > first else 1.0
            due = self._limit(math.ceil(total * min(past, 1.0)))
            if due <= job.done:
                await sleep_until(state, state.now() + step, lambda: job.goes_on(state))
            else:
                await self._slice(lines, due)
            if job.done * 2 >= total:
                self._halfway()

    def _halfway(self) -> None:
        job, state = self.job, self.app.state
        if job.switches.expire:
            job.shape["expires_at"] = state.created()
        elif job.fails_in(job.status):
            job.fail(state, [batch_input.error("server_error", "The batch failed while it was in progress.")])

    def _limit(self, due: int) -> int:
        """A batch that hangs in_progress, or expires or fails there by switch, gets half of its lines done."""
        job, total = self.job, self.job.counts["total"]
        if job.hangs_in("in_progress"):
            return min(due, total // 2)
        ends_early = job.switches.expire or job.fails_in("in_progress")
        return min(due, (total + 1) // 2) if ends_early else due

    def _lines(self) -> Iterator[Line]:
        lines = batch_input.lines(self.job.input)
        return batch_input.shuffled(lines) if self.job.switches.shuffle else lines

    async def _slice(self, lines: Iterator[Line], due: int) -> None:
        """Answers lines until `due` are done, or the event loop has been held for long enough."""
        job, started = self.job, time.perf_counter()
        while job.done < due and time.perf_counter() - started < SLICE and job.status == "in_progress":
            await self._line(next(lines))
        await asyncio.sleep(0)

    async def _line(self, line: Line) -> None:
        answer = await self._answer(line)
        job = self.job
        job.done += 1
        good = answer.status < 400
        job.counts["completed" if good else "failed"] += 1
        if good:
            _add_usage(job.shape["usage"], answer.body)
        response = {
            "status_code": answer.status,
            "request_id": self.app.state.new_id("", 32),
            "body": msgspec.Raw(answer.body),
        }
        self._write(self.output if good else self.errors, line, response, None)

    async def _answer(self, line: Line) -> Response:
        switches = self.job.switches
        if line.number in switches.fail_lines:
            return error_response(status_error(Faults(status=switches.fail_status)))
        return await ask(self.app, line.url, line.body, self.job.authorization)

    def _write(self, file: BinaryIO, line: Line, response: object, error: object) -> None:
        line_id = self.app.state.new_id("batch_req_", 32)
        file.write(encode({"id": line_id, "custom_id": line.custom_id, "response": response, "error": error}) + b"\n")

    async def close(self) -> None:
        """Writes the files and enters the last status, unless the batch has failed."""
        job, state = self.job, self.app.state
        if job.is_over:
            return
        if job.done < job.counts["total"]:
            await self._give_up(*(CANCELLED if job.status == "cancelling" else EXPIRED))
        job.shape["output_file_id"] = self._keep(self.output, "output")
        job.shape["error_file_id"] = self._keep(self.errors, "error")
        if job.status == "cancelling":
            job.move(state, "cancelled")
        else:
            job.move(state, "expired" if job.window_is_over else "completed")

    async def _give_up(self, code: str, message: str) -> None:
        """Every line that is left goes to the error file."""
        lines = self._lines()
        for _ in range(self.job.done):
            next(lines)
        breathe = Breather()
        for line in lines:
            await breathe()
            self._write(self.errors, line, None, {"code": code, "message": message})
            self.job.done += 1
            self.job.counts["failed"] += 1

    def _keep(self, content: BinaryIO, what: str) -> str | None:
        if not content.tell():
            return None
        job = self.job
        stored = stored_files.keep(
            self.app.state,
            content,
            f"{job.id}_{what}.jsonl",
            "batch_output",
            expires_in=job.output_expires_in,
            switches=job.switches if what == "output" else None,
        )
        return stored.id


class _Details(msgspec.Struct):
    cached_tokens: int = 0
    reasoning_tokens: int = 0


class _Usage(msgspec.Struct):
    """Usage as any endpoint reports it: chat's names or those of responses."""

    prompt_tokens: int = 0
    input_tokens: int = 0
    completion_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: _Details | None = None
    input_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None
    output_tokens_details: _Details | None = None


class _Answer(msgspec.Struct):
    usage: _Usage | None = None


_answer = msgspec.json.Decoder(_Answer)


def _add_usage(total: dict[str, object], body: bytes) -> None:
    usage = _answer.decode(body).usage
    if usage is None:
        return
    taken = usage.prompt_tokens_details or usage.input_tokens_details or _Details()
    given = usage.completion_tokens_details or usage.output_tokens_details or _Details()
    _add(total, "input_tokens", usage.prompt_tokens + usage.input_tokens)
    _add(total, "output_tokens", usage.completion_tokens + usage.output_tokens)
    _add(total, "total_tokens", usage.total_tokens)
    _add(total["input_tokens_details"], "cached_tokens", taken.cached_tokens)
    _add(total["output_tokens_details"], "reasoning_tokens", given.reasoning_tokens)


def _add(counts: object, name: str, tokens: int) -> None:
    assert isinstance(counts, dict)
    counts[name] += tokens
