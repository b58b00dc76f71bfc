"""What the fields of accounts and models may hold."""

from collections.abc import Iterable

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
"""What a model may be called for: the contract's model types, then ours: videos, and the two kinds of work that finish
later.
"""

UNNAMED = ("moderation", "image", "image_generation", "image_edit", "image_variation", "responses", "realtime", "video")
"""What OpenAI asks for no model: the keys of an account's ``default_models``, each an operation or a model type."""


def default_models_fault(value: object) -> str | None:
    """Say what is wrong with an account's default models, or ``None``."""
    if not isinstance(value, dict) or not all(isinstance(name, str) and name.strip() for name in value.values()):
        return 'Give a JSON object of names, for example {"image_generation": "gpt-image-1"}.'
    unknown = next((key for key in value if key not in UNNAMED), None)
    return f"{unknown!r} is not valid here. Valid keys: {', '.join(UNNAMED)}." if unknown is not None else None


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
            valid = ", ".join(RESOURCE_SWITCHES)
            return f"{name!r} is not a valid resource. Valid values: {valid}; or {ALL_RESOURCES} for all."
    return None
