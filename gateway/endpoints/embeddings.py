"""``/embeddings``."""

from gateway.endpoints.base import ModelCallView
from gateway.objects import operations


class Embeddings(ModelCallView):
    """Create vectors for one or many texts."""

    operation = operations.EMBEDDINGS
