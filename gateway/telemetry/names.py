"""The names of spans' attributes, in one table: OpenTelemetry's for GenAI and HTTP, the contract's ``tfy.*``, our own.

``gen_ai.*`` are those of the conventions' releases up to 1.41, with ``gen_ai.system`` for older readers;
``OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental`` chooses the newest ones instead.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

LATEST: Final = "gen_ai_latest_experimental"
GEN_AI, TFY, OWN = "gen_ai", "tfy", "gatehouse"


class Attribute(NamedTuple):
    """A fact's name, and what each vocabulary calls it; empty where it does not."""

    fact: str
    gen_ai: str = ""
    latest: str = ""
    tfy: str = ""
    own: str = ""


def _same(fact: str, gen_ai: str, tfy: str = "", own: str = "") -> Attribute:
    return Attribute(fact, gen_ai, gen_ai, tfy, own)


ATTEMPT: Final = (
    _same("operation", "gen_ai.operation.name"),
    _same("provider", "gen_ai.provider.name"),
    Attribute("provider", "gen_ai.system"),
    _same("upstream_model", "gen_ai.request.model", "tfy.model.name"),
    _same("response_model", "gen_ai.response.model"),
    _same("response_id", "gen_ai.response.id"),
    _same("finish_reasons", "gen_ai.response.finish_reasons"),
    Attribute("stream", "", "gen_ai.request.stream", "tfy.model.streaming"),
    Attribute("first_chunk_s", "", "gen_ai.response.time_to_first_chunk"),
    _same("input_tokens", "gen_ai.usage.input_tokens", "tfy.model.metric.input_tokens"),
    _same("output_tokens", "gen_ai.usage.output_tokens", "tfy.model.metric.output_tokens"),
    _same("cached_tokens", "gen_ai.usage.cache_read.input_tokens", "tfy.model.metric.cache_read_input_tokens"),
    _same(
        "cache_write_tokens", "gen_ai.usage.cache_creation.input_tokens", "tfy.model.metric.cache_creation_input_tokens"
    ),
    Attribute("reasoning_tokens", "", "gen_ai.usage.reasoning.output_tokens", "", "gatehouse.usage.reasoning_tokens"),
    _same("max_tokens", "gen_ai.request.max_tokens"),
    _same("temperature", "gen_ai.request.temperature"),
    _same("top_p", "gen_ai.request.top_p"),
    _same("top_k", "gen_ai.request.top_k"),
    _same("frequency_penalty", "gen_ai.request.frequency_penalty"),
    _same("presence_penalty", "gen_ai.request.presence_penalty"),
    _same("seed", "gen_ai.request.seed"),
    _same("choice_count", "gen_ai.request.choice.count"),
    _same("stop", "gen_ai.request.stop_sequences"),
    _same("dimensions", "gen_ai.embeddings.dimension.count"),
    _same("conversation", "gen_ai.conversation.id", "tfy.request.conversation_id"),
    _same("address", "server.address"),
    _same("port", "server.port"),
    _same("error", "error.type"),
    _same("upstream_status", "http.response.status_code"),
    Attribute("span_type", tfy="tfy.span_type"),
    Attribute("model", tfy="tfy.model.fqn", own="gatehouse.model"),
    Attribute("url", tfy="tfy.model.request_url"),
    Attribute("model_type", tfy="tfy.model.request_type"),
    Attribute("latency_ms", tfy="tfy.model.metric.latency_in_ms"),
    Attribute("first_token_ms", tfy="tfy.model.metric.time_to_first_token_in_ms"),
    Attribute("per_token_ms", tfy="tfy.model.metric.inter_token_latency_in_ms"),
    Attribute("cost", tfy="tfy.model.metric.cost_in_usd", own="gatehouse.cost_usd"),
    Attribute("error_message", tfy="tfy.error_message", own="gatehouse.error.message"),
    Attribute("account", own="gatehouse.provider_account"),
    Attribute("attempt", own="gatehouse.attempt"),
    Attribute("price_version", own="gatehouse.price_version"),
    Attribute("price_gaps", own="gatehouse.price_gaps"),
    Attribute("upstream_request_id", own="gatehouse.upstream_request_id"),
    Attribute("object_id", own="gatehouse.object_id"),
    Attribute("batch", own="gatehouse.batch"),
    Attribute("overhead_ms", own="gatehouse.overhead_ms"),
    Attribute("estimated", own="gatehouse.usage.estimated"),
)
CALL: Final = (
    _same("method", "http.request.method"),
    _same("route", "http.route"),
    _same("status", "http.response.status_code"),
    _same("operation", "gen_ai.operation.name"),
    _same("model_asked", "gen_ai.request.model", "tfy.request.model_name"),
    _same("error", "error.type"),
    Attribute("span_type", tfy="tfy.span_type"),
    Attribute("subject", tfy="tfy.request.created_by_subject", own="gatehouse.caller"),
    Attribute("teams", tfy="tfy.request.created_by_subject_teams", own="gatehouse.teams"),
    Attribute("metadata", tfy="tfy.request.metadata", own="gatehouse.metadata"),
    Attribute("request_id", own="gatehouse.request_id"),
    Attribute("token", own="gatehouse.token"),
    Attribute("model", own="gatehouse.model"),
    Attribute("cost", own="gatehouse.cost_usd"),
    Attribute("attempts", own="gatehouse.attempts"),
)

UNIQUE: Final = frozenset(
    {"response_id", "request_id", "upstream_request_id", "object_id", "error_message", "metadata", "conversation"}
)
"""Facts whose values seldom come twice."""
STEADY: Final = frozenset(
    {
        *("operation", "provider", "upstream_model", "response_model", "stream", "address", "port"),
        *("upstream_status", "span_type", "model", "url", "model_type", "error", "account", "attempt", "estimated"),
        *("price_version", "price_gaps", "batch", "method", "route", "status", "model_asked", "subject", "teams"),
        *("token", "attempts"),
    }
)
"""Facts whose values come together again and again: those of one caller's calls to one model."""
PROVIDERS: Final = {
    "aws-bedrock": "aws.bedrock",
    "azure-openai": "azure.ai.openai",
    "azure-anthropic": "azure.ai.inference",
    "google-gemini": "gcp.gemini",
    "google-vertex": "gcp.vertex_ai",
    "mistral-ai": "mistral_ai",
    "perplexity-ai": "perplexity",
    "xai": "x_ai",
}
"""Providers, as records name them, whose name in OpenTelemetry is another one."""
OPERATIONS: Final = {
    "responses": "chat",
    "background_response": "chat",
    "polled_run": "invoke_agent",
}
"""Our names of operations whose name in OpenTelemetry is another one."""


def chosen(table: Iterable[Attribute], vocabularies: Iterable[str], opt_in: Iterable[str]) -> list[tuple[str, str]]:
    """Return pairs of a fact and an attribute's name, of the vocabularies and conventions that were chosen."""
    latest = LATEST in opt_in
    found = []
    for row in table:
        names = {GEN_AI: row.latest if latest else row.gen_ai, TFY: row.tfy, OWN: row.own}
        found += [(row.fact, names[each]) for each in vocabularies if names[each]]
    return found
