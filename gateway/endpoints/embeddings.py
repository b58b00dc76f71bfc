"""``/embeddings``."""

from gateway.call.call import Operation
from gateway.endpoints.base import ModelCallView


class Embeddings(ModelCallView):
    """Create vectors for one or many texts."""

    operation = Operation("embeddings", "embedding", "embeddings")
