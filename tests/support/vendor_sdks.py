"""The other vendors' own SDKs, for a server that speaks their dialect."""

from typing import Any

import anthropic
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials


def anthropic_client(origin: str, key: str, **options: Any) -> anthropic.Anthropic:
    """Anthropic's SDK for the API at ``origin``, without retries."""
    return anthropic.Anthropic(**{"base_url": origin, "api_key": key, "max_retries": 0, "timeout": 30, **options})


def gemini_client(origin: str, key: str) -> genai.Client:
    """Google's GenAI SDK for the API at ``origin``, without retries."""
    once = types.HttpRetryOptions(attempts=1)
    return genai.Client(
        api_key=key, http_options=types.HttpOptions(base_url=origin, timeout=30_000, retry_options=once)
    )


def vertex_client(origin: str, token: str) -> genai.Client:
    """Google's GenAI SDK for Vertex AI at ``origin``, without retries."""
    once = types.HttpRetryOptions(attempts=1)
    return genai.Client(
        vertexai=True,
        project="project-1",
        location="us-central1",
        credentials=Credentials(token=token),  # type: ignore[no-untyped-call]
        http_options=types.HttpOptions(base_url=origin, api_version="v1", timeout=30_000, retry_options=once),
    )
