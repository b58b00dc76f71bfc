"""``/moderations``."""

from gateway.call import Operation
from gateway.views import ModelCallView


class Moderations(ModelCallView):
    """Classify texts and images as harmful or not."""

    operation = Operation("moderation", "moderation", "moderations")
