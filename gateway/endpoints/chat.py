"""``/chat/completions`` and the older ``/completions``."""

import re
from typing import Any

from gateway.body.json import flag
from gateway.call.call import Call, Operation
from gateway.call.reply import Reply
from gateway.call.request import InferenceRequest
from gateway.endpoints import stored_chat
from gateway.endpoints.base import ModelCallView
from gateway.objects import chat as objects_chat

# Some vendors end a stream without [DONE]; then a finish reason tells that it is whole.
ENDS = re.compile(rb'^data: ?\[DONE\]|"finish_reason":\s*"', re.MULTILINE)
CREATE = Operation("chat", "chat", "chat/completions", ends=ENDS)
# One that the vendor keeps has an owner.
STORE = Operation("chat", "chat", "chat/completions", makes=objects_chat.KIND, ends=ENDS)
# So has the audio of a spoken answer.
SPEAK = Operation("chat", "chat", "chat/completions", makes=objects_chat.AUDIO, ends=ENDS)


class ChatCompletions(ModelCallView):
    """Create a chat completion, whole or streamed; list those that were stored."""

    operation = CREATE

    async def describe(self, request: InferenceRequest) -> Call:
        """Return the call; one with ``store: true`` makes an object, and so does one that wants to hear the answer."""
        call = await super().describe(request)
        if flag(call.fields, "store"):
            call.operation = STORE
        elif "audio" in call.fields:
            call.operation = SPEAK
        return call

    async def get(self, request: InferenceRequest, **kwargs: Any) -> Reply:
        """List the caller's stored completions."""
        view = stored_chat.StoredCompletions()
        view.caller = self.caller
        return await view.get(request, **kwargs)


class Completions(ModelCallView):
    """Create a completion of a prompt, whole or streamed."""

    operation = Operation("text_completion", "completion", "completions", ends=ENDS)
