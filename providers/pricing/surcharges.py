"""What vendors add to their list prices by the address that a call goes to, a row each.

Sources: developers.openai.com, "Data residency": endpoints with data residency cost 10 % more for models released since
5 March 2026. Google Cloud, Vertex AI pricing: regional and multi-region endpoints cost 10 % more than the global one
for Claude since Sonnet 4.5. Bedrock's regions have entries of their own in the price list.
"""

import re
from dataclasses import dataclass
from functools import lru_cache

REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Surcharge:
    """So many basis points more for calls of the vendor ``kind`` to an address that ``address`` finds.

    Of the models, by their upstream names, those that ``models`` finds.
    """

    kind: str
    address: re.Pattern[str]
    models: re.Pattern[str]
    basis_points: int


# By name, for the list has no dates: all but those that OpenAI had released before.
SINCE_MARCH_2026 = re.compile(
    r"^(?!ft:)(?!(?:gpt-3|gpt-4|gpt-5(?:$|-|\.[0-3])|o[134]|chatgpt-|gpt-audio|gpt-realtime(?:$|-mini|-20|-1\.5)"
    r"|gpt-image-1|dall-e|tts-|whisper|text-|omni-moderation|sora-2|computer-use|codex-mini|babbage|davinci))",
    re.I,
)
SURCHARGES = (
    Surcharge("openai", re.compile(r"^https://[a-z]{2}\.api\.openai\.com(?:[:/]|$)"), SINCE_MARCH_2026, 1000),
    Surcharge(
        "google-vertex",
        re.compile(r"^https://(?:[a-z]+-[a-z]+\d+-aiplatform|aiplatform\.[a-z]+\.rep)\.googleapis\.com(?:[:/]|$)"),
        re.compile(r"claude-(?:haiku|sonnet|opus|fable|mythos)-(?:4-[5-9]|[5-9])"),
        1000,
    ),
)


@lru_cache(maxsize=REMEMBERED)
def surcharge_bp(kind: str, url: str, model: str) -> int:
    """Return how many basis points a call costs more than the list says, for an upstream's ``model`` at ``url``."""
    return sum(
        row.basis_points
        for row in SURCHARGES
        if row.kind == kind and row.address.search(url) and row.models.search(model)
    )
