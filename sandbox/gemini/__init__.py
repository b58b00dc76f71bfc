"""Google's Gemini API: `/v1beta/models` (and `/v1/models`) and their methods, as the GenAI SDK calls them."""

from sandbox.gemini.routes import ROUTES
from sandbox.gemini.service import KEY, SERVICE

__all__ = ["KEY", "ROUTES", "SERVICE"]
