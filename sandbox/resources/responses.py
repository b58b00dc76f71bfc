"""`/v1/responses`: making, streaming, keeping, cancelling, counting and compacting."""

from typing import Any

from sandbox.errors import ApiError
from sandbox.misbehaviour.faults import Faults
from sandbox.model.catalog import Model
from sandbox.resources import containers
from sandbox.responses import context, output, settings, toolbox, turn, usage
from sandbox.responses.context import Context
from sandbox.responses.items import Item
from sandbox.responses.lookup import find_response, query_list, stored_responses
from sandbox.responses.model_response import STREAMABLE, ModelResponse, error_event, replay, stream, visible
from sandbox.responses.toolbox import Toolbox
from sandbox.responses.turn import Turn
from sandbox.store import paging, params
from sandbox.store.params import Body
from sandbox.wire.messages import Answer, Request, Stream, endless_body, json_response
from sandbox.wire.numbers import whole_number
from sandbox.wire.routing import Route

_FAILURE = "The server had an error while processing your request. Sorry about that!"


async def create(request: Request) -> Answer:
    body = request.json()
    params.known(body, settings.KNOWN)
    row = settings.model(request.app.state, body)
    streamed = params.boolean(body, "stream")
    options = params.mapping(body, "stream_options")
    if options and not streamed:
        raise ApiError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    if request.faults.endless and not streamed:
        return endless_body()
    response = begin(request, body, row)
    response.streamed, response.obfuscated = streamed, options.get("include_obfuscation") is True
    if response.background:
        if streamed:
            return Stream(replay(response, request.app.state), error=error_event)
        return json_response(response.body("queued"))
    if streamed:
        return Stream(stream(response), error=error_event)
    response.finished = True
    return json_response(response.body(response.ending))


def begin(request: Request, body: Body, row: Model) -> ModelResponse:
    """The response with its whole future; remembered if it is to be stored."""
    state, faults = request.app.state, request.faults
    store, background = params.boolean(body, "store", True), params.boolean(body, "background")
    if background and not store:
        raise ApiError("Background mode requires 'store' to be true.", param="store")
    asked = turn.read(request, body)
    seen = context.read(asked.items, params.string(body, "instructions"))
    tools = toolbox.read(body, seen.prompt.user_text, asked.has_results())
    plan = settings.plan(body, row, tools, asked.approved())
    settings.check_json_mode(plan.settings, seen.prompt)
    made = output.make(seen, plan, faults, state)
    containers.open_used(request, tools.built_in, made.items)
    now = state.now()
    starts = now + faults.queued / 1000 if background else now
    response = ModelResponse(
        id=state.new_id("resp_", 48),
        base=settings.base(body, row, tools, store),
        items=made.items,
        input=asked.items,
        usage=None if faults.no_usage else _usage(request, body, row, asked, seen, made, tools),
        include=settings.include(body.get("include")),
        created=now,
        starts=starts,
        ends=starts + faults.working / 1000 if background else now,
        ending="failed" if faults.fail else "incomplete" if made.cut_off else "completed",
        error=_failure(faults),
        background=background,
        endless=faults.endless and not background,
        sketches=made.sketches,
    )
    if asked.conversation is not None:
        response.base["conversation"] = {"id": asked.conversation.id}
        asked.conversation.pending.append((response, asked.new))
    if store:
        stored_responses(request).put(response.id, response, _size(request, response))
    return response


def _usage(
    request: Request, body: Body, row: Model, asked: Turn, seen: Context, made: output.Made, tools: Toolbox
) -> dict[str, Any]:
    total = seen.prompt.tokens + usage.tokens_of_tools(tools.shown)
    key = params.string(body, "prompt_cache_key")
    sent = [body.get("instructions"), tools.shown, *asked.items]
    cached = usage.cached(request.app.state, row.id, key, sent, total)
    return usage.usage(total, made, cached, request.faults)


def _failure(faults: Faults) -> dict[str, str]:
    return {"code": faults.code or "server_error", "message": faults.message.replace("_", " ") or _FAILURE}


def _size(request: Request, response: ModelResponse) -> int:
    """About how much memory a response takes, in bytes."""
    written = sum(len(str(item.get("result") or item.get("content") or "")) for item in response.items)
    return (
        4096 + len(request.body) + written + sum(len(sketch) for part in response.sketches.values() for sketch in part)
    )


def _named(request: Request) -> ModelResponse:
    return find_response(request, request.params["response_id"])


async def retrieve(request: Request) -> Answer:
    response, query, state = _named(request), request.query(), request.app.state
    wanted = settings.include(query_list(request, "include"))
    if query.get("stream") == "true":
        _check_streamable(response, state.now())
        return Stream(replay(response, state, _starting_after(query)), error=error_event)
    return json_response(response.body(response.status(state.now()), wanted))


def _check_streamable(response: ModelResponse, now: float) -> None:
    if not response.background or not response.streamed:
        raise ApiError(
            "This response cannot be streamed because it was not created with background=true and stream=true.",
            param="stream",
        )
    if now > response.created + STREAMABLE:
        raise ApiError("This response can no longer be streamed because it is more than 5 minutes old.", param="stream")


def _starting_after(query: dict[str, str]) -> int:
    value = query.get("starting_after", "-1")
    number = whole_number(value.removeprefix("-"))
    if number is None:
        raise ApiError(
            f"Invalid type for 'starting_after': expected an integer, but got '{value}' instead.",
            param="starting_after",
            code="invalid_type",
        )
    return -number if value.startswith("-") else number


async def delete(request: Request) -> Answer:
    response = _named(request)
    stored_responses(request).pop(response.id)
    return json_response({"id": response.id, "object": "response", "deleted": True})


async def cancel(request: Request) -> Answer:
    """Twice is as good as once; a response that is over stays as it is."""
    response = _named(request)
    if not response.background:
        raise ApiError("Cannot cancel a synchronous response.", param="response_id")
    now = request.app.state.now()
    if not response.is_over(now):
        response.cancelled = True
    return json_response(response.body(response.status(now)))


async def list_input_items(request: Request) -> Answer:
    response = _named(request)
    wanted = settings.include(query_list(request, "include"))
    return json_response(paging.page([visible(item, wanted) for item in response.input], request.query()))


async def count_input_tokens(request: Request) -> Answer:
    body = request.json()
    if body.get("model") is not None:
        settings.model(request.app.state, body)
    asked = turn.read(request, body, needs_input=False)
    seen = context.read(asked.items, params.string(body, "instructions"))
    tools = toolbox.read(body, "", after_results=True)
    total = seen.prompt.tokens + usage.tokens_of_tools(tools.shown)
    return json_response({"object": "response.input_tokens", "input_tokens": total})


async def compact(request: Request) -> Answer:
    """The user's messages as they are, and one sealed item that replaces all the rest."""
    body, state = request.json(), request.app.state
    settings.model(state, body)
    asked = turn.read(request, body)
    seen = context.read(asked.items, params.string(body, "instructions"))
    said = [*seen.earlier, seen.prompt.user_text]
    sealed: Item = {
        "id": state.new_id("cmp_", 48),
        "type": "compaction",
        "encrypted_content": context.sealed(said),
    }
    kept = [item for item in asked.items if item["type"] == "message" and item["role"] == "user"]
    return json_response(
        {
            "id": state.new_id("resp_", 48),
            "object": "response.compaction",
            "created_at": state.created(),
            "output": [*kept, sealed],
            "usage": usage.compaction_usage(seen.prompt.tokens, [*kept, sealed]),
        }
    )


ROUTES = (
    Route("POST", "/v1/responses", create),
    Route("POST", "/v1/responses/input_tokens", count_input_tokens),
    Route("POST", "/v1/responses/compact", compact),
    Route("GET", "/v1/responses/{response_id}", retrieve),
    Route("DELETE", "/v1/responses/{response_id}", delete),
    Route("POST", "/v1/responses/{response_id}/cancel", cancel),
    Route("GET", "/v1/responses/{response_id}/input_items", list_input_items),
)
