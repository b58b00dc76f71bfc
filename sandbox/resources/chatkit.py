"""`/v1/chatkit`: sessions and their end users' threads. A session begins a thread, as the user's page would."""

from sandbox.store import params
from sandbox.store.objects import Item, add, find, items, page, remove
from sandbox.store.params import Body
from sandbox.store.plain_resources import Kind, Shape, routes
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

LIFETIME = 600  # seconds
THREADS = "chatkit-threads"
_OFF: Shape = {"enabled": False, "max_file_size": None, "max_files": None}


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
    now = state.created()
    thread = {
        "id": state.new_id("cthr_"),
        "object": "chatkit.thread",
        "created_at": now,
        "title": "Hello",
        "status": {"type": "active"},
        "user": user,
    }
    begun = add(items(request, THREADS), thread)
    told = {"object": "chatkit.thread_item", "created_at": now, "thread_id": begun.id}
    asked = {"content": [{"type": "input_text", "text": "Hello"}], "attachments": [], "inference_options": None}
    answered = {"content": [{"type": "output_text", "text": "Hello there.", "annotations": []}]}
    for kind, content in (("chatkit.user_message", asked), ("chatkit.assistant_message", answered)):
        add(begun.within("items"), {"id": state.new_id("cthi_"), "type": kind, **told, **content})


SESSION = Kind(
    "/v1/chatkit/sessions",
    "session_id",
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


async def list_threads(request: Request) -> Answer:
    user = request.query().get("user")
    return page(request, [each for each in items(request, THREADS) if user in (None, each.shape["user"])])


async def retrieve_thread(request: Request) -> Answer:
    return json_response(_thread(request).shape)


async def delete_thread(request: Request) -> Answer:
    return remove(items(request, THREADS), _thread(request), "chatkit.thread.deleted")


async def list_items(request: Request) -> Answer:
    return page(request, _thread(request).within("items"))


def _thread(request: Request) -> Item:
    return find(items(request, THREADS), request.params["thread_id"], "thread")


_THREAD = "/v1/chatkit/threads/{thread_id}"
ROUTES = (
    *routes(SESSION, "create", cancel={"status": "cancelled"}),
    Route("GET", "/v1/chatkit/threads", list_threads),
    Route("GET", _THREAD, retrieve_thread),
    Route("DELETE", _THREAD, delete_thread),
    Route("GET", _THREAD + "/items", list_items),
)
