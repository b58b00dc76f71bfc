"""The vendors that Gatehouse knows, a row each: address, auth, wire dialect and abilities. Abilities are opted in."""

import re

from providers import azure
from providers.regions import BEDROCK_CLAUDE_REGIONS, BEDROCK_REGIONS, OPENAI_REGIONS
from providers.vendor_row import Vendor

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

ANTHROPIC_VERSION = (("anthropic-version", "2023-06-01"),)
CLAUDE_MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5")
GEMINI_MODELS = ("gemini-3.8-flash", "gemini-3.1-pro-preview", "gemini-embedding-001")
AZURE_ABILITIES = frozenset({"responses", "files", "batches", "fine_tuning", "realtime"})

# Addresses and parameters as the vendors' documentation has them, November 2026.
VENDORS: dict[str, Vendor] = {
    row.kind: row
    for row in (
        Vendor(
            "openai",
            "OpenAI",
            "https://api.openai.com/v1",
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
            tool_models=(("image_generation", "gpt-image-1"),),  # as OpenAI's API description says
        ),
        Vendor(
            "azure-openai",
            "Azure OpenAI (…/openai/v1)",
            auth="entra",
            auth_header="api-key",
            auth_prefix="",
            price_source="azure",
            abilities=AZURE_ABILITIES | {"realtime_calls", "conversations"},
            deployments=True,
            lacks=azure.LACKS,
        ),
        Vendor(
            "azure-openai-dated",
            "Azure OpenAI (deployments and a dated API version, …/openai)",
            provider="azure-openai",
            auth="entra",
            auth_header="api-key",
            auth_prefix="",
            price_source="azure",
            abilities=AZURE_ABILITIES,
            deployments=True,
            api_version=azure.NEWEST_VERSION,
            lacks=azure.DATED_LACKS,
        ),
        Vendor(
            "anthropic",
            "Anthropic",
            "https://api.anthropic.com/v1",
            dialect="anthropic",
            auth_header="x-api-key",
            auth_prefix="",
            headers=ANTHROPIC_VERSION,
            price_source="anthropic",
            usage="anthropic",
            default_models=CLAUDE_MODELS,
        ),
        Vendor(
            "google-vertex-anthropic",
            "Claude on Google Vertex AI (…/v1/projects/PROJECT/locations/LOCATION)",
            provider="google-vertex",
            dialect="anthropic",
            auth="google",
            auth_header="x-goog-api-key",
            auth_prefix="",
            price_source="google",
            usage="anthropic",
            default_models=CLAUDE_MODELS,
            vertex=True,
        ),
        Vendor(
            "aws-bedrock-anthropic",
            "Claude on Amazon Bedrock (API key)",
            "https://bedrock-runtime.us-east-1.amazonaws.com/anthropic/v1",
            provider="aws-bedrock",
            dialect="anthropic",
            regions=BEDROCK_CLAUDE_REGIONS,
            headers=ANTHROPIC_VERSION,
            price_source="aws",
            usage="anthropic",
            default_models=("global.anthropic.claude-opus-5-5", "global.anthropic.claude-sonnet-5-5"),
        ),
        Vendor(
            "azure-anthropic",
            "Claude in Microsoft Foundry (…/anthropic/v1)",
            dialect="anthropic",
            auth="entra",
            auth_header="x-api-key",
            auth_prefix="",
            headers=ANTHROPIC_VERSION,
            price_source="anthropic",
            usage="anthropic",
            default_models=CLAUDE_MODELS,
        ),
        Vendor(
            "google-gemini",
            "Google Gemini",
            "https://generativelanguage.googleapis.com/v1beta",
            dialect="gemini",
            auth_header="x-goog-api-key",
            auth_prefix="",
            price_source="google",
            usage="gemini",
            default_models=GEMINI_MODELS,
        ),
        Vendor(
            "google-gemini-openai",
            "Google Gemini (OpenAI-compatible address)",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            provider="google-gemini",
            price_source="google",
            usage="google",
            drops=OPENAI_ONLY | {"logit_bias", "user"},
            signed_calls=True,
            default_models=GEMINI_MODELS,
        ),
        Vendor(
            "google-vertex",
            "Google Vertex AI (…/v1/projects/PROJECT/locations/LOCATION)",
            dialect="gemini",
            auth="google",
            auth_header="x-goog-api-key",
            auth_prefix="",
            price_source="google",
            usage="gemini",
            default_models=GEMINI_MODELS,
            vertex=True,
        ),
        Vendor(
            "google-vertex-openai",
            "Google Vertex AI (OpenAI-compatible address, …/endpoints/openapi)",
            provider="google-vertex",
            auth="google",
            price_source="google",
            usage="google",
            drops=OPENAI_ONLY | {"logit_bias", "user"},
            signed_calls=True,
            default_models=("google/gemini-3.8-flash",),
        ),
        Vendor(
            "aws-bedrock",
            "Amazon Bedrock (OpenAI-compatible address, API key)",
            "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1",
            regions=BEDROCK_REGIONS,
            price_source="aws",
            abilities=frozenset({"responses"}),
            default_models=("openai.gpt-oss-120b-1:0",),
        ),
        Vendor(
            "groq",
            "Groq",
            "https://api.groq.com/openai/v1",
            price_source="groq",
            drops=frozenset({"logit_bias", "logprobs", "top_logprobs", "prediction", "store", "verbosity"}),
            default_models=("openai/gpt-oss-120b", "llama-3.3-70b-versatile", "whisper-large-v3-turbo"),
        ),
        Vendor(
            "mistral-ai",
            "Mistral AI",
            "https://api.mistral.ai/v1",
            price_source="mistral",
            renames=(*OLD_LIMIT, ("seed", "random_seed")),
            drops=OPENAI_ONLY - {"prediction", "metadata"}
            | {"logit_bias", "logprobs", "top_logprobs", "user", "stream_options"},
            stream_usage=False,
            default_models=("mistral-large-latest", "mistral-small-latest", "mistral-embed"),
        ),
        Vendor(
            "deepseek",
            "DeepSeek",
            "https://api.deepseek.com/v1",
            price_source="deepseek",
            usage="deepseek",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY | {"logit_bias", "seed", "n", "parallel_tool_calls"},
            replays_reasoning=True,
            default_models=("deepseek-chat", "deepseek-reasoner"),
        ),
        Vendor(
            "together-ai",
            "Together AI",
            "https://api.together.xyz/v1",
            price_source="together",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY,
            top_k=True,
            default_models=("openai/gpt-oss-120b",),
        ),
        Vendor(
            "fireworks-ai",
            "Fireworks AI",
            "https://api.fireworks.ai/inference/v1",
            price_source="fireworks",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY - {"prediction", "metadata"},
            top_k=True,
            default_models=("accounts/fireworks/models/gpt-oss-120b",),
        ),
        Vendor(
            "deepinfra",
            "DeepInfra",
            "https://api.deepinfra.com/v1/openai",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY,
            top_k=True,
            default_models=("openai/gpt-oss-120b",),
        ),
        Vendor(
            "openrouter",
            "OpenRouter",
            "https://openrouter.ai/api/v1",
            price_source="openrouter",
            usage="openrouter",
            top_k=True,
            cache_marks=True,
            replays_reasoning=True,
            default_models=("openrouter/auto",),
        ),
        Vendor(
            "xai",
            "xAI",
            "https://api.x.ai/v1",
            price_source="x-ai",
            usage="xai",
            drops=frozenset({"logit_bias"}),
            abilities=frozenset({"responses"}),
            default_models=("grok-4.3",),
        ),
        Vendor(
            "perplexity-ai",
            "Perplexity",
            "https://api.perplexity.ai",
            price_source="perplexity",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY - {"web_search_options"}
            | {"logit_bias", "logprobs", "top_logprobs", "n", "seed", "tools", "tool_choice", "parallel_tool_calls"},
            default_models=("sonar", "sonar-pro"),
        ),
        Vendor(
            "cerebras",
            "Cerebras",
            "https://api.cerebras.ai/v1",
            price_source="cerebras",
            drops=OPENAI_ONLY - {"service_tier", "prediction"}
            | {"frequency_penalty", "presence_penalty", "logit_bias", "n"},
            default_models=("gpt-oss-120b",),
        ),
        Vendor("virtual-model", "Virtual models (routing over other accounts)", needs_key=False, virtual=True),
        Vendor(
            "sambanova",
            "SambaNova",
            "https://api.sambanova.ai/v1",
            price_source="huggingface_sambanova",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY
            | {"logit_bias", "logprobs", "top_logprobs", "n", "presence_penalty", "frequency_penalty", "seed"},
            top_k=True,
            default_models=("Meta-Llama-3.3-70B-Instruct", "gpt-oss-120b"),
        ),
        Vendor(
            "nebius",
            "Nebius Token Factory",
            "https://api.tokenfactory.nebius.com/v1",
            price_source="huggingface_nebius",
            renames=OLD_LIMIT,
            top_k=True,
            default_models=("openai/gpt-oss-120b",),
        ),
        Vendor(
            "moonshot",
            "Moonshot AI (Kimi)",
            "https://api.moonshot.ai/v1",
            regions=(("https://api.moonshot.ai/v1", "International"), ("https://api.moonshot.cn/v1", "China")),
            price_source="moonshotai",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY | {"logit_bias", "logprobs", "top_logprobs", "seed", "parallel_tool_calls"},
            replays_reasoning=True,
            default_models=("kimi-k2.6",),
        ),
        Vendor(
            "zai",
            "Z.ai (GLM)",
            "https://api.z.ai/api/paas/v4",
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
            "cohere",
            "Cohere",
            "https://api.cohere.ai/compatibility/v1",
            price_source="cohere",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY | {"logit_bias", "top_logprobs", "n", "parallel_tool_calls", "modalities", "user"},
            default_models=("command-a-03-2025", "embed-v4.0"),
        ),
        Vendor(
            "jina-ai", "Jina AI", "https://api.jina.ai/v1", default_models=("jina-embeddings-v4", "jina-reranker-v3")
        ),
        Vendor("voyage-ai", "Voyage AI", "https://api.voyageai.com/v1", default_models=("voyage-3.5", "rerank-2.5")),
        Vendor(
            "databricks",
            "Databricks (…/serving-endpoints)",
            price_source="databricks",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY
            | {"logit_bias", "seed", "presence_penalty", "frequency_penalty", "parallel_tool_calls", "user"},
            top_k=True,
            cache_marks=True,
        ),
        Vendor(
            "snowflake-cortex",
            "Snowflake Cortex (…/api/v2/cortex/v1)",
            drops=OPENAI_ONLY | {"logit_bias", "seed", "n"},
            default_models=("claude-sonnet-4-5", "llama3.3-70b"),
        ),
        Vendor(
            "github-models",
            "GitHub Models",
            "https://models.github.ai/inference",
            drops=frozenset({"store", "metadata", "service_tier"}),
            default_models=("openai/gpt-4.1",),
        ),
        Vendor(
            "huggingface",
            "Hugging Face router",
            "https://router.huggingface.co/v1",
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY,
            default_models=("openai/gpt-oss-120b",),
        ),
        Vendor(
            "self-hosted-model",
            "Self-hosted or other, OpenAI-compatible",
            needs_key=False,
            abilities=frozenset({"responses", "files", "batches", "realtime", "realtime_calls"}),
        ),
        Vendor(
            "ollama",
            "Ollama (http://host:11434/v1)",
            needs_key=False,
            renames=OLD_LIMIT,
            abilities=frozenset({"responses"}),
        ),
        Vendor("vllm", "vLLM (http://host:8000/v1)", needs_key=False, top_k=True, abilities=frozenset({"responses"})),
        Vendor("sglang", "SGLang (http://host:30000/v1)", needs_key=False, top_k=True),
        Vendor(
            "lm-studio",
            "LM Studio (http://host:1234/v1)",
            needs_key=False,
            renames=OLD_LIMIT,
            top_k=True,
            abilities=frozenset({"responses"}),
        ),
        Vendor("llama-cpp", "llama.cpp (http://host:8080/v1)", needs_key=False, renames=OLD_LIMIT, top_k=True),
        Vendor("tei", "Text Embeddings Inference (http://host:8080/v1)", needs_key=False),
        Vendor(
            "tgi",
            "Text Generation Inference (http://host:8080/v1)",
            needs_key=False,
            renames=OLD_LIMIT,
            drops=OPENAI_ONLY,
        ),
    )
}


AZURE_KINDS = frozenset({"azure-openai", "azure-openai-dated"})
VERTEX_LOCATION = re.compile(r"/projects/[^/]+/locations/[^/]+/?$")
"""How an address ends below which Vertex AI is called in Google's own words."""


def vendor_of(kind: str, url: str) -> Vendor:
    """Return the row of an account: of its kind, but for Google's OpenAI-compatible addresses, which older accounts of
    its kinds have, and for Azure's two surfaces.
    """
    if kind == "google-gemini" and url.endswith("/openai"):
        return VENDORS["google-gemini-openai"]
    if kind == "google-vertex" and not VERTEX_LOCATION.search(url):
        return VENDORS["google-vertex-openai"]
    if kind in AZURE_KINDS and url.endswith(("/openai", "/openai/v1")):
        return VENDORS["azure-openai" if url.endswith("/v1") else "azure-openai-dated"]
    return VENDORS[kind]


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
