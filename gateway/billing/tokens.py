"""Counts tokens offline, where a vendor never said what a call used: an estimate, close for the families that publish
their encoding.

Nothing is downloaded: ``toktok`` carries its encodings, and counts in a process of its own (``providers.tokenizer``).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.billing.audio import HEARD_MS_PER_TOKEN, SPOKEN_MS_PER_TOKEN
from providers.tokenizer import tokenizer

COUNTED_CHARACTERS = 500_000
"""How much of a text is counted: what is longer is taken to go on alike."""


@dataclass(frozen=True, slots=True)
class Family:
    """How a family of models counts. ``names`` is looked for in the model's name, in lower case, without its path.

    ``percent`` is what its own tokenizer makes of 100 tokens of ``encoding``; ``image`` and ``small_image`` (OpenAI's
    ``detail: low``) are tokens of an image, ``audio`` and ``spoken`` of a second of audio that is heard and said.
    """

    names: re.Pattern[str]
    encoding: str
    percent: int = 100
    image: int = 765
    small_image: int = 85
    audio: int = 1000 // HEARD_MS_PER_TOKEN
    spoken: int = 1000 // SPOKEN_MS_PER_TOKEN


# The first row that matches. Encodings: OpenAI's model table (tiktoken), Qwen's own; Llama 3 extends cl100k_base. The
# percentages of Claude and Mistral are ours, from comparing counts of the same text. An image of OpenAI's is one of
# 1024 pixels a side (four tiles and the base), of Claude's the largest that it takes, of Gemini's one tile; audio is
# 10 tokens a second at OpenAI and 20 when it is the answer, 32 and 25 at Gemini. All as their price pages say.
FAMILIES: tuple[Family, ...] = (
    Family(re.compile(r"gpt-oss"), "o200k_harmony"),
    Family(re.compile(r"gpt-?4o|gpt-?4\.[15]|gpt-?[5-9]|chatgpt|\Ao\d|codex|computer-use"), "o200k_base"),
    Family(re.compile(r"gpt-|text-embedding|davinci|babbage|\Aada"), "cl100k_base"),
    Family(re.compile(r"qwen|qwq"), "qwen3.5"),
    Family(re.compile(r"claude"), "o200k_base", percent=120, image=1600, small_image=1600),
    Family(re.compile(r"gemini|gemma"), "o200k_base", image=258, small_image=258, audio=32, spoken=25),
    Family(re.compile(r"llama"), "cl100k_base"),
    Family(re.compile(r"mi[sx]tral|codestral|pixtral"), "cl100k_base", percent=110),
)
OTHER = Family(re.compile(""), "o200k_base")


def family_of(model: str) -> Family:
    """Return the family of a vendor's model name."""
    name = model.lower().rpartition("/")[2]
    return next((family for family in FAMILIES if family.names.search(name)), OTHER)


def count_tokens(texts: Sequence[str], family: Family) -> int:
    """Return about how many tokens ``texts`` are, each on its own. Blocks: not for the event loop.

    Raises ``CountFailed``.
    """
    whole = sum(map(len, texts))
    if not whole:
        return 0
    counted = _first_characters(texts)
    found = tokenizer.count(counted, family.encoding)
    return -(-found * whole * family.percent // (sum(map(len, counted)) * 100))


def _first_characters(texts: Sequence[str]) -> list[str]:
    """Return the texts up to :data:`COUNTED_CHARACTERS` together, without what is not valid Unicode."""
    left, kept = COUNTED_CHARACTERS, []
    for text in texts:
        if left <= 0:
            break
        kept.append(text[:left].encode("utf-8", "replace").decode())
        left -= len(text)
    return kept
