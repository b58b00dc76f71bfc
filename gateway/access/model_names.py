"""Forms of a model's name: vendors accept many for one model, and a check must not be passed by writing another.

Pure functions over names; :mod:`gateway.access.models` says who may call what.
"""

import re
from functools import lru_cache

# A snapshot that is open to every caller who may use that model.
SNAPSHOT = re.compile(r"-20\d\d-\d\d-\d\d\Z")
# Before the name itself: Google's and Azure's resources, Bedrock's regions and makers, the maker in an aggregator's
# names.
PREFIXES = re.compile(
    r"(?:.*/)?(?:(?:us|eu|apac|global|us-gov)\.)?"
    r"(?:(?:anthropic|amazon|meta|mistral|cohere|ai21|deepseek|openai|qwen)\.)?"
)
# Behind it: a tag (Ollama's and OpenRouter's), a version or a date by any vendor's custom, and words for "the newest".
SUFFIXES = re.compile(
    r"(?::.*"
    r"|@.*"
    r"|-(?:latest|preview|exp|experimental|stable|beta|ga|default)"
    r"|-v\d+"
    r"|-(?:20)?\d\d-\d\d(?:-\d\d|-20\d\d)?"
    r"|-(?:19|20)\d{6}"
    r"|-\d{2}-20\d\d"
    r"|-\d{3,4}"
    r")\Z"
)
SEPARATORS = re.compile(r"[._\s-]+")
FINE_TUNED = "ft:"


def plain(name: str) -> str:
    """Return the name without what says nothing: whitespace around it, case, ``models/`` before and ``:latest`` behind
    it.
    """
    return name.strip().lower().removeprefix("models/").removesuffix(":latest")


@lru_cache(maxsize=65_536)
def stem(name: str) -> str:
    """Return what all names of a model's versions share: ``gpt-4`` for ``models/GPT-4-1106-preview``.

    Different models may share one (``gpt-4`` and ``gpt-4-1106-preview`` do): use it to refuse, never to let in. A
    fine-tuned model is its owner's alone and has a name that nothing else has.
    """
    while not name.startswith(FINE_TUNED):
        shorter = _without_decoration(name)
        if shorter == name:
            break
        name = shorter
    return name


def _without_decoration(name: str) -> str:
    """Return the name without what is around it, once: what is left may be decorated, too."""
    name = plain(name)
    if name.startswith(FINE_TUNED):
        return name
    prefix = PREFIXES.match(name)
    rest = name[prefix.end() :] if prefix else name
    rest = SEPARATORS.sub("-", rest.partition(":")[0].partition("@")[0]) or name
    while True:
        shorter = SUFFIXES.sub("", rest)
        if shorter == rest or not shorter:
            return rest
        rest = shorter
