"""The vendors that Gatehouse knows, a row each: address, auth, wire dialect and abilities. Abilities are opted in."""

from collections.abc import Iterable
from dataclasses import dataclass, field

MODEL_TYPES = (
    "chat",
    "completion",
    "embedding",
    "responses",
    "image",
    "audio_transcription",
    "audio_translation",
    "text_to_speech",
    "moderation",
    "realtime",
    "rerank",
    "ocr",
    "video",
    "batch",
    "fine_tuning",
)
"""What a model may be called for: the contract's model types, then ours: videos, and the two kinds of work that finish later."""

FEATURES = (
    "streaming",
    "tools",
    "vision",
    "pdf",
    "audio_input",
    "json_schema",
    "reasoning",
    "prompt_caching",
)
"""What a model can do within a call. Shown to callers; never a gate."""

RESOURCE_SWITCHES = (
    "agents",
    "assistants",
    "chatkit",
    "containers",
    "content_provenance_checks",
    "decisions",
    "evals",
    "safety",
    "skills",
    "vector_stores",
    "videos",
    "voices",
    "webhooks",
)
"""The resources that an account opens by name for passthrough; ``*`` opens all of them, and those to come."""
ALL_RESOURCES = "*"


def resource_fault(names: Iterable[str]) -> str | None:
    """Say what is wrong with an account's list of open resources, or ``None``."""
    for name in names:
        if name not in RESOURCE_SWITCHES and name != ALL_RESOURCES:
            return f"{name!r} is no resource. Known are: {', '.join(RESOURCE_SWITCHES)}; or {ALL_RESOURCES} for all."
    return None


@dataclass(frozen=True, slots=True)
class Vendor:
    """One kind of provider account.

    ``provider`` is the value of the ``"provider"`` field in answers; ``price_source`` the provider id in the public price list
    (empty: none); ``usage`` how the vendor counts (``providers.dialects.usage``); ``stream_usage`` whether ``stream_options.include_usage`` is understood.
    """

    kind: str
    label: str
    provider: str
    base_url: str
    dialect: str = "openai"
    auth_header: str = "authorization"
    auth_prefix: str = "Bearer "
    regions: tuple[tuple[str, str], ...] = ()
    price_source: str = ""
    stream_usage: bool = True
    needs_key: bool = True
    usage: str = "openai"
    abilities: frozenset[str] = field(default_factory=frozenset)


# Regions and their addresses as OpenAI's data residency guide lists them.
OPENAI_REGIONS = (
    ("https://api.openai.com/v1", "Default"),
    ("https://us.api.openai.com/v1", "US"),
    ("https://eu.api.openai.com/v1", "Europe (EEA + Switzerland)"),
    ("https://au.api.openai.com/v1", "Australia"),
    ("https://ca.api.openai.com/v1", "Canada"),
    ("https://jp.api.openai.com/v1", "Japan"),
    ("https://in.api.openai.com/v1", "India"),
    ("https://sg.api.openai.com/v1", "Singapore"),
    ("https://kr.api.openai.com/v1", "South Korea"),
    ("https://gb.api.openai.com/v1", "United Kingdom"),
    ("https://ae.api.openai.com/v1", "United Arab Emirates"),
)

VENDORS: dict[str, Vendor] = {
    row.kind: row
    for row in (
        Vendor(
            kind="openai",
            label="OpenAI",
            provider="openai",
            base_url="https://api.openai.com/v1",
            regions=OPENAI_REGIONS,
            price_source="openai",
            abilities=frozenset(
                {"responses", "files", "batches", "fine_tuning", "realtime", "uploads", "conversations"}
            ),
        ),
        Vendor(
            kind="google-gemini",
            label="Google Gemini (OpenAI-compatible address)",
            provider="google-gemini",
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            price_source="google",
            usage="google",
        ),
        Vendor(
            kind="groq",
            label="Groq",
            provider="groq",
            base_url="https://api.groq.com/openai/v1",
            price_source="groq",
        ),
        Vendor(
            kind="mistral-ai",
            label="Mistral AI",
            provider="mistral-ai",
            base_url="https://api.mistral.ai/v1",
            price_source="mistral",
        ),
        Vendor(
            kind="deepseek",
            label="DeepSeek",
            provider="deepseek",
            base_url="https://api.deepseek.com/v1",
            price_source="deepseek",
            usage="deepseek",
        ),
        Vendor(
            kind="together-ai",
            label="Together AI",
            provider="together-ai",
            base_url="https://api.together.xyz/v1",
            price_source="together",
        ),
        Vendor(
            kind="openrouter",
            label="OpenRouter",
            provider="openrouter",
            base_url="https://openrouter.ai/api/v1",
            price_source="openrouter",
            usage="openrouter",
        ),
        Vendor(
            kind="xai", label="xAI", provider="xai", base_url="https://api.x.ai/v1", price_source="x-ai", usage="xai"
        ),
        Vendor(
            kind="self-hosted-model",
            label="Self-hosted, OpenAI-compatible (vLLM, SGLang, Ollama …)",
            provider="self-hosted-model",
            base_url="",
            needs_key=False,
            abilities=frozenset({"responses", "files", "batches", "realtime"}),
        ),
    )
}

KIND_CHOICES = [(vendor.kind, vendor.label) for vendor in VENDORS.values()]


def base_url_choices() -> list[tuple[str, str, str]]:
    """Return every known address with the kind of account it is for and its label, for the console's suggestions."""
    found = []
    for vendor in VENDORS.values():
        regions = vendor.regions or ([(vendor.base_url, "default")] if vendor.base_url else [])
        found += [(address, vendor.kind, f"{vendor.label}: {region}") for address, region in regions]
    return found
