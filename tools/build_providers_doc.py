"""Writes ``docs/providers.md`` from the tables that the code uses: ``python -m tools.build_providers_doc``.

A test fails while the page is not what this makes.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
django.setup(set_prefix=False)

from gateway.call.operation import Operation  # noqa: E402
from gateway.objects import operations  # noqa: E402
from gateway.objects.resource_table import SWITCHES  # noqa: E402
from providers import azure  # noqa: E402
from providers.dialects.anthropic import blocks  # noqa: E402
from providers.dialects.anthropic import writing as anthropic_writing  # noqa: E402
from providers.dialects.conversions import ESTIMATED, counts, passes  # noqa: E402
from providers.dialects.gemini import writing as gemini_writing  # noqa: E402
from providers.dialects.rerank import STYLES  # noqa: E402
from providers.vendor_row import Vendor  # noqa: E402
from providers.vendors import VENDORS  # noqa: E402

PAGE = Path(__file__).resolve().parents[1] / "docs" / "providers.md"
OPERATIONS: tuple[tuple[str, Operation], ...] = (
    ("`chat/completions`", operations.CHAT),
    ("`responses`", operations.RESPONSE),
    ("`completions`", operations.COMPLETION),
    ("`embeddings`", operations.EMBEDDINGS),
    ("`moderations`", operations.MODERATION),
    ("`rerank`", operations.RERANK),
    ("`images/generations`", operations.IMAGE_GENERATION),
    ("`images/edits`", operations.IMAGE_EDIT),
    ("`audio/speech`", operations.SPEECH),
    ("`audio/transcriptions`", operations.TRANSCRIPTION),
    ("`messages`", operations.MESSAGES),
    ("`messages/count_tokens`", operations.MESSAGES_COUNT),
    ("`models/…:generateContent`, `:streamGenerateContent`", operations.GENERATE),
    ("`models/…:countTokens`", operations.GENERATE_COUNT),
    ("`models/…:embedContent`, `:batchEmbedContents`", operations.EMBED_CONTENT),
)
# A vendor of each kind: all others are like one of them, but for reranking.
LIKE: tuple[tuple[str, str], ...] = (
    ("OpenAI's, with responses", "openai"),
    ("OpenAI's, without", "groq"),
    ("Anthropic's", "anthropic"),
    ("Gemini's", "google-gemini"),
    ("Vertex AI's", "google-vertex"),
)
# What else of OpenAI's platform Azure has on one of its surfaces or on both: operations, and resources by their switch.
OF_AZURE: tuple[tuple[str, str], ...] = (
    *((f"`{each}`", each) for each in ("completions", "embeddings", "moderations", "rerank", "images/generations")),
    *((f"`{each}`", each) for each in ("images/edits", "images/variations", "audio/transcriptions")),
    *((f"`{each}`", each) for each in ("audio/translations", "audio/speech", "responses")),
    ("`responses/{id}/cancel`", "responses/cancel"),
    *((f"`{each}`", each) for each in ("responses/compact", "responses/input_tokens", "conversations")),
    *((f"`{each}`", each) for each in ("files", "batches", "uploads", "fine_tuning", "realtime")),
    ("`realtime/calls`", "realtime_calls"),
    *((f"`{each}`", each) for each in SWITCHES if each != "*"),
)
INTRODUCTION = """# Providers

This page is made from the tables that the code uses (`python -m tools.build_providers_doc`).

## Endpoints by dialect

`as is`: the call passes byte by byte, and the server's answer decides. `converted`: request, answer, stream, usage and
errors are translated, see below. `estimated`: counted here, with the header `x-gatehouse-estimated: true`. `—`:
refused with 400 `unsupported_by_provider`. All are under `/v1`, `/api/llm` and the other prefixes; Google's also under
`/v1beta`.

"""
CONVERSION = """
## What a conversion keeps

Text, system and developer prompts, images, documents, tool calls and their results (parallel ones too), `tool_choice`,
structured output, reasoning with its proofs, stop sequences, limits, cache marks, citations, log probabilities where
the vendor has them, finish reasons, usage and errors. A model that stops for its limit, a filter or a tool says so in
the caller's words. What the target does not take is left out and named in the header `x-gatehouse-dropped`; with
`x-gatehouse-strict: true` the call is refused with 400 instead, and the error names the field.

"""
AZURE = """
## Azure OpenAI

A resource has two surfaces, and an account's address says which one is called:
`https://NAME.openai.azure.com/openai/v1` (also `…services.ai.azure.com`, and Azure's clouds for governments and China),
where an API version (`preview`) may be given, or `…/openai`, where every call names a dated one, by default
VERSION, and the deployment in its path.
A model's upstream name is the deployment's. Sign in with a key or an application of Entra. What content
filters say goes through; errors get OpenAI's types and codes (`DeploymentNotFound` is `model_not_found`) and keep
`innererror`. The list of models has what could be deployed, so deployments are named by hand; a price is looked up by
the deployment's name, else give a private one. `—` is refused with 400 `unsupported_by_provider`; resources must be
[opened](passthrough.md), too.

""".replace("VERSION", azure.NEWEST_VERSION)
ABILITIES = VENDORS["openai"].abilities
LIMITS = """
- Media by URL: Anthropic and servers of OpenAI's dialect fetch them themselves; for Gemini, Gatehouse does (public
  https addresses, see `GATEHOUSE_MEDIA_*` in [settings](settings.md)), but for YouTube and Google's own storage.
- Audio and video go to Gemini only; Anthropic's models refuse them with 400.
- Files by id (`file_id`) are known to their own provider only: 400 for any other.
- Tools that a vendor runs itself (code, computer, MCP, file search) are refused with 400 elsewhere; web search is
  converted between those that have one.
- Of several choices (`n`) the doors of Anthropic and of the Responses API return the first.
- `functions` and `function_call`, deprecated by OpenAI, are not converted.
- `responses` on providers without them are chats that Gatehouse keeps itself, encrypted, for
  `GATEHOUSE_OBJECT_RETENTION_DAYS`: `previous_response_id`, `input_items`, retrieve and delete work; `background`,
  `conversation` and `prompt` are refused with 400.
- Images by Gemini: one at a time; edits take no mask, and as a form at most `GATEHOUSE_MEDIA_MAX_MB`; variations are
  not converted. Speech by Gemini: `wav` and `pcm`, newer models also `mp3` and `opus`, but not on Vertex AI.
- Vertex AI is called in Google's own words where an account's address ends in `/projects/PROJECT/locations/LOCATION`
  (Gemini's and Imagen's models and those for text embeddings; tuned ones as `endpoints/ID`, other publishers' that take
  `generateContent` as `PUBLISHER/MODEL`), in OpenAI's at `…/endpoints/openapi`. It has no list of models.
  Text embedding models (`text-embedding-005`) take text only. Files of Gemini's API are not known there.
- Claude on Vertex AI is an account of its own kind, at the same address as Gemini there (`us-east5`, `global` and the
  others): a project with both has two. Claude on Bedrock and in Foundry is called in Anthropic's words, with an API
  key; signatures of AWS (SigV4) and its `Converse` and `InvokeModel` are not spoken.
- Sockets (`realtime`, responses over a socket), `responses/input_tokens` and `responses/compact` are not converted.
"""


def page() -> str:
    """Return the whole page."""
    parts = [INTRODUCTION, _endpoints(), CONVERSION, _parameters(), "\n## What is not supported\n", LIMITS]
    parts += [AZURE, _azure(), _vendors()]
    return "".join(parts).rstrip() + "\n"


def _endpoints() -> str:
    head = ["endpoint", *(name for name, _ in LIKE)]
    rows = [[name, *(_way(row, VENDORS[kind]) for _, kind in LIKE)] for name, row in OPERATIONS]
    styled = f"Of the vendors, {_names(STYLES)} rerank in words of their own: `rerank` is converted for them.\n"
    return f"{_table(head, rows)}\n{styled}"


def _way(operation: Operation, vendor: Vendor) -> str:
    if passes(operation.path, operation.door, vendor):
        return "as is"
    if counts(operation.path, operation.door, vendor):
        return "converted"
    return "estimated" if operation.path in ESTIMATED else "—"


def _azure() -> str:
    rows = [[name, *(_offered(each, VENDORS[kind]) for kind in ("azure-openai", "azure-openai-dated"))]
            for name, each in (("`chat/completions`", "chat/completions"), *OF_AZURE)]  # fmt: skip
    return _table(["endpoint", "`…/openai/v1`", "`…/openai`"], rows)


def _offered(name: str, vendor: Vendor) -> str:
    lacking = name in vendor.lacks or (name in ABILITIES and name not in vendor.abilities)
    deployed = vendor.api_version and name in azure.DEPLOYED
    return "—" if lacking else "`deployments/NAME/…`" if deployed else "yes"


def _parameters() -> str:
    images = ", ".join(sorted(mime.partition("/")[2] for mime in blocks.IMAGES))
    rows = [
        ["Anthropic's", _names(anthropic_writing.NOT_TAKEN), f"images ({images}), PDF, text"],
        ["Gemini's", _names(gemini_writing.NOT_TAKEN), "images, PDF, text, audio, video, YouTube links"],
    ]
    return _table(["dialect", "parameters that it never takes", "media"], rows)


def _vendors() -> str:
    head = ["kind", "address", "dialect", "renamed", "left out", "beyond OpenAI's", "offers"]
    rows = [_vendor(row) for row in VENDORS.values()]
    words = (
        "\n## Kinds of provider accounts\n\n`offers` are the parts of OpenAI's platform that Gatehouse expects there. "
        "Families of models (GPT-5, o3, Grok, …) have rows of their own for parameters, whichever vendor serves "
        "them. What the servers of accounts with `any_model` list is in `GET /models`, too, but for Azure's and Vertex "
        "AI's, which have no list ([how](endpoints.md#models)).\n\n"
    )
    return words + _table(head, rows)


def _vendor(row: Vendor) -> list[str]:
    beyond: Iterable[tuple[str, bool]] = (
        ("`top_k`", row.top_k),
        ("cache marks", row.cache_marks),
        ("reasoning sent back", row.replays_reasoning),
        ("thought signatures", row.signed_calls),
    )
    return [
        f"`{row.kind}`",
        f"`{row.base_url}`" if row.base_url else "given",
        row.dialect,
        ", ".join(f"`{old}` → `{new}`" for old, new in row.renames) or "—",
        _names(sorted(row.drops)),
        ", ".join(name for name, has in beyond if has) or "—",
        _names(sorted(row.abilities)),
    ]


def _names(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "—"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


if __name__ == "__main__":
    PAGE.write_text(page())
