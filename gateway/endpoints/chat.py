"""``/chat/completions`` and the older ``/completions``."""

from gateway.call import Operation
from gateway.views import ModelCallView


class ChatCompletions(ModelCallView):
    """Create a chat completion, whole or streamed."""

    operation = Operation("chat", "chat", "chat/completions")


class Completions(ModelCallView):
    """Create a completion of a prompt, whole or streamed."""

    operation = Operation("text_completion", "completion", "completions")
