"""The text of an answer: sensible for the questions that examples ask, otherwise a readable echo."""

import re
from collections.abc import Callable

import msgspec

from sandbox.model.prompt import Attachment, Prompt

MAX_ECHO = 400
REFUSAL = "I'm sorry, but I can't help with that request."

_GREETINGS = {
    "french": "Bonjour !",
    "japanese": "こんにちは！",
    "spanish": "¡Hola!",
    "german": "Hallo!",
    "italian": "Ciao!",
    "portuguese": "Olá!",
    "hindi": "नमस्ते!",
    "english": "Hi!",
}


def reply(prompt: Prompt, variant: int = 0) -> str:
    """The answer to the last user message, or to the tool results behind it. `variant` is the choice's index."""
    text = _from_tools(prompt) if prompt.tool_results else _from_user(prompt)
    return text if variant == 0 else f"{text} (Choice {variant + 1}.)"


def _from_tools(prompt: Prompt) -> str:
    parts = []
    for result in prompt.tool_results:
        said = f"{result.name} says" if result.name else "The tool says"
        parts.append(f"{said}: {_in_words(result.content)}.")
    return " ".join(parts)


def _in_words(content: str) -> str:
    """JSON objects as `key: value, key: value`; other text as it is."""
    try:
        value = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeError):
        return content.strip().rstrip(".")
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return str(value)


def _from_user(prompt: Prompt) -> str:
    text = prompt.user_text.strip()
    heard = " ".join(item.heard for item in prompt.attachments if item.heard)
    if heard and _TRANSCRIBE.search(text):
        return heard
    seen = "".join(f"I received {_describe(item)}. " for item in prompt.attachments)
    for pattern, answer in _ANSWERS:
        match = pattern.search(text)
        if match:
            return seen + answer(match)
    if not text:
        return seen.strip() or "Hello! How can I assist you today?"
    shown = text if len(text) <= MAX_ECHO else f"{text[:MAX_ECHO]}..."
    return f'{seen}You said: "{shown}" This answer comes from the sandbox.'


def _describe(item: Attachment) -> str:
    article = "an" if item.kind in ("image", "audio") else "a"
    what = {"image": "image", "audio": "audio clip", "video": "video", "file": "file"}[item.kind]
    details = [part for part in (item.name, item.media_type) if part]
    if item.size:
        details.append(f"{item.size} bytes")
    return f"{article} {what} ({', '.join(details)})" if details else f"{article} {what}"


def _count(match: re.Match[str]) -> str:
    first, last = int(match[1]), int(match[2])
    step = 1 if last >= first else -1
    return " ".join(str(number) for number in range(first, last + step, step)[:1000])


def _say(match: re.Match[str]) -> str:
    return match[1].strip().strip("\"'“”").strip()


def _greet(match: re.Match[str]) -> str:
    return _GREETINGS.get(match[1].lower(), "Hi!")


def _calculate(match: re.Match[str]) -> str:
    left, sign, right = int(match[1]), match[2], int(match[3])
    if sign in "+-":
        return str(left + right if sign == "+" else left - right)
    if sign in "*x×":
        return str(left * right)
    return str(left / right if right and left % right else left // right) if right else "undefined"


def _rule(pattern: str, answer: Callable[[re.Match[str]], str]) -> tuple[re.Pattern[str], Callable[..., str]]:
    return re.compile(pattern, re.IGNORECASE), answer


_TRANSCRIBE = re.compile(r"\btranscri(?:be|pt)", re.IGNORECASE)
# The first pattern that is found answers.
_ANSWERS = (
    _rule(r"\bcount (?:from )?(-?\d{1,6}) (?:to|through|until) (-?\d{1,6})\b", _count),
    _rule(r"\bsay (?:hi|hello) in (\w+)", _greet),
    _rule(r"\b(?:say|repeat)(?: exactly)?(?: after me)?: *(.+)", _say),
    _rule(r"\breply with[: ]*(?:(?:just|only|exactly|the words?)\b[: ]*)*[\"']?(.+?)[\"'.]*$", _say),
    _rule(r"^say (this is .+?)\.?$", lambda match: f"{_say(match)[:1].upper()}{_say(match)[1:]}."),
    _rule(r"\bwhat is (-?\d{1,9}) ?([-+*x×/]) ?(-?\d{1,9})\b", _calculate),
    _rule(r"\bbat and (?:a )?ball cost \$1\.10\b", lambda match: "The ball costs $0.05."),
    _rule(r"\bcapital of france\b", lambda match: "The capital of France is Paris."),
    _rule(r"^(?:hi|hello|hey)\b[\s,!.]*(?:how are you\??)?$", lambda match: "Hello! How can I assist you today?"),
)
