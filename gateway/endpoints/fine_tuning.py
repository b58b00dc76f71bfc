"""``/fine_tuning``: jobs that end in a model of one's own, their events and checkpoints."""

from dataclasses import replace
from typing import Any, ClassVar
from urllib.parse import quote

from gateway.access import accounts as abilities
from gateway.access import grants, vendor_names
from gateway.body.json import text_field
from gateway.call.call import JobInput
from gateway.call.errors import ModelNotFound
from gateway.call.operation import Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints.base import ObjectView
from gateway.endpoints.jobs import JobView
from gateway.endpoints.resources import name_models
from gateway.objects import operations, ownership
from gateway.objects.job_kinds import FINE_TUNING
from gateway.objects.jobs import MODEL
from gateway.objects.store import objects
from providers.models import Model

CHECKPOINTS = "fine_tuning/checkpoints"
MODEL_MISSING = "You must provide a 'model', by the vendor's own name like 'gpt-4o-mini-2024-07-18'."


class Jobs(JobView):
    """The collection: begin a job, list one's own."""

    job = FINE_TUNING
    list_operation = operations.FINE_TUNING_LIST
    operations: ClassVar[dict[str, Operation]] = {"POST": operations.FINE_TUNING_CREATE}

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Begin a job on files and a model that the caller may use."""
        call = await self.describe(request, FINE_TUNING.path)
        account = abilities.account_of(self.caller, call.account_name)
        name = text_field(call.body.fields, "model", MODEL_MISSING)
        target = vendor_names.resolve(self.caller, account, name, "fine_tuning")
        if vendor_names.is_fine_tuned(target):
            call.references.append(("model", name))
        name_models(call, account)
        call.job = JobInput({name: target.model.public_name}, sorted(target.model.model_types))
        return await self.run(call)

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """List the caller's jobs, newest first."""
        return await self.listing(request)


class Job(JobView):
    """One job."""

    job = FINE_TUNING
    operations: ClassVar[dict[str, Operation]] = {"GET": operations.FINE_TUNING_RETRIEVE}

    async def get(self, request: InferenceRequest, job_id: str, **kwargs: Any) -> Reply:
        """Return the job."""
        return await self.look(request, job_id)


class TransitionJob(JobView):
    """Cancel, pause or resume a job."""

    job = FINE_TUNING
    verb: ClassVar[str] = ""
    operations: ClassVar[dict[str, Operation]] = {"POST": operations.FINE_TUNING_STEER}

    async def post(self, request: InferenceRequest, job_id: str, **kwargs: Any) -> Reply:
        """Pause, resume or cancel the job."""
        return await self.transition(request, job_id, self.verb)


class CancelJob(TransitionJob):
    """End a job before its time."""

    verb = "cancel"


class PauseJob(TransitionJob):
    """Let a job rest."""

    verb = "pause"


class ResumeJob(TransitionJob):
    """Let a job go on."""

    verb = "resume"


class Events(ObjectView):
    """What happened in a job."""

    operations: ClassVar[dict[str, Operation]] = {"GET": operations.FINE_TUNING_EVENTS}

    async def get(self, request: InferenceRequest, job_id: str, **kwargs: Any) -> Reply:
        """List the job's events."""
        return await self.forward(request, f"{FINE_TUNING.path}/{job_id}/events", job_id)


class Checkpoints(ObjectView):
    """The models that a job made on its way."""

    operations: ClassVar[dict[str, Operation]] = {"GET": operations.FINE_TUNING_CHECKPOINTS}

    async def get(self, request: InferenceRequest, job_id: str, **kwargs: Any) -> Reply:
        """List the job's checkpoints."""
        return await self.forward(request, f"{FINE_TUNING.path}/{job_id}/checkpoints", job_id)


class Permissions(ObjectView):
    """Which of the vendor's projects may use a checkpoint. For the checkpoint's owner."""

    operations: ClassVar[dict[str, Operation]] = {
        "GET": operations.PERMISSION_LIST,
        "POST": operations.PERMISSION_CREATE,
        "DELETE": operations.PERMISSION_DELETE,
    }

    async def get(self, request: InferenceRequest, checkpoint: str, permission: str = "", **kwargs: Any) -> Reply:
        """List the permissions."""
        return await self._send(request, checkpoint, "")

    async def post(self, request: InferenceRequest, checkpoint: str, permission: str = "", **kwargs: Any) -> Reply:
        """Give a permission."""
        return await self._send(request, checkpoint, "")

    async def delete(self, request: InferenceRequest, checkpoint: str, permission: str = "", **kwargs: Any) -> Reply:
        """Take a permission back."""
        return await self._send(request, checkpoint, f"/{ownership.check_id(permission)}")

    async def _send(self, request: InferenceRequest, checkpoint: str, rest: str) -> Reply:
        path = f"{CHECKPOINTS}/{quote(checkpoint, safe=':')}/permissions{rest}"
        return await self.run(await self.describe(request, path, checkpoint))


class RunGrader(ObjectView):
    """Try a grader out. One that asks models is recorded as unpriced: the answer does not say what it used."""

    verb: ClassVar[str] = "run"
    operations: ClassVar[dict[str, Operation]] = {"POST": operations.GRADER_RUN}

    async def post(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """Send the grader on, its models by their upstream names."""
        call = await self.describe(request, f"{operations.GRADERS}/{self.verb}")
        name_models(call, abilities.account_of(self.caller, call.account_name))
        if b'"model"' not in call.body.raw:
            call.operation = replace(call.operation, model_type="", charges=False)
        return await self.run(call)


class ValidateGrader(RunGrader):
    """Have a grader checked."""

    verb = "validate"
    operations: ClassVar[dict[str, Operation]] = {"POST": operations.GRADER_VALIDATE}


class FineTunedModel(ObjectView):
    """A model that someone had fine-tuned, and its deletion by its owner."""

    operations: ClassVar[dict[str, Operation]] = {"DELETE": operations.MODEL_DELETE}

    async def remove(self, request: InferenceRequest, name: str) -> Reply:
        """Delete the model ``name``, with or without its account; raise :class:`ModelNotFound` for anybody's but one's
        own.
        """
        prefix, slash, rest = name.partition("/")
        header = request.raw_headers.get(b"x-tfy-provider-name", b"").decode("latin1").strip()
        account_name, model = (prefix, rest) if slash else (header, name)
        account, owned = await ownership.locate(self.caller, model, account_name, param="model")
        mine = owned is not None and owned.kind == MODEL and owned.owner_key == self.caller.key
        if not mine and not (owned is not None and owned.kind == MODEL and grants.manages(self.caller, account)):
            raise ModelNotFound(f"The model {name[:200]!r} is not yours to delete.", param="model")
        call = await self.describe(request, f"models/{quote(model, safe=':')}", model)
        reply = await self.run(call, deletes=model)
        if reply.status < 300:
            await objects.run(unregister, account.name, model)
        return reply


def unregister(account_name: str, upstream_id: str) -> None:
    """Take a fine-tuned model that is gone off its account."""
    Model.objects.filter(account__name=account_name, upstream_id=upstream_id).exclude(owner_key="").delete()
