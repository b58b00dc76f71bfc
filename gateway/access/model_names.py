"""Forms of a model's name: vendors accept many for one model, and a check must not be passed by writing another.

Pure functions over names, which callers make up: each takes time in proportion to a name's length. What is longer than
any name is not valid, and is never kept. :mod:`gateway.access.models` says who may call what.
"""

import re
from collections.abc import Iterator
from functools import lru_cache

from gateway.body.model_fields import MAX_NAME_CHARACTERS

STEMS_KEPT = 4096
# A snapshot that is open to every caller who may use that model.
SNAPSHOT = re.compile(r"-20\d\d-\d\d-\d\d\Z")
# Before the name itself, and before the maker: Bedrock's regions and makers, the maker in an aggregator's names.
PREFIXES = re.compile(
    r"(?:(?:us|eu|apac|global|us-gov)\.)?"
    r"(?:(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen)\.)?"
)
# The words at a name's end that say which version of the model it is, with how many they are: words for "the newest", a
# version or a date by any vendor's custom. Anthropic serves claude-sonnet-4-20250514 as claude-sonnet-4-0, too.
ENDINGS = (
    (3, re.compile(r"(?:20)?\d\d-\d\d-(?:20)?\d\d")),
    (2, re.compile(r"(?:20)?\d\d-\d\d|\d\d-20\d\d")),
    (1, re.compile(r"latest|preview|exp|experimental|stable|beta|ga|default|v\d+|0|(?:19|20)\d{6}|\d{3,4}")),
)
LONGEST_ENDING = ENDINGS[0][0]
SEPARATORS = re.compile(r"[._\s-]+")
TAGS = re.compile(r"[:@]")
FINE_TUNED = "ft:"
BLANK = "/ \t\r\n\v\f"
OF_SOMEONE = ("tunedmodels", "endpoints")


def plain(name: str) -> str:
    """Return the name without what says nothing: whitespace and slashes around it, case, ``models/`` before and
    ``:latest`` behind it.
    """
    bare = name.strip().strip(BLANK).lower().removeprefix("models/").removesuffix(":latest").strip(BLANK)
    return bare or name.strip().lower()


def stem(name: str) -> str:
    """Return what all names of a model's versions share: ``gpt-4`` for ``models/GPT-4-1106-preview``.

    Different models may share one (``gpt-4`` and ``gpt-4-1106-preview`` do): use it to refuse, never to let in. A
    fine-tuned model is its owner's alone and has a name that nothing else has. What is too long for a name has none
    but itself.
    """
    name = plain(name)
    return _stem(name) if len(name) <= MAX_NAME_CHARACTERS else name


@lru_cache(maxsize=STEMS_KEPT)
def _stem(name: str) -> str:
    while not name.startswith(FINE_TUNED):
        shorter = _without_decoration(name)
        if shorter == name:
            break
        name = shorter
    return name


def stems(name: str) -> tuple[str, ...]:
    """Return the stems of all models that a name may be a version of, :func:`stem` first.

    What is behind a name may be read in several ways: ``aa-10-08-2024`` is ``aa`` of a day, or ``aa-10`` of a month.
    """
    name = plain(name)
    return _stems(name) if len(name) <= MAX_NAME_CHARACTERS else (name,)


@lru_cache(maxsize=STEMS_KEPT)
def _stems(name: str) -> tuple[str, ...]:
    found = [_stem(name)]
    if not name.startswith(FINE_TUNED):
        words = _words(name)
        left = {len(words)}  # how many words may be left, by any reading of those behind them
        for count in range(len(words), 0, -1):
            if count not in left:
                continue
            shorter = {
                count - size
                for size in _endings(words[max(0, count - LONGEST_ENDING) : count])
                if any(words[: count - size])
            }
            left |= shorter
            if not shorter:
                found.append(plain("-".join(words[:count])) or name)
    return tuple(dict.fromkeys(found))


def _words(name: str) -> list[str]:
    """Return the words of a plain name without what is before and behind all of them."""
    rest = name.rpartition("/")[2]  # behind Google's and Azure's resources, and makers
    prefix = PREFIXES.match(rest)
    rest = TAGS.split(rest[prefix.end() :] if prefix else rest, maxsplit=1)[0]  # before Ollama's and OpenRouter's tags
    return (SEPARATORS.sub("-", rest) or name).split("-")


def _without_decoration(name: str) -> str:
    """Return a plain name without what is around it, once: what is left may be decorated, too."""
    words = _words(name)
    while (size := _ending(words)) and any(words[:-size]):
        del words[-size:]
    return plain("-".join(words)) or name


def _ending(words: list[str]) -> int:
    """Return how many of the last words say which version it is: the most of them."""
    return next(_endings(words), 0)


def _endings(words: list[str]) -> Iterator[int]:
    """Yield how many of the last words may do so, the most first."""
    return (size for size, form in ENDINGS if form.fullmatch("-".join(words[-size:])))


def is_fine_tuned(name: str) -> bool:
    """Whether a vendor's name is that of a model that someone had made: ``ft:...``, ``tunedModels/...``."""
    *parents, last = name.strip().lower().split("/")
    return last.startswith(FINE_TUNED) or any(parent in OF_SOMEONE for parent in parents)


def base_of(name: str) -> str:
    """Return what a fine-tuned model was made of: ``gpt-4o`` for ``ft:gpt-4o:org::id``, else nothing."""
    tuned, _, rest = plain(name).rpartition("/")[2].partition(":")
    return rest.partition(":")[0] if f"{tuned}:" == FINE_TUNED else ""
