"""``/moderations``."""

from gateway.call.call import Operation
from gateway.endpoints.base import ModelCallView


class Moderations(ModelCallView):
    """Classify texts and images as harmful or not."""

    operation = Operation("moderation", "moderation", "moderations")
