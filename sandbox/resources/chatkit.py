"""`/v1/chatkit`: sessions and their end users' threads. A session begins a thread, as the user's page would."""

from sandbox.store import params
from sandbox.store.collection import Collection
from sandbox.store.objects import Shape
from sandbox.store.params import Body
from sandbox.wire.messages import Request

LIFETIME = 600  # seconds
_OFF: Shape = {"enabled": False, "max_file_size": None, "max_files": None}

THREADS = Collection("/v1/chatkit/threads", "cthr_", "chatkit.thread", filters=("user",))
ITEMS = Collection("items", "cthi_", "chatkit.thread_item", parent=THREADS)


def _complete(request: Request, shape: Shape, body: Body) -> None:
    state = request.app.state
    seconds = params.mapping(body, "expires_after").get("seconds", LIFETIME)
    shape.update(
        client_secret=state.new_id("ek_"),
        expires_at=state.created() + seconds,
        max_requests_per_1_minute=shape["rate_limits"]["max_requests_per_1_minute"],
    )
    shape["workflow"] = {"state_variables": None, "tracing": {"enabled": True}, "version": None, **shape["workflow"]}
    _begin_thread(request, shape["user"])


def _begin_thread(request: Request, user: str) -> None:
    state = request.app.state
    begun = THREADS.new(request, {}, title="Hello", status={"type": "active"}, user=user)
    asked = {"content": [{"type": "input_text", "text": "Hello"}], "attachments": [], "inference_options": None}
    answered = {"content": [{"type": "output_text", "text": "Hello there.", "annotations": []}]}
    for kind, content in (("chatkit.user_message", asked), ("chatkit.assistant_message", answered)):
        ITEMS.add(state, begun, type=kind, **content)


SESSIONS = Collection(
    "/v1/chatkit/sessions",
    "cksess_",
    "chatkit.session",
    required=("user", "workflow"),
    fields={
        "user": "",
        "workflow": {},
        "rate_limits": {"max_requests_per_1_minute": 10},
        "chatkit_configuration": {
            "automatic_thread_titling": {"enabled": True},
            "file_upload": _OFF,
            "history": {"enabled": True, "recent_threads": None},
        },
    },
    fixed={"status": "active"},
    times=(),
    complete=_complete,
)

ROUTES = (
    *SESSIONS.routes("create", cancel=SESSIONS.sets(status="cancelled")),
    *THREADS.routes("list retrieve delete"),
    *ITEMS.routes("list"),
)
