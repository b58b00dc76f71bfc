"""``/moderations``."""

from gateway.endpoints.base import ModelCallView
from gateway.objects import operations


class Moderations(ModelCallView):
    """Classify texts and images as harmful or not."""

    operation = operations.MODERATION
