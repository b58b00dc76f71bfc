"""Make ``providers/catalogue/catalogue.json`` again: run it when OpenAI's models change.

    python tools/build_catalogue.py MODELROSTER/data/openai.json > providers/catalogue/catalogue.json

The argument is the data file of the package ``modelroster`` (MIT), which is made from OpenAI's own model pages. What
those pages leave out or no longer list is added below by hand, each from OpenAI's documentation or deprecations page.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

# The roster's endpoint -> what a model may be called for.
ENDPOINTS = {
    "chat_completions": "chat",
    "completions_legacy": "completion",
    "embeddings": "embedding",
    "responses": "responses",
    "image_generation": "image",
    "image_edit": "image",
    "transcription": "audio_transcription",
    "translation": "audio_translation",
    "speech_generation": "text_to_speech",
    "moderation": "moderation",
    "realtime": "realtime",
    "realtime_transcription": "realtime",
    "realtime_translation": "realtime",
    "batch": "batch",
    "fine_tuning": "fine_tuning",
}
MODEL_TYPES = tuple(dict.fromkeys(ENDPOINTS.values()))
CAPABILITIES = {"tool_calling": "tools", "structured_outputs": "json_schema", "reasoning": "reasoning"}
FEATURES = ("streaming", "tools", "vision", "pdf", "audio_input", "json_schema", "reasoning", "prompt_caching")
SNAPSHOT = re.compile(r"-(?:\d{4}-\d\d-\d\d|\d{4})$")

REASONER = ["streaming", "tools", "vision", "pdf", "json_schema", "reasoning"]
CHAT_AUDIO = {"model_types": ["chat"], "features": ["streaming", "tools", "audio_input"], "context_window": 128000}
LEGACY_REALTIME = {"model_types": ["realtime"], "features": ["tools", "audio_input", "prompt_caching"]}
DALL_E = {"model_types": ["image"], "deprecated_on": "2026-05-12"}
INSTRUCT = {
    "model_types": ["completion"],
    "features": ["streaming"],
    "context_window": 4096,
    "max_output_tokens": 4096,
    "deprecated_on": "2026-09-28",
}
# Models that OpenAI's pages no longer show, but that applications still name.
ADDED: dict[str, dict[str, Any]] = {
    "dall-e-2": DALL_E,
    "dall-e-3": DALL_E,
    "text-moderation-latest": {"model_types": ["moderation"], "deprecated_on": "2025-10-27"},
    "gpt-4o-realtime-preview": {**LEGACY_REALTIME, "context_window": 32000, "deprecated_on": "2026-05-07"},
    "gpt-4o-mini-realtime-preview": {**LEGACY_REALTIME, "context_window": 16000, "deprecated_on": "2026-05-07"},
    "gpt-4o-audio-preview": {**CHAT_AUDIO, "max_output_tokens": 16384, "deprecated_on": "2026-05-07"},
    "gpt-4o-mini-audio-preview": {**CHAT_AUDIO, "max_output_tokens": 16384, "deprecated_on": "2026-07-23"},
    "gpt-3.5-turbo-instruct": INSTRUCT,
    "gpt-3.5-turbo-instruct-0914": INSTRUCT,
    "gpt-5-search-api": {"model_types": ["chat"], "features": ["streaming", "json_schema"]},
    "gpt-6.1-terra": {
        "model_types": ["chat", "responses", "batch"],
        "features": [*REASONER, "prompt_caching"],
        "context_window": 1050000,
        "max_output_tokens": 128000,
    },
    "o3-pro": {
        "model_types": ["responses", "batch"],
        "features": [feature for feature in REASONER if feature != "streaming"],
        "context_window": 200000,
        "max_output_tokens": 100000,
        "deprecated_on": "2026-12-11",
    },
    "o3-deep-research": {
        "model_types": ["responses", "batch"],
        "features": ["streaming", "vision", "pdf", "reasoning", "prompt_caching"],
        "context_window": 200000,
        "max_output_tokens": 100000,
        "deprecated_on": "2026-07-23",
    },
}
# What the model pages don't say, though the API does it.
MORE_FEATURES = {
    "gpt-3.5-turbo": ["tools"],
    "gpt-4": ["tools"],
    "babbage-002": ["streaming"],
    "davinci-002": ["streaming"],
    "gpt-4o-mini-tts": ["streaming"],
    "gpt-4o-transcribe": ["streaming", "audio_input"],
    "gpt-4o-transcribe-diarize": ["streaming", "audio_input"],
    "gpt-4o-mini-transcribe": ["streaming", "audio_input"],
    "gpt-transcribe": ["streaming", "audio_input"],
    "whisper-1": ["audio_input"],
}
# What a snapshot can't do, though the model of its name can.
FEWER_FEATURES = {"gpt-4o-2024-05-13": {"json_schema", "prompt_caching"}}
NO_FINE_TUNING = {"gpt-4o-2024-05-13", "gpt-4o-2024-11-20"}
BASE_MODEL_WINDOW = 16384
MORE_TYPES = {"whisper-1": ["audio_transcription", "audio_translation"], "omni-moderation-latest": ["moderation"]}
EMBEDDING_INPUT_TOKENS = 8192
NO_PDF = ("gpt-4-turbo", "gpt-3.5")


# Models of Anthropic and Google, by hand from their model pages: context window and longest answer.
CLAUDE = {
    "claude-fable-5-2": (1_000_000, 128_000),
    "claude-haiku-4-5": (200_000, 64_000),
    "claude-haiku-5-5": (1_000_000, 128_000),
    "claude-opus-4-5": (200_000, 64_000),
    "claude-opus-4-6": (1_000_000, 128_000),
    "claude-opus-4-7": (1_000_000, 128_000),
    "claude-opus-4-8": (1_000_000, 128_000),
    "claude-opus-5": (1_000_000, 128_000),
    "claude-opus-5-5": (1_000_000, 128_000),
    "claude-sonnet-4-5": (200_000, 64_000),
    "claude-sonnet-4-6": (1_000_000, 128_000),
    "claude-sonnet-5": (1_000_000, 128_000),
    "claude-sonnet-5-5": (1_000_000, 128_000),
}
GEMINI = {
    "gemini-2.0-flash": (1_048_576, 8192),
    "gemini-2.5-flash": (1_048_576, 65_536),
    "gemini-2.5-flash-lite": (1_048_576, 65_536),
    "gemini-2.5-pro": (1_048_576, 65_536),
    "gemini-3-flash-preview": (1_048_576, 65_536),
    "gemini-3.1-pro-preview": (1_048_576, 65_536),
    "gemini-3.5-flash": (1_048_576, 65_536),
    "gemini-3.8-flash": (1_048_576, 65_536),
}
GEMINI_MEDIA: list[dict[str, Any]] = [
    {"name": "gemini-2.5-flash-image", "model_types": ["image"], "features": [], "context_window": 32_768},
    {"name": "gemini-embedding-001", "model_types": ["embedding"], "features": [], "context_window": 2048},
    {"name": "gemini-embedding-2", "model_types": ["embedding"], "features": [], "context_window": 8192},
    {"name": "gemini-3.1-flash-tts-preview", "model_types": ["text_to_speech"], "features": [], "context_window": 8192},
]
# Models that Bedrock has under their plain names, behind a prefix; and what Vertex AI calls older ones.
BEDROCK = ("claude-fable-5-2", "claude-haiku-5-5", "claude-opus-5", "claude-opus-5-5", "claude-sonnet-5-5")
VERTEX_CLAUDE = {
    "claude-haiku-4-5": "claude-haiku-4-5@20251001",
    "claude-opus-4-5": "claude-opus-4-5@20251101",
    "claude-sonnet-4-5": "claude-sonnet-4-5@20250929",
}
VERTEX_MEDIA = GEMINI_MEDIA[:-1]  # Vertex AI has other names for models that speak
CLAUDE_FEATURES = ["streaming", "tools", "vision", "pdf", "json_schema", "reasoning", "prompt_caching"]
GEMINI_FEATURES = ["streaming", "tools", "vision", "pdf", "audio_input", "json_schema", "reasoning", "prompt_caching"]


def others() -> dict[str, list[dict[str, Any]]]:
    """Return the rows of the vendors that the roster does not have, by kind of account."""

    def chat(name: str, features: list[str], facts: tuple[int, int]) -> dict[str, Any]:
        window, output = facts
        made = {"name": name, "model_types": ["chat"], "features": features}
        return made | {"context_window": window, "max_output_tokens": output}

    old = [feature for feature in GEMINI_FEATURES if feature != "reasoning"]
    gemini = [chat(name, old if "2.0" in name else GEMINI_FEATURES, facts) for name, facts in GEMINI.items()]
    claude = [chat(name, CLAUDE_FEATURES, facts) for name, facts in CLAUDE.items()]
    return {
        "anthropic": claude,
        "azure-anthropic": claude,
        "aws-bedrock-anthropic": [
            {**row, "name": f"global.anthropic.{row['name']}"} for row in claude if row["name"] in BEDROCK
        ],
        "google-vertex-anthropic": [{**row, "name": VERTEX_CLAUDE.get(row["name"], row["name"])} for row in claude],
        "google-gemini": sorted([*gemini, *GEMINI_MEDIA], key=lambda made: str(made["name"])),
        "google-vertex": sorted([*gemini, *VERTEX_MEDIA], key=lambda made: str(made["name"])),
    }


def row(model: dict[str, Any]) -> dict[str, Any]:
    """Return the catalogue's row for a record of the roster."""
    name = model["model_id"]
    types = {ENDPOINTS[key] for key, offered in model["endpoints"].items() if offered and key in ENDPOINTS}
    types.update(MORE_TYPES.get(name, ()))
    if "image" in types:
        types.discard("responses")  # there it is a tool of another model
    made: dict[str, Any] = {"name": name, "model_types": [key for key in MODEL_TYPES if key in types]}
    features = set(MORE_FEATURES.get(name, ()))
    if types & {"chat", "responses", "realtime"} and "audio_transcription" not in types:
        features |= _call_features(model, types)
    if name.startswith(("gpt-image-", "chatgpt-image-")):
        features.add("streaming")
    made["features"] = [key for key in FEATURES if key in features]
    window = model["context_window"] or (EMBEDDING_INPUT_TOKENS if "embedding" in types else None)
    if types == {"completion"}:
        window = BASE_MODEL_WINDOW
    for key, value in (
        ("context_window", window),
        ("max_output_tokens", model["max_output_tokens"]),
        ("deprecated_on", model["shutdown_date"]),
    ):
        if value:
            made[key] = value
    return made


def _call_features(model: dict[str, Any], types: set[str]) -> set[str]:
    name, capabilities = model["model_id"], model["capabilities"]
    features = {feature for key, feature in CAPABILITIES.items() if capabilities[key]}
    if capabilities["streaming"] or "chat" in types:
        features.add("streaming")
    if capabilities["prompt_caching"] or (model["pricing"] or {}).get("cached_input"):
        features.add("prompt_caching")
    modalities = model["modalities"]
    if modalities["image"]["input"]:
        features.add("vision")
        if types & {"chat", "responses"} and not name.startswith(NO_PDF):
            features.add("pdf")
    if modalities["audio"]["input"]:
        features.add("audio_input")
    return features


def build(roster: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all rows, sorted by name. A dated snapshot without a page of its own takes its model's facts."""
    records = roster["models"]
    models = {model["model_id"]: model for model in (records if isinstance(records, list) else records.values())}
    rows = {name: made for name, model in models.items() if (made := row(model))["model_types"]}
    for name, fields in ADDED.items():
        rows[name] = {"name": name, "model_types": fields["model_types"], "features": [], **fields}
    for name, model in models.items():
        base_name = SNAPSHOT.sub("", name)
        if name not in rows and base_name in rows:
            rows[name] = _snapshot_row(model, rows[base_name], models.get(base_name, {}))
    for name, made in rows.items():
        snapshot = rows.get((models.get(name) or {}).get("default_snapshot") or "", {})
        if "deprecated_on" not in made and "deprecated_on" in snapshot:
            made["deprecated_on"] = snapshot["deprecated_on"]
    return [rows[name] for name in sorted(rows)]


def _snapshot_row(model: dict[str, Any], base_row: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    name = model["model_id"]
    made = base_row | {"name": name}
    made["features"] = [key for key in made["features"] if key not in FEWER_FEATURES.get(name, ())]
    if name in NO_FINE_TUNING:
        made["model_types"] = [key for key in made["model_types"] if key != "fine_tuning"]
    if model["shutdown_date"]:
        made["deprecated_on"] = model["shutdown_date"]
    elif base.get("default_snapshot", name) != name:
        made.pop("deprecated_on", None)
    return made


def main() -> None:
    """Write the catalogue to standard output, a line per model."""
    roster = json.loads(Path(sys.argv[1]).read_text())
    print(text(roster["retrieved_at"][:10], {"openai": build(roster), **others()}))


def text(retrieved: str, kinds: dict[str, list[dict[str, Any]]]) -> str:
    """Return the catalogue as JSON, a line per model."""
    lists = []
    for kind, rows in kinds.items():
        lines = ",\n".join(f"    {json.dumps(made)}" for made in rows)
        lists.append(f"  {json.dumps(kind)}: [\n{lines}\n  ]")
    return f'{{\n  "retrieved": {json.dumps(retrieved)},\n' + ",\n".join(lists) + "\n}"


if __name__ == "__main__":
    main()
