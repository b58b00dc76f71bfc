"""Azure OpenAI: `/openai/v1` and the dated `/openai`, on the same models and stores as OpenAI's own surface."""

from sandbox.azure.service import SERVICE
from sandbox.azure.surface import routes

__all__ = ["SERVICE", "routes"]
