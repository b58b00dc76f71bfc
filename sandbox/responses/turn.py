"""What one request adds to a conversation, and what came before it."""

from dataclasses import dataclass
from typing import Any

from sandbox.errors import ApiError, invalid_type
from sandbox.responses import conversation as conversations
from sandbox.responses.conversation import Conversation
from sandbox.responses.items import Item, check_calls, newest, read_items
from sandbox.responses.lookup import lookup, stored_responses
from sandbox.store.params import Body
from sandbox.wire.messages import Request

# Older items are out of the model's sight.
MAX_CONTEXT = 1_000
MAX_CONTEXT_BYTES = 32 * 1024 * 1024


@dataclass(slots=True)
class Turn:
    """`new` are this request's items, `items` the same behind all earlier ones."""

    new: list[Item]
    items: list[Item]
    conversation: Conversation | None

    def approved(self) -> list[Item]:
        """The MCP calls that this turn lets pass; raises ApiError 400 for an unknown one."""
        asked = {item["id"]: item for item in self.items if item["type"] == "mcp_approval_request"}
        found = []
        for item in self.new:
            if item["type"] != "mcp_approval_response" or not item["approve"]:
                continue
            request_id = item["approval_request_id"]
            if request_id not in asked:
                raise ApiError(f"No approval request found with id '{request_id}'.", param="input")
            found.append(asked[request_id])
        return found

    def has_results(self) -> bool:
        """Whether the turn answers tool calls, so that built-in tools were used already."""
        return any(item["type"].endswith(("_output", "_approval_response")) for item in self.new)


def read(request: Request, body: Body, *, needs_input: bool = True) -> Turn:
    """Raises ApiError 400 or 404 for what OpenAI would refuse."""
    conversation_id, previous_id = _conversation_id(body), body.get("previous_response_id")
    if conversation_id and previous_id:
        raise ApiError(
            "Mutually exclusive parameters. Ensure you are only providing one of: 'previous_response_id' or "
            "'conversation'.",
            param="previous_response_id",
            code="mutually_exclusive_parameters",
        )
    conversation, before = None, []
    if conversation_id:
        conversation = conversations.find(request, conversation_id)
        before = conversation.items
    elif previous_id is not None:
        before = _previous(request, previous_id)
    given = body.get("input")
    if given is None:
        given = _prompt_text(body) or []
        if needs_input and not given and not before:
            raise ApiError(
                "One of \"input\" or \"previous_response_id\" or 'prompt' or 'conversation_id' must be provided.",
                code="missing_required_parameter",
            )
    new = read_items(given, lookup(request))
    seen = newest(before, MAX_CONTEXT, MAX_CONTEXT_BYTES)
    items = [*seen, *new]
    check_calls(items, len(seen))
    return Turn(new, items, conversation)


def _conversation_id(body: Body) -> str | None:
    value: Any = body.get("conversation")
    if isinstance(value, dict):
        value = value.get("id")
    if value is not None and not isinstance(value, str):
        raise invalid_type("conversation", "one of a string or an object", value)
    return value


def _previous(request: Request, response_id: Any) -> list[Item]:
    if not isinstance(response_id, str):
        raise invalid_type("previous_response_id", "a string", response_id)
    found = stored_responses(request).get(response_id)
    if found is None:
        raise ApiError(
            f"Previous response with id '{response_id}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    if not found.is_over(request.app.state.now()):
        raise ApiError(f"Previous response with id '{response_id}' is not completed.", param="previous_response_id")
    return found.context()


def _prompt_text(body: Body) -> str:
    """A prompt template's text: the sandbox keeps none, so it is the template's id and variables."""
    template = body.get("prompt")
    if not isinstance(template, dict):
        return ""
    variables = template.get("variables") or {}
    return f"Prompt {template.get('id')}: " + ", ".join(f"{name}={value}" for name, value in variables.items())
