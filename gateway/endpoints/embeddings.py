"""``/embeddings``."""

from gateway.call import Operation
from gateway.views import ModelCallView


class Embeddings(ModelCallView):
    """Create vectors for one or many texts."""

    operation = Operation("embeddings", "embedding", "embeddings")
