"""Anthropic's API: `/v1/messages` and what belongs to it, as its own SDK calls it."""

from sandbox.anthropic.routes import ROUTES
from sandbox.anthropic.service import SERVICE, VERSION

__all__ = ["ROUTES", "SERVICE", "VERSION"]
