"""Which fields of a body name models, and which name objects that callers have at a provider. Pure.

Calls are read by these, and what a routing sets for all of its callers may have none of them.
"""

# What callers keep in a body, call things, or describe by a schema: a "model" in there is a word like any other.
INERT_FIELDS = frozenset(
    {
        "arguments",
        "attributes",
        "chat_template_kwargs",
        "client_metadata",
        "env",
        "headers",
        "input_schema",
        "item",
        "item_schema",
        "metadata",
        "parameters",
        "properties",
        "sample",
        "schema",
        "trace",
        "variables",
    }
)
# Fields that name models, besides those that end in "model" or "models". Some servers, Go's among them, take any case
# for them.
NAMING_FIELDS = frozenset({"deployment", "deployment_id", "fallback", "fallbacks"})
# Fields that do so at a body's top level alone: below it, an engine is a search's or a parser's.
TOP_NAMING_FIELDS = frozenset({"engine"})
NAMING_ENDS = (
    "model",
    "models",
    "model_list",
    "modellist",
    "model_version",
    "modelversion",
    "model_arn",
    "modelarn",
    "llm",
    "deployment_name",
    "deploymentname",
    "deploymentid",
    "fallbacks",
    "model_id",
    "model_ids",
    "model_name",
    "model_names",
    "modelid",
    "modelids",
    "modelname",
)
# Fields that name what the vendor keeps under a name, models and all: OpenRouter's and Perplexity's presets, Azure's
# agents, the stored prompts of LiteLLM and Helicone.
CONFIGURING_FIELDS = frozenset({"agent", "agent_reference", "preset", "prompt_id"})
# Tools that use a model of the vendor's choice when they name none, by their type.
MODEL_TOOLS = frozenset({"image_generation"})
# Fields whose value is the id of an object, a list of ids, or an object with an ``id``, recognized by its name only.
REFERENCE_FIELDS = frozenset(
    {
        "assistant_id",
        "audio",
        "batch_id",
        "comparison_response_id",
        "container",
        "container_id",
        "conversation",
        "error_file_id",
        "eval_id",
        "file_id",
        "file_ids",
        "input_file_id",
        "output_file_id",
        "previous_response_id",
        "response_id",
        "skill_id",
        "thread_id",
        "training_file",
        "upload_id",
        "validation_file",
        "vector_store_id",
        "vector_store_ids",
        "video_id",
        "voice",
    }
)
# Ids without this beginning are the vendor's own, for everyone, or no ids.
OWN_PREFIXES = {"audio": "audio_", "voice": "voice_", "skill_id": "skill_"}
# Names that Anthropic's and Google's dialects have beside those.
NATIVE_FIELDS = frozenset(
    {
        "cachedContent",
        "cached_content",
        "datastore",
        "fileSearchStoreNames",
        "file_search_store_names",
        "fileUri",
        "file_uri",
        "ragCorpus",
        "rag_corpus",
    }
)
# An item of a response's input that refers to an earlier item: {"type": "item_reference", "id": "msg_..."}.
ITEM_REFERENCE = "item_reference"


def is_naming(field: str, *, top: bool = False) -> bool:
    """Whether a field of this name has the name of a model, or several; ``top``: at the body's top level."""
    field = field.casefold().rstrip("[]").replace("-", "_")
    return field in NAMING_FIELDS or field.endswith(NAMING_ENDS) or (top and field in TOP_NAMING_FIELDS)
