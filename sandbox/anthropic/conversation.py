"""The conversation of a request: its turns, and that calls, results and thinking are where they have to be."""

from typing import Any

from sandbox.anthropic.blocks import ASSISTANT, USER, Block, Reader, block_of, content
from sandbox.anthropic.fields import Fields, closed, get
from sandbox.anthropic.models import Model
from sandbox.anthropic.service import invalid
from sandbox.model.prompt import Prompt, begin_turn, end_turn
from sandbox.model.tokens import PER_MESSAGE

ROLES = ("user", "assistant", "system")


def read(body: Fields, prompt: Prompt, model: Model, *, thinks: bool) -> list[Block]:
    """Reads `system` and `messages` into the prompt; returns what the prompt cache counts, in order."""
    reader = Reader(prompt)
    blocks, texts = _system(body, reader)
    messages = get(body, "messages", list, needed=True)
    if not messages:
        raise invalid("messages", "at least one message is required")
    turns = []
    for index, message in enumerate(messages):
        role, parts = _message(message, f"messages.{index}")
        turns.append((role, parts))
        read, said = _turn(role, parts, reader, f"messages.{index}.content")
        blocks += read
        texts.append(said)
    if turns[0][0] == "assistant":
        raise invalid("messages", 'first message must use the "user" role')
    _check_calls(turns)
    _check_end(turns, model)
    if thinks and model.budgets:
        _check_thinking(turns)
    prompt.all_text = "\n".join(texts)
    prompt.tokens = sum(block.tokens for block in blocks) + PER_MESSAGE * len(messages)
    return blocks


def _system(body: Fields, reader: Reader) -> tuple[list[Block], list[str]]:
    if body.get("system") is None:
        return [], []
    parts = content(body["system"], ("text",), "system")
    read = [reader.read(part, f"system.{index}") for index, part in enumerate(parts)]
    blocks = [block_of(part, cost, "system") for part, (_, cost) in zip(parts, read, strict=True)]
    return blocks, [text for text, _ in read]


def _message(message: Any, where: str) -> tuple[str, list[Fields]]:
    if not isinstance(message, dict):
        raise invalid(where, "Input should be a valid dictionary or object to extract fields from")
    closed(message, ("role", "content"), where)
    role = message.get("role")
    if role not in ROLES:
        raise invalid(f"{where}.role", "Input should be 'user' or 'assistant'" if role else "Field required")
    parts = content(message.get("content"), ASSISTANT if role == "assistant" else USER, f"{where}.content")
    return role, parts


def _turn(role: str, parts: list[Fields], reader: Reader, where: str) -> tuple[list[Block], str]:
    """A turn's blocks and text. The prompt's question is the user's last text, its results those that came after."""
    prompt = reader.prompt
    answers = any(part["type"] == "tool_result" for part in parts)
    begin_turn(prompt, user=role == "user", answers=answers)
    blocks, texts = [], []
    for index, part in enumerate(parts):
        text, cost = reader.read(part, f"{where}.{index}")
        blocks.append(block_of(part, cost, f"{where}.{index}"))
        texts += [text] if text else []
    said = "\n".join(texts)
    end_turn(prompt, said, user=role == "user", answers=answers)
    return blocks, said


def _ids(parts: list[Fields], kind: str, name: str) -> list[str]:
    return [part[name] for part in parts if part["type"] == kind]


def _check_calls(turns: list[tuple[str, list[Fields]]]) -> None:
    """Every call must be answered in the next turn."""
    for index, (role, parts) in enumerate(turns):
        calls = _ids(parts, "tool_use", "id") if role == "assistant" else []
        following = turns[index + 1][1] if index + 1 < len(turns) else []
        results = _ids(following, "tool_result", "tool_use_id")
        missing = [call for call in calls if call not in results]
        if missing:
            raise invalid(
                f"messages.{index}",
                "`tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(missing)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message.",
            )
        if index and role == "user":
            known = _ids(turns[index - 1][1], "tool_use", "id")
            for result in _ids(parts, "tool_result", "tool_use_id"):
                if result not in known:
                    raise invalid(
                        f"messages.{index}.content.0",
                        f"unexpected `tool_use_id` found in `tool_result` blocks: {result}. Each `tool_result` block "
                        "must have a corresponding `tool_use` block in the previous message.",
                    )


def _check_end(turns: list[tuple[str, list[Fields]]], model: Model) -> None:
    role, parts = turns[-1]
    if role != "assistant":
        return
    if not model.prefill:
        raise invalid(
            "messages",
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        )
    if parts and parts[-1]["type"] == "text" and parts[-1]["text"] != parts[-1]["text"].rstrip():
        raise invalid("messages", "final assistant content cannot end with trailing whitespace")


def _check_thinking(turns: list[tuple[str, list[Fields]]]) -> None:
    """With a budget for thinking, a turn whose calls were answered last must begin with its thinking."""
    for index in range(len(turns) - 1, -1, -1):
        role, parts = turns[index]
        if role == "user" and not _ids(parts, "tool_result", "tool_use_id"):
            return
        if role == "assistant":
            first = parts[0]["type"] if parts else ""
            if _ids(parts, "tool_use", "id") and first not in ("thinking", "redacted_thinking"):
                raise invalid(
                    f"messages.{index}.content.0.type",
                    f"Expected `thinking` or `redacted_thinking`, but found `{first}`. When `thinking` is enabled, a "
                    "final `assistant` message must start with a thinking block (preceeding the lastmost set of "
                    "`tool_use` and `tool_result` blocks). To avoid this requirement, disable `thinking`.",
                )
            return
