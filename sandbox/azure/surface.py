"""Azure's two surfaces, made of OpenAI's routes: a resource has what Azure's descriptions and its reference list.

`/openai/v1/...` has OpenAI's paths, and may name a version. `/openai/...` must name a dated one, and has what a
deployment does below `/openai/deployments/{deployment}`, as in Azure's description 2025-04-01-preview.
"""

import re
import urllib.parse
from collections.abc import Iterable
from typing import Any

from sandbox.azure.filters import annotated
from sandbox.azure.service import AzureError, named_deployment, not_found, resource_error
from sandbox.model import catalog
from sandbox.store.auth import admit
from sandbox.wire.messages import Answer, Request, encode, json_response
from sandbox.wire.routing import Handler, Route

CHAT = "chat/completions"
DEPLOYED = (
    *(CHAT, "completions", "embeddings", "audio/transcriptions", "audio/translations", "audio/speech"),
    *("images/generations", "images/edits"),
)
SHARED = ("files", "batches", "fine_tuning", "models", "vector_stores", "evals", "assistants", "threads", "responses")
V1 = (*DEPLOYED, *SHARED, "conversations", "containers", "videos", "skills", "realtime")
NOT_DATED = ("/cancel", "/compact", "/input_tokens")  # of responses
DATED = re.compile(r"20\d\d-\d\d-\d\d(-preview)?")
NAMED = ("v1", "latest", "preview")
TOKEN_SECONDS = 3599


def routes(openai: Iterable[Route]) -> tuple[Route, ...]:
    """The rows of both surfaces, of OpenAI's."""
    found: list[Route] = [Route("POST", "/{tenant}/oauth2/v2.0/token", token, authenticated=False)]
    for row in openai:
        place = row.path.removeprefix("/v1/")
        if _within(place, V1):
            found.append(row._replace(path=f"/openai/v1/{place}", handler=_v1(row, place)))
        if place in DEPLOYED and row.method == "POST":
            path = f"/openai/deployments/{{deployment}}/{place}"
            found.append(row._replace(path=path, handler=_deployed(row, place)))
        if _within(place, SHARED) and not (place.startswith("responses") and place.endswith(NOT_DATED)):
            found.append(row._replace(path=f"/openai/{place}", handler=_dated(row.handler)))
        if place == "realtime":
            found.append(row._replace(path="/openai/realtime", handler=_socket(row.handler)))
    return tuple(found)


def _within(place: str, roots: Iterable[str]) -> bool:
    return any(place == root or place.startswith(f"{root}/") for root in roots)


def _check_dated(query: dict[str, str]) -> None:
    if not DATED.fullmatch(query.get("api-version", "")):
        raise not_found()  # what Azure says without a version, and for one that it does not have


def _v1(row: Route, place: str) -> Handler:
    async def call(asked: Any) -> Any:
        query = asked.query if row.method == "WEBSOCKET" else asked.query()
        if query.get("api-version", "v1") not in NAMED:
            raise AzureError("API version not supported", status=400, code="BadRequest")
        answer = await row.handler(asked)
        return annotated(answer) if place == CHAT and row.method == "POST" else answer

    return call


def _dated(handler: Handler) -> Handler:
    async def call(request: Request) -> Any:
        _check_dated(request.query())
        return await handler(request)

    return call


def _deployed(row: Route, place: str) -> Handler:
    """The deployment decides, whatever model a JSON body names; a form names it itself, too."""

    async def call(request: Request) -> Any:
        _check_dated(request.query())
        deployment = named_deployment(request)
        if catalog.find(request.app.state, deployment) is None:
            raise resource_error(404)
        if not row.streamed:
            request.body = encode({**request.json(), "model": deployment})
        answer = await row.handler(request)
        return annotated(answer) if place == CHAT else answer

    return call


def _socket(handler: Handler) -> Handler:
    async def call(socket: Any) -> None:
        _check_dated(socket.query)
        if "deployment" in socket.query:
            socket.query["model"] = socket.query.pop("deployment")
        await handler(socket)

    return call


async def token(request: Request) -> Answer:
    """Microsoft Entra's token for an application whose secret is one of the sandbox's keys."""
    form = dict(urllib.parse.parse_qsl(request.body.decode("latin-1")))
    if form.get("grant_type") != "client_credentials" or not form.get("scope", "").endswith("/.default"):
        said = "AADSTS70011: The provided request must include a 'scope' input parameter."
        return json_response({"error": "invalid_scope", "error_description": said}, 400)
    secret = form.get("client_secret", "").encode()
    if not admit(request.app.keys, secret):
        said = "AADSTS7000215: Invalid client secret provided."
        return json_response({"error": "invalid_client", "error_description": said}, 401)
    return json_response({"token_type": "Bearer", "expires_in": TOKEN_SECONDS, "access_token": secret.decode()})
