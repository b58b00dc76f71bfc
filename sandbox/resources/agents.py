"""`/v1/agents`, their environments, templates and automations, and `/v1/vaults`. `agent_sessions.py` has what they do."""

import base64
from typing import Any

from sandbox.errors import invalid_value
from sandbox.store import params, stored_files
from sandbox.store.objects import Item, find, items
from sandbox.store.params import Body
from sandbox.store.plain_resources import Kind, Shape, item, new, routes
from sandbox.wire.messages import Answer, Request, json_response
from sandbox.wire.routing import Route

# What an agent's configuration is when nothing is said, also inside a session and an automation.
CONFIGURATION: Shape = {
    "instructions": None,
    "model": "",
    "multi_agent": {"enabled": False, "max_concurrent_subagents": None},
    "reasoning": {"effort": "medium", "summary": None},
    "service_tier": "auto",
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tools": [],
}
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


AGENT = Kind(
    "/v1/agents",
    "agent_id",
    "agent_",
    "agent",
    required=("model",),
    fields={"name": None, **CONFIGURATION, "metadata": {}},
    times=("created_at", "updated_at"),
    complete=_with_tools,
)
TEMPLATE = Kind(
    "/v1/agents/environments/templates",
    "environment_template_id",
    "envtmpl_",
    "agent.environment.template",
    fields={"name": None, **HOSTED},
    times=("created_at", "updated_at"),
)
ENVIRONMENT = Kind(
    "/v1/agents/environments",
    "environment_id",
    "env_",
    "agent.environment",
    fixed={"files": [], "plugins": [], "skills": [], "status": "ready", "type": "openai_hosted"},
    times=(),
)
VAULT = Kind("/v1/vaults", "vault_id", "vault_", "vault", fields={"name": None, "metadata": {}})


def _without_secrets(request: Request, shape: Shape, body: Body) -> None:
    secrets = ("access_token", "token", "secret_value")
    shape["auth"] = {name: value for name, value in shape["auth"].items() if name not in secrets}


CREDENTIAL = Kind(
    "/v1/vaults/{vault_id}/credentials",
    "credential_id",
    "cred_",
    "vault.credential",
    required=("auth", "name"),
    fields={"auth": {}, "name": "", "metadata": {}},
    times=("created_at", "updated_at"),
    complete=_without_secrets,
    parent=VAULT,
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


AUTOMATION = Kind(
    "/v1/agents/automations",
    "automation_id",
    "auto_",
    "agent.automation",
    required=("name", "target", "type"),
    fields={"name": "", "type": "", "expression": "", "timezone": "UTC", "run_at": 0, "target": {}, "metadata": {}},
    fixed={"created_by": {"type": "developer"}, "status": "active", "pause_reason": None},
    complete=_schedule,
)


def environment_of(request: Request, given: Shape) -> Item:
    """The environment that `given` names, or a new one made from it and from its template."""
    if given.get("environment_id"):
        return find(items(request, ENVIRONMENT.path), given["environment_id"], ENVIRONMENT.name)
    template: Shape = {}
    if given.get("environment_template_id"):
        template = find(items(request, TEMPLATE.path), given["environment_template_id"], TEMPLATE.name).shape
    made = new(request, ENVIRONMENT, {})
    files = given.get("files") or template.get("files") or []
    made.shape["files"] = [_file(request, each) for each in files]
    made.inner = {each["path"]: each["size_bytes"] for each in made.shape["files"]}
    return made


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
    return json_response(environment_of(request, given).shape)


async def create_file(request: Request) -> Answer:
    environment = item(request, ENVIRONMENT)
    made = _file(request, request.json())
    environment.inner[made["path"]] = made["size_bytes"]
    return json_response(_shown(environment, made["path"]))


async def list_files(request: Request) -> Answer:
    environment = item(request, ENVIRONMENT)
    found = [_shown(environment, path) for path in sorted(environment.inner, reverse=True)]
    return json_response({"object": "list", "data": found, "has_more": False, "next": None})


def _shown(environment: Item, path: str) -> dict[str, Any]:
    return {
        "object": "agent.environment.file",
        "environment_id": environment.id,
        "path": path,
        "size_bytes": environment.inner[path],
    }


_FILES = ENVIRONMENT.item_path + "/files"
ROUTES = (
    *routes(TEMPLATE),
    Route("POST", ENVIRONMENT.path, create_environment),
    *routes(ENVIRONMENT, "list retrieve"),
    Route("POST", _FILES, create_file),
    Route("GET", _FILES, list_files),
    *routes(AUTOMATION, pause={"status": "paused"}, resume={"status": "active"}),
    *routes(AGENT),
    *routes(VAULT),
    *routes(CREDENTIAL),
)
