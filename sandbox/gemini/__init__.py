"""Google's Gemini API: `/v1beta/models` (and `/v1/models`) and their methods, as the GenAI SDK calls them; and the same
models on Vertex AI, below `/v1/projects`.
"""

from sandbox.gemini import sign_in, vertex
from sandbox.gemini.routes import ROUTES
from sandbox.gemini.service import KEY, SERVICE
from sandbox.gemini.vertex import VERTEX

VERTEX_ROUTES = (*vertex.ROUTES, *sign_in.ROUTES)

__all__ = ["KEY", "ROUTES", "SERVICE", "VERTEX", "VERTEX_ROUTES"]
