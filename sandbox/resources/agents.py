"""`/v1/agents`, their environments, templates and automations, and `/v1/vaults`.

`agent_sessions.py` has what they do.
"""

import base64

from sandbox.errors import invalid_value
from sandbox.jobs.agent_turn import CONFIGURATION
from sandbox.store import params, stored_files
from sandbox.store.collection import Collection
from sandbox.store.objects import Item, Shape
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, json_response

TOOLS: dict[str, Shape] = {
    "function": {"defer_loading": False, "description": "", "parameters": {}},
    "mcp": {"connection_origin": "service", "credential_id": None, "request_metadata": {}, "required": False},
    "web_search": {"context_size": "medium", "mode": "live"},
    "computer_use": {"include_screenshots": False},
}
HOSTED: Shape = {
    "capability_directories": [],
    "files": [],
    "network": {"access": "enabled", "allowed_domains": []},
    "packages": {"npm": [], "python": [], "system": []},
    "plugins": [],
    "skills": [],
}


def _with_tools(request: Request, shape: Shape, body: Body) -> None:
    shape["tools"] = [{**TOOLS.get(tool.get("type"), {}), **tool} for tool in shape["tools"]]


AGENTS = Collection(
    "/v1/agents",
    "agent_",
    "agent",
    required=("model",),
    fields={"name": None, **CONFIGURATION, "metadata": {}},
    times=("created_at", "updated_at"),
    complete=_with_tools,
)
TEMPLATES = Collection(
    "/v1/agents/environments/templates",
    "envtmpl_",
    "agent.environment.template",
    fields={"name": None, **HOSTED},
    times=("created_at", "updated_at"),
)
ENVIRONMENTS = Collection(
    "/v1/agents/environments",
    "env_",
    "agent.environment",
    fixed={"files": [], "plugins": [], "skills": [], "status": "ready", "type": "openai_hosted"},
    times=(),
)
VAULTS = Collection("/v1/vaults", "vault_", "vault", fields={"name": None, "metadata": {}})


def _without_secrets(request: Request, shape: Shape, body: Body) -> None:
    secrets = ("access_token", "token", "secret_value")
    shape["auth"] = {name: value for name, value in shape["auth"].items() if name not in secrets}


CREDENTIALS = Collection(
    "credentials",
    "cred_",
    "vault.credential",
    required=("auth", "name"),
    fields={"auth": {}, "name": "", "metadata": {}},
    times=("created_at", "updated_at"),
    complete=_without_secrets,
    parent=VAULTS,
)


def _schedule(request: Request, shape: Shape, body: Body) -> None:
    params.choice(shape, "type", ("periodic", "once"), "")
    unused = ("expression", "timezone") if shape["type"] == "once" else ("run_at",)
    for name in unused:
        shape.pop(name, None)
    target = shape["target"]
    if target.get("agent"):
        target["agent"] = {**CONFIGURATION, **target["agent"]}
    if target.get("type") == "new_session":
        said = target.get("input") or []
        if isinstance(said, str):
            said = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": said}]}]
        target |= {"input": said, "metadata": target.get("metadata") or {}, "vault_ids": target.get("vault_ids") or []}


AUTOMATIONS = Collection(
    "/v1/agents/automations",
    "auto_",
    "agent.automation",
    required=("name", "target", "type"),
    fields={"name": "", "type": "", "expression": "", "timezone": "UTC", "run_at": 0, "target": {}, "metadata": {}},
    fixed={"created_by": {"type": "developer"}, "status": "active", "pause_reason": None},
    complete=_schedule,
)


def environment_of(request: Request, given: Shape) -> Item:
    """The environment that `given` names, or a new one by it and by its template."""
    if given.get("environment_id"):
        found: Item = ENVIRONMENTS.find(request, given["environment_id"])
        return found
    template: Shape = {}
    if given.get("environment_template_id"):
        template = TEMPLATES.find(request, given["environment_template_id"]).shape
    files = [_file(request, each) for each in given.get("files") or template.get("files") or []]
    sizes = {each["path"]: each["size_bytes"] for each in files}
    return ENVIRONMENTS.new(request, {}, sizes, files=files)


def _file(request: Request, given: Shape) -> Shape:
    kind, state = given.get("type"), request.app.state
    shown = {"id": state.new_id("envfile_"), "type": kind, "path": params.required(given, "path")}
    if kind == "file_id":
        stored = stored_files.find(state, params.string(given, "file_id"), "file_id", 404)
        return {**shown, "file_id": stored.shape["id"], "size_bytes": stored.shape["bytes"]}
    if kind == "inline":
        return {**shown, "size_bytes": len(base64.b64decode(params.string(given, "data")))}
    raise invalid_value("type", kind, "'file_id' and 'inline'")


async def create_environment(request: Request) -> Answer:
    given = params.required(request.json(), "environment")
    return ENVIRONMENTS.answer(request, environment_of(request, given))


async def create_file(request: Request) -> Answer:
    environment, made = ENVIRONMENTS.find(request), _file(request, request.json())
    environment.inner[made["path"]] = made["size_bytes"]
    return json_response(_shown(environment, made["path"]))


async def list_files(request: Request) -> Answer:
    environment = ENVIRONMENTS.find(request)
    found = [_shown(environment, path) for path in sorted(environment.inner, reverse=True)]
    return json_response({"object": "list", "data": found, "has_more": False, "next": None})


def _shown(environment: Item, path: str) -> Shape:
    named = {"object": "agent.environment.file", "environment_id": environment.id}
    return {**named, "path": path, "size_bytes": environment.inner[path]}


_ALL = "create list retrieve update delete"
ROUTES = (
    *TEMPLATES.routes(_ALL),
    *ENVIRONMENTS.routes("list retrieve", create=create_environment, files=create_file, get_files=list_files),
    *AUTOMATIONS.routes(_ALL, pause=AUTOMATIONS.sets(status="paused"), resume=AUTOMATIONS.sets(status="active")),
    *AGENTS.routes(_ALL),
    *VAULTS.routes(_ALL),
    *CREDENTIALS.routes(_ALL),
)
