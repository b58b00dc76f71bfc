"""``/chat/completions`` and the older ``/completions``."""

import re

from gateway.call import Operation
from gateway.views import ModelCallView

# Some vendors end a stream without [DONE]; then a finish reason tells that it is whole.
ENDS = re.compile(rb'^data: ?\[DONE\]|"finish_reason":\s*"', re.MULTILINE)


class ChatCompletions(ModelCallView):
    """Create a chat completion, whole or streamed."""

    operation = Operation("chat", "chat", "chat/completions", ends=ENDS)


class Completions(ModelCallView):
    """Create a completion of a prompt, whole or streamed."""

    operation = Operation("text_completion", "completion", "completions", ends=ENDS)
