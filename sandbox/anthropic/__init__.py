"""Anthropic's API: `/v1/messages` and what belongs to it, as its own SDK calls it; below `/anthropic` as Amazon Bedrock
and Microsoft Foundry have it.
"""

from sandbox.anthropic.routes import ROUTES
from sandbox.anthropic.service import SERVICE, VERSION

ELSEWHERE = tuple(row._replace(path=f"/anthropic{row.path}") for row in ROUTES if row.path.startswith("/v1/messages"))

__all__ = ["ELSEWHERE", "ROUTES", "SERVICE", "VERSION"]
