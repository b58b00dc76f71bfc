"""Training files for fine-tuning: what an example is, and what is refused."""

from typing import Any, NamedTuple

import msgspec

from sandbox.jobs.work import Breather
from sandbox.model import tokens
from sandbox.store.stored_files import StoredFile

MIN_EXAMPLES = 10
ROLES = ("system", "developer", "user", "assistant", "tool", "function")

_decode = msgspec.json.Decoder().decode


class Findings(NamedTuple):
    """What was found in a file. `error` is OpenAI's code and message, None for a good file."""

    examples: int
    tokens: int
    error: tuple[str, str] | None


class _Bad(Exception):
    """What is wrong with an example, in words."""


async def check(stored: StoredFile, method: str, is_chat: bool, low: int = MIN_EXAMPLES) -> Findings:
    """Reads the whole file. `method` is supervised, dpo or reinforcement; `low` the fewest examples that will do."""
    examples, counted, breathe = 0, 0, Breather()
    for number, text in enumerate(stored.lines(), 1):
        if not text.strip():
            continue
        examples += 1
        try:
            _check(_object(text), method, is_chat)
        except _Bad as error:
            message = f"Invalid file format. Example {number}, {error}"
            return Findings(examples, counted, ("invalid_file_format", message))
        counted += tokens.count(text.decode("utf-8", "replace"))
        await breathe()
    if examples < low:
        message = f"Training file has {examples} example(s), but must have at least {low} examples"
        return Findings(examples, counted, ("invalid_n_examples", message))
    return Findings(examples, counted, None)


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Bad("is not parseable as valid JSON.") from error
    if not isinstance(value, dict):
        raise _Bad("is not a dictionary.")
    return value


def _check(example: dict[str, Any], method: str, is_chat: bool) -> None:
    if not is_chat:
        for name in ("prompt", "completion"):
            if not isinstance(example.get(name), str):
                raise _Bad(f'is missing key "{name}".')
    elif method == "dpo":
        _messages(_key(example.get("input"), "messages"), "input.messages")
        for name in ("preferred_output", "non_preferred_output"):
            _messages(_key(example, name), name)
    else:
        messages = _key(example, "messages")
        _messages(messages, "messages")
        if method == "supervised" and not any(message["role"] == "assistant" for message in messages):
            raise _Bad("must have at least one message from the assistant.")


def _key(value: Any, name: str) -> Any:
    if not isinstance(value, dict) or name not in value:
        raise _Bad(f'is missing key "{name}".')
    return value[name]


def _messages(messages: Any, where: str) -> None:
    if not isinstance(messages, list) or not messages:
        raise _Bad(f'key "{where}" must be a list of messages.')
    for number, message in enumerate(messages, 1):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise _Bad(f'message {number}, key "role" must be one of {", ".join(ROLES)}.')
        has_content = any(message.get(name) for name in ("content", "tool_calls", "function_call"))
        if not has_content and message.get("content") != "":
            raise _Bad(f'message {number}, key "content" is missing.')
