"""``/rerank``, also under ``/v2``: Cohere's, Jina's, Voyage's and other servers' models for it."""

from gateway.endpoints.base import ModelCallView
from gateway.objects import operations


class Rerank(ModelCallView):
    """Sort documents by their relevance to a query."""

    operation = operations.RERANK
