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


USAGE_SEMANTICS = ("openai", "xai", "deepseek", "google", "openrouter", "anthropic", "gemini")
"""How a vendor counts.

``openai``: the prompt includes cached tokens, the completion the reasoning. ``xai``: reasoning beside the completion.
``deepseek``: cache hits as ``prompt_cache_hit_tokens``. ``google``: thinking in the total only, at Gemini's
OpenAI-compatible address. ``openrouter``: as OpenAI, with the call's price in ``usage.cost``. These are read by
``providers.dialects.usage``, by ``tokens`` beside it: ``anthropic``: the input leaves out what the cache read and
wrote. ``gemini``: candidates leave out the thoughts.
"""


@dataclass(frozen=True, slots=True)
class Vendor:
    """One kind of provider account.

    ``provider`` is the value of the ``"provider"`` field in answers; ``price_source`` the provider id in the public
    price list (empty: none); ``stream_usage`` whether ``stream_options.include_usage`` is understood. ``auth`` says
    what may be stored to sign in with: a ``key`` only, or also a ``google`` service account or an ``entra``
    application, for which access tokens are fetched; ``headers`` are sent with every call. ``usage`` is one of
    ``USAGE_SEMANTICS``.

    Of chat parameters, ``renames`` maps OpenAI's names to the vendor's, ``drops`` are those that it refuses; ``top_k``,
    ``cache_marks`` (Anthropic's ``cache_control``), ``replays_reasoning`` (``reasoning_content`` of earlier turns) and
    ``signed_calls`` (Google's thought signatures) are what it takes beyond OpenAI's. ``default_models`` are what a new
    account may begin with; ``unnamed`` are the models that the vendor itself takes for calls that name none, by
    operation or model type.
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
    abilities: frozenset[str] = field(default_factory=frozenset)
    auth: str = "key"
    headers: tuple[tuple[str, str], ...] = ()
    usage: str = "openai"
    renames: tuple[tuple[str, str], ...] = ()
    drops: frozenset[str] = frozenset()
    top_k: bool = False
    cache_marks: bool = False
    replays_reasoning: bool = False
    signed_calls: bool = False
    default_models: tuple[str, ...] = ()
    unnamed: tuple[tuple[str, str], ...] = ()
    virtual: bool = False
    """Whether its accounts have no server: their models spread calls over models of other accounts."""


OLD_LIMIT = (("max_completion_tokens", "max_tokens"),)
"""Servers that only know the older name of the limit."""
OPENAI_ONLY = frozenset({"store", "metadata", "prediction", "service_tier", "web_search_options", "verbosity"})
"""Parameters of OpenAI's own platform that strict servers refuse."""

# The defaults in OpenAI's API description, version 2.3.0; it has none for realtime sessions, where the newest is meant.
OPENAI_UNNAMED = (
    ("moderation", "omni-moderation-latest"),
    ("image_generation", "dall-e-2"),
    ("image_edit", "gpt-image-1.5"),
    ("image_variation", "dall-e-2"),
    ("realtime", "gpt-realtime"),
    ("video", "sora-2"),
)

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

BEDROCK_REGIONS = tuple(
    (f"https://bedrock-runtime.{region}.amazonaws.com/openai/v1", region)
    for region in (
        "us-east-1",
        "us-east-2",
        "us-west-2",
        "eu-central-1",
        "eu-west-1",
        "ap-northeast-1",
        "ap-southeast-2",
    )
)

# Addresses and parameters as the vendors' documentation has them, November 2026.
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
                {
                    "responses",
                    "files",
                    "batches",
                    "fine_tuning",
                    "realtime",
                    "realtime_calls",
                    "uploads",
                    "conversations",
                }
            ),
            default_models=("gpt-5.6", "gpt-5.4-mini", "text-embedding-3-small"),
            unnamed=OPENAI_UNNAMED,
        ),
        Vendor(
            kind="azure-openai",
            label="Azure OpenAI (the resource's address)",
            provider="azure-openai",
            base_url="",
            auth="entra",
            auth_header="api-key",
            auth_prefix="",
            price_source="azure",
            abilities=frozenset({"responses", "files", "batches", "fine_tuning", "realtime", "realtime_calls"}),
        ),
        Vendor(
            kind="anthropic",
            label="Anthropic",
            provider="anthropic",
            base_url="https://api.anthropic.com/v1",
            dialect="anthropic",
            auth_header="x-api-key",
            auth_prefix="",
            headers=(("anthropic-version", "2023-06-01"),),
            price_source="anthropic",
            usage="anthropic",
            default_models=("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5"),
        ),
        Vendor(
            kind="google-gemini",
            label="Google Gemini",
            provider="google-gemini",
            base_url="https://generativelanguage.googleapis.com/v1beta",
            dialect="gemini",
            auth_header="x-goog-api-key",
            auth_prefix="",
            price_source="google",
            usage="gemini",
            default_models=("gemini-3.8-flash", "gemini-3.1-pro-preview", "gemini-embedding-001"),
        ),
        Vendor(
            kind="google-gemini-openai",
            label="Google Gemini (OpenAI-compatible address)",
            provider="google-gemini",
            base_url="https://generativelanguage.googleapis.com/v1beta/openai",
            price_source="google",
            usage="google",
            drops=OPENAI_ONLY | {"logit_bias", "user"},
            signed_calls=True,
            default_models=("gemini-3.8-flash", "gemini-3.1-pro-preview", "gemini-embedding-001"),
        ),
        Vendor(
            kind="google-vertex",
            label="Google Vertex AI (…/endpoints/openapi)",
            provider="google-vertex",
            base_url="",
            auth="google",
            price_source="google",
            usage="google",
            drops=OPENAI_ONLY | {"logit_bias", "user"},
            signed_calls=True,
            default_models=("google/gemini-3.8-flash",),
        ),
        Vendor(
            kind="aws-bedrock",
            label="Amazon Bedrock (OpenAI-compatible address, API key)",
            provider="aws-bedrock",
            base_url="https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1",
            regions=BEDROCK_REGIONS,
            price_source="aws",
            abilities=frozenset({"responses"}),
            default_models=("openai.gpt-oss-120b-1:0",),
        ),
        Vendor(
            kind="groq",
            label="Groq",
            provider="groq",
            base_url="https://api.groq.com/openai/v1",
            price_source="groq",
            drops=frozenset({"logit_bias", "logprobs", "top_logprobs", "prediction", "store", "verbosity"}),
            default_models=("openai/gpt-oss-120b", "llama-3.3-70b-versatile", "whisper-large-v3-turbo"),
        ),
        Vendor(
            kind="mistral-ai",
            label="Mistral AI",
            provider="mistral-ai",
            base_url="https://api.mistral.ai/v1",
            price_source="mistral",
            renames=(*OLD_LIMIT, ("seed", "random_seed")),
            drops=OPENAI_ONLY - {"prediction", "metadata"}
            | {"logit_bias", "logprobs", "top_logprobs", "user", "stream_options"},
            stream_usage=False,
            default_models=("mistral-large-latest", "mistral-small-latest", "mistral-embed"),
        ),
        Vendor(
            kind="deepseek",
            label="DeepSeek",
            provider="deepseek",
            base_url="https://api.deepseek.com/v1",
            price_source="deepseek",
            usage="deepseek",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY | {"logit_bias", "seed", "n", "parallel_tool_calls"},
            replays_reasoning=True,
            default_models=("deepseek-chat", "deepseek-reasoner"),
        ),
        Vendor(
            kind="together-ai",
            label="Together AI",
            provider="together-ai",
            base_url="https://api.together.xyz/v1",
            price_source="together",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY,
            top_k=True,
            default_models=("openai/gpt-oss-120b",),
        ),
        Vendor(
            kind="fireworks-ai",
            label="Fireworks AI",
            provider="fireworks-ai",
            base_url="https://api.fireworks.ai/inference/v1",
            price_source="fireworks",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY - {"prediction", "metadata"},
            top_k=True,
            default_models=("accounts/fireworks/models/gpt-oss-120b",),
        ),
        Vendor(
            kind="deepinfra",
            label="DeepInfra",
            provider="deepinfra",
            base_url="https://api.deepinfra.com/v1/openai",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY,
            top_k=True,
            default_models=("openai/gpt-oss-120b",),
        ),
        Vendor(
            kind="openrouter",
            label="OpenRouter",
            provider="openrouter",
            base_url="https://openrouter.ai/api/v1",
            price_source="openrouter",
            usage="openrouter",
            top_k=True,
            cache_marks=True,
            replays_reasoning=True,
            default_models=("openrouter/auto",),
        ),
        Vendor(
            kind="xai",
            label="xAI",
            provider="xai",
            base_url="https://api.x.ai/v1",
            price_source="x-ai",
            usage="xai",
            drops=frozenset({"logit_bias"}),
            abilities=frozenset({"responses"}),
            default_models=("grok-4.3",),
        ),
        Vendor(
            kind="perplexity-ai",
            label="Perplexity",
            provider="perplexity-ai",
            base_url="https://api.perplexity.ai",
            price_source="perplexity",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY - {"web_search_options"}
            | {"logit_bias", "logprobs", "top_logprobs", "n", "seed", "tools", "tool_choice", "parallel_tool_calls"},
            default_models=("sonar", "sonar-pro"),
        ),
        Vendor(
            kind="cerebras",
            label="Cerebras",
            provider="cerebras",
            base_url="https://api.cerebras.ai/v1",
            price_source="cerebras",
            drops=OPENAI_ONLY - {"service_tier", "prediction"}
            | {"frequency_penalty", "presence_penalty", "logit_bias", "n"},
            default_models=("gpt-oss-120b",),
        ),
        Vendor(
            kind="virtual-model",
            label="Virtual models (routing over other accounts)",
            provider="virtual-model",
            base_url="",
            needs_key=False,
            virtual=True,
        ),
        Vendor(
            kind="sambanova",
            label="SambaNova",
            provider="sambanova",
            base_url="https://api.sambanova.ai/v1",
            price_source="huggingface_sambanova",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY
            | {"logit_bias", "logprobs", "top_logprobs", "n", "presence_penalty", "frequency_penalty", "seed"},
            top_k=True,
            default_models=("Meta-Llama-3.3-70B-Instruct", "gpt-oss-120b"),
        ),
        Vendor(
            kind="nebius",
            label="Nebius Token Factory",
            provider="nebius",
            base_url="https://api.tokenfactory.nebius.com/v1",
            price_source="huggingface_nebius",
            renames=OLD_LIMIT,
            top_k=True,
            default_models=("openai/gpt-oss-120b",),
        ),
        Vendor(
            kind="moonshot",
            label="Moonshot AI (Kimi)",
            provider="moonshot",
            base_url="https://api.moonshot.ai/v1",
            regions=(("https://api.moonshot.ai/v1", "International"), ("https://api.moonshot.cn/v1", "China")),
            price_source="moonshotai",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY | {"logit_bias", "logprobs", "top_logprobs", "seed", "parallel_tool_calls"},
            replays_reasoning=True,
            default_models=("kimi-k2.6",),
        ),
        Vendor(
            kind="zai",
            label="Z.ai (GLM)",
            provider="zai",
            base_url="https://api.z.ai/api/paas/v4",
            regions=(
                ("https://api.z.ai/api/paas/v4", "International"),
                ("https://open.bigmodel.cn/api/paas/v4", "China"),
            ),
            price_source="zai",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY
            | {"logit_bias", "logprobs", "top_logprobs", "n", "seed", "presence_penalty", "frequency_penalty"}
            | {"parallel_tool_calls"},
            default_models=("glm-5.2",),
        ),
        Vendor(
            kind="cohere",
            label="Cohere",
            provider="cohere",
            base_url="https://api.cohere.ai/compatibility/v1",
            price_source="cohere",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY | {"logit_bias", "top_logprobs", "n", "parallel_tool_calls", "modalities", "user"},
            default_models=("command-a-03-2025", "embed-v4.0"),
        ),
        Vendor(
            kind="jina-ai",
            label="Jina AI",
            provider="jina-ai",
            base_url="https://api.jina.ai/v1",
            default_models=("jina-embeddings-v4", "jina-reranker-v3"),
        ),
        Vendor(
            kind="voyage-ai",
            label="Voyage AI",
            provider="voyage-ai",
            base_url="https://api.voyageai.com/v1",
            default_models=("voyage-3.5", "rerank-2.5"),
        ),
        Vendor(
            kind="databricks",
            label="Databricks (…/serving-endpoints)",
            provider="databricks",
            base_url="",
            price_source="databricks",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY
            | {"logit_bias", "seed", "presence_penalty", "frequency_penalty", "parallel_tool_calls", "user"},
            top_k=True,
            cache_marks=True,
        ),
        Vendor(
            kind="snowflake-cortex",
            label="Snowflake Cortex (…/api/v2/cortex/v1)",
            provider="snowflake-cortex",
            base_url="",
            drops=OPENAI_ONLY | {"logit_bias", "seed", "n"},
            default_models=("claude-sonnet-4-5", "llama3.3-70b"),
        ),
        Vendor(
            kind="github-models",
            label="GitHub Models",
            provider="github-models",
            base_url="https://models.github.ai/inference",
            drops=frozenset({"store", "metadata", "service_tier"}),
            default_models=("openai/gpt-4.1",),
        ),
        Vendor(
            kind="huggingface",
            label="Hugging Face router",
            provider="huggingface",
            base_url="https://router.huggingface.co/v1",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY,
            default_models=("openai/gpt-oss-120b",),
        ),
        Vendor(
            kind="self-hosted-model",
            label="Self-hosted or other, OpenAI-compatible",
            provider="self-hosted-model",
            base_url="",
            needs_key=False,
            abilities=frozenset({"responses", "files", "batches", "realtime", "realtime_calls"}),
        ),
        Vendor(
            kind="ollama",
            label="Ollama (http://host:11434/v1)",
            provider="ollama",
            base_url="",
            needs_key=False,
            renames=OLD_LIMIT,
            abilities=frozenset({"responses"}),
        ),
        Vendor(
            kind="vllm",
            label="vLLM (http://host:8000/v1)",
            provider="vllm",
            base_url="",
            needs_key=False,
            top_k=True,
            abilities=frozenset({"responses"}),
        ),
        Vendor(
            kind="sglang",
            label="SGLang (http://host:30000/v1)",
            provider="sglang",
            base_url="",
            needs_key=False,
            top_k=True,
        ),
        Vendor(
            kind="lm-studio",
            label="LM Studio (http://host:1234/v1)",
            provider="lm-studio",
            base_url="",
            needs_key=False,
            renames=OLD_LIMIT,
            top_k=True,
            abilities=frozenset({"responses"}),
        ),
        Vendor(
            kind="llama-cpp",
            label="llama.cpp (http://host:8080/v1)",
            provider="llama-cpp",
            base_url="",
            needs_key=False,
            renames=OLD_LIMIT,
            top_k=True,
        ),
        Vendor(
            kind="tei",
            label="Text Embeddings Inference (http://host:8080/v1)",
            provider="tei",
            base_url="",
            needs_key=False,
        ),
        Vendor(
            kind="tgi",
            label="Text Generation Inference (http://host:8080/v1)",
            provider="tgi",
            base_url="",
            needs_key=False,
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY,
        ),
    )
}


def vendor_of(kind: str, url: str) -> Vendor:
    """Return the row of an account: of its kind, but for Gemini's OpenAI-compatible address, which its older accounts
    have.
    """
    return VENDORS["google-gemini-openai" if kind == "google-gemini" and url.endswith("/openai") else kind]


def kind_choices() -> list[tuple[str, str]]:
    """Return the kinds with their labels. A function, so that a new row needs no migration."""
    return [(vendor.kind, vendor.label) for vendor in VENDORS.values()]


def base_url_choices() -> list[tuple[str, str, str]]:
    """Return every known address with the kind of account it is for and its label, for the console's suggestions."""
    found = []
    for vendor in VENDORS.values():
        regions = vendor.regions or ([(vendor.base_url, "default")] if vendor.base_url else [])
        found += [(address, vendor.kind, f"{vendor.label}: {region}") for address, region in regions]
    return found
