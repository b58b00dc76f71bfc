"""`/v1/assistants`, deprecated by OpenAI but still called."""

from sandbox.store import params
from sandbox.store.collection import Collection
from sandbox.store.objects import Shape
from sandbox.store.params import Body
from sandbox.wire.messages import Request


def _complete(request: Request, shape: Shape, body: Body) -> None:
    shape["model"] = params.model_name(shape)
    params.objects(shape, "tools")


ASSISTANTS = Collection(
    "/v1/assistants",
    "asst_",
    "assistant",
    fields={
        **dict.fromkeys(("model", "name", "description", "instructions")),
        "tools": [],
        "tool_resources": {},
        "temperature": 1.0,
        "top_p": 1.0,
        "response_format": "auto",
        "metadata": {},
    },
    complete=_complete,
)

ROUTES = ASSISTANTS.routes("create list retrieve update delete")
