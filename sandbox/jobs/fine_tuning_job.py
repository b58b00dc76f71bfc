"""A fine-tuning job: its statuses, its hyperparameters, its events and its metrics."""

import math
import zlib
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sandbox.errors import ApiError, invalid_type, missing_parameter
from sandbox.jobs.job import Job
from sandbox.model import catalog
from sandbox.model.catalog import Model
from sandbox.state import State
from sandbox.store import params
from sandbox.store.objects import Shape
from sandbox.store.params import Body
from sandbox.store.stored_files import StoredFile

METHODS = ("supervised", "dpo", "reinforcement")
MAX_STEPS = 200

# name: (kind, low, high) of what may be given instead of "auto"
HYPERPARAMETERS: dict[str, tuple[type, float, float]] = {
    "n_epochs": (int, 1, 50),
    "batch_size": (int, 1, 256),
    "learning_rate_multiplier": (float, 0, 1000),
    "beta": (float, 0, 2),
    "compute_multiplier": (float, 0, 10),
    "eval_interval": (int, 1, 1_000_000),
    "eval_samples": (int, 1, 1_000_000),
}
_COMMON = ("n_epochs", "batch_size", "learning_rate_multiplier")
_OF_METHOD = {
    "supervised": _COMMON,
    "dpo": (*_COMMON, "beta"),
    "reinforcement": (*_COMMON, "compute_multiplier", "eval_interval", "eval_samples"),
}
_AUTO: dict[str, float] = {"n_epochs": 3, "learning_rate_multiplier": 1.8, "beta": 0.1, "compute_multiplier": 1.0}
_AUTO |= {"eval_interval": 5, "eval_samples": 1}

# What can be fine-tuned, by the dated names; an alias will do, and so will a model that was fine-tuned from one.
BASES = frozenset(
    {
        *("gpt-4.1-2025-04-14", "gpt-4.1-mini-2025-04-14", "gpt-4.1-nano-2025-04-14", "gpt-4o-2024-08-06"),
        *("gpt-4o-mini-2024-07-18", "gpt-4-0613", "gpt-3.5-turbo-0125", "gpt-3.5-turbo-1106"),
        *("o4-mini-2025-04-16", "babbage-002", "davinci-002"),
    }
)


@dataclass(slots=True, kw_only=True)
class Training(Job):
    """One fine-tuning job, which waits while it is paused. `tokens` are those to be trained in all epochs."""

    transitions: ClassVar[dict[str, tuple[str, ...]]] = {
        "validating_files": ("queued", "failed", "cancelled"),
        "queued": ("running", "paused", "failed", "cancelled"),
        "running": ("succeeded", "paused", "failed", "cancelled"),
        "paused": ("queued", "cancelled"),
        **dict.fromkeys(("succeeded", "failed", "cancelled"), ()),
    }
    base: Model
    training: StoredFile
    validation: StoredFile | None
    suffix: str
    paused_at: float = 0
    steps: int = 0
    steps_done: int = 0
    tokens: int = 0
    events: list[Shape] = field(default_factory=list)
    checkpoints: list[Shape] = field(default_factory=list)

    @property
    def method(self) -> str:
        return str(self.shape["method"]["type"])

    def entered(self, state: State, before: str) -> None:
        if self.status == "paused":
            self.paused_at = state.now()
        elif before == "paused":
            rest = state.now() - self.paused_at
            self.begun, self.ends = self.begun + rest, self.ends + rest
        self.shape["estimated_finish"] = math.ceil(self.ends) if self.status == "running" else None
        if self.is_over:
            self.shape["finished_at"] = state.created()

    def fail(self, state: State, code: str, message: str, param: str | None) -> None:
        self.shape["error"] = {"code": code, "message": message, "param": param}
        self.move(state, "failed")
        self.report(state, f"The job failed. {message}", level="error")

    def report(self, state: State, message: str, data: Shape | None = None, level: str = "info") -> None:
        """Adds an event; with `data` it is one of metrics."""
        head = {"object": "fine_tuning.job.event", "id": state.new_id("ftevent-"), "created_at": state.created()}
        kind = {"type": "metrics" if data else "message", "data": data or {}}
        self.events.append({**head, "level": level, "message": message, **kind})

    def settle(self, examples: int) -> None:
        """Replaces "auto" by numbers, now that the number of examples is known."""
        given = self.shape["hyperparameters"]
        for name, value in given.items():
            if value == "auto":
                given[name] = _AUTO.get(name) or min(max(examples // 500, 1), 256)
        self.steps = min(max(examples * given["n_epochs"] // given["batch_size"], 1), MAX_STEPS)


def find_base(state: State, name: str) -> Model:
    """The model to train, under its dated name; raises ApiError 400 when it cannot be."""
    model = catalog.find(state, name)
    if model is None or not (model.shown in BASES or model.id.startswith("ft:")):
        raise ApiError(
            f"Model {name} is not available for fine-tuning or does not exist.",
            param="model",
            code="model_not_available",
        )
    return model


def read_method(body: Body) -> Shape:
    """OpenAI's `method` with all its hyperparameters, also from the older `hyperparameters`."""
    method = params.mapping(body, "method")
    kind = params.choice(method, "type", METHODS, "supervised")
    inner = params.mapping(method, kind)
    if kind == "reinforcement" and not inner.get("grader"):
        raise missing_parameter("method.reinforcement.grader")
    given = params.mapping(inner, "hyperparameters") or params.mapping(body, "hyperparameters")
    chosen: Shape = {name: _hyperparameter(given, name) for name in _OF_METHOD[kind]}
    return {"type": kind, kind: {**inner, "hyperparameters": chosen}}


def _hyperparameter(given: Body, name: str) -> Any:
    value = given.get(name, "auto")
    kind, low, high = HYPERPARAMETERS[name]
    if value is None or value == "auto":
        return "auto"
    if isinstance(value, bool) or not isinstance(value, int if kind is int else (int, float)):
        raise invalid_type(f"hyperparameters.{name}", "one of 'auto' or a number", value)
    if not low <= value <= high or value == 0:
        raise ApiError(
            f"Invalid value for hyperparameters.{name}: {value}. Expected a value from {low} to {high}.",
            param=f"hyperparameters.{name}",
            code="invalid_value",
        )
    return value


def metrics(job: Training, step: int) -> Shape:
    """What training reports at a step: the same for the same job and step, and better from step to step."""
    noise = zlib.crc32(f"{job.shape['seed']}:{step}".encode()) / 2**32
    loss = round(0.2 + 2 * math.exp(-3 * step / job.steps) * (0.9 + noise / 5), 4)
    found: Shape = {
        "step": step,
        "train_loss": loss,
        "train_mean_token_accuracy": round(math.exp(-loss / 3), 4),
    }
    if job.validation is not None:
        found |= {"valid_loss": round(loss * 1.1, 4), "valid_mean_token_accuracy": round(math.exp(-loss / 2.5), 4)}
    return found
