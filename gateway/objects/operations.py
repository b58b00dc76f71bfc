"""The table of operations: what each endpoint does, a row each.

Resources have rows of their own (``resource_table``).
"""

from gateway.body.requested_units import images, spoken_characters
from gateway.call.operation import HEARD, SPOKEN, Operation, StreamEnd
from gateway.objects import chat, files, jobs, responses
from gateway.objects.job_kinds import BATCH, FINE_TUNING
from gateway.objects.makers import by_id

# Some vendors end a stream without [DONE]; then every choice's finish reason says that it is whole.
CHAT_END = StreamEnd(choices=True, done=True)
# One that was cancelled in the background, or is read again, may end without any of them.
RESPONSE_END = StreamEnd(
    frozenset({"response.completed", "response.failed", "response.incomplete", "response.cancelled", "error"})
)
IMAGE_END = StreamEnd(frozenset({"image_generation.completed", "image_edit.completed"}))
SPEECH_END = StreamEnd(frozenset({"speech.audio.done"}))
TRANSCRIPT_END = StreamEnd(frozenset({"transcript.text.done"}), done=True)
# OpenAI closes a run with an event of this name.
RUN_END = StreamEnd(frozenset({"done", "error"}))

CHAT = Operation("chat", "chat", "chat/completions", ends=CHAT_END)
# One that the vendor keeps has an owner.
CHAT_STORED = Operation("chat", "chat", "chat/completions", creates=chat.COMPLETION, ends=CHAT_END)
# So has the audio of a spoken answer.
CHAT_SPOKEN = Operation("chat", "chat", "chat/completions", creates=chat.SPOKEN, ends=CHAT_END)
CHAT_LIST = Operation("chat.list", "", "chat/completions", account_type="chat")
CHAT_RETRIEVE = Operation("chat.retrieve", "", "chat/completions/{id}", charges=False)
CHAT_UPDATE = Operation("chat.update", "", "chat/completions/{id}", charges=False)
CHAT_DELETE = Operation("chat.delete", "", "chat/completions/{id}", charges=False)
CHAT_MESSAGES = Operation("chat.messages", "", "chat/completions/{id}/messages", charges=False)
# Anthropic's and Gemini's own words for a chat. What is done with a Gemini model is in the address, behind its name.
MESSAGES_END = StreamEnd(frozenset({"message_stop", "error"}))
MESSAGES = Operation("messages", "chat", "messages", ends=MESSAGES_END, door="anthropic")
MESSAGES_COUNT = Operation("messages.count_tokens", "chat", "messages/count_tokens", charges=False, door="anthropic")
GENERATE_END = StreamEnd(choices=True, reasons=(b'"finishReason"', b'"blockReason"'))
GENERATE = Operation("generate_content", "chat", "generateContent", ends=GENERATE_END, door="gemini")
GENERATE_COUNT = Operation("count_tokens", "chat", "countTokens", charges=False, door="gemini")
EMBED_CONTENT = Operation("embed_content", "embedding", "embedContent", door="gemini")
BATCH_EMBED_CONTENTS = Operation("embed_content", "embedding", "batchEmbedContents", door="gemini")
COMPLETION = Operation("text_completion", "completion", "completions", ends=CHAT_END)
EMBEDDINGS = Operation("embeddings", "embedding", "embeddings")
RERANK = Operation("rerank", "rerank", "rerank")
MODERATION = Operation("moderation", "moderation", "moderations", unnamed=True)

IMAGE_GENERATION = Operation(
    "image_generation", "image", "images/generations", ends=IMAGE_END, units=images, unnamed=True
)
IMAGE_EDIT = Operation("image_edit", "image", "images/edits", ends=IMAGE_END, units=images, unnamed=True)
IMAGE_VARIATION = Operation("image_variation", "image", "images/variations", units=images, unnamed=True)
SPEECH = Operation("speech", "text_to_speech", "audio/speech", ends=SPEECH_END, units=spoken_characters, audio=SPOKEN)
TRANSCRIPTION = Operation(
    "transcription", "audio_transcription", "audio/transcriptions", ends=TRANSCRIPT_END, audio=HEARD
)
TRANSLATION = Operation("translation", "audio_translation", "audio/translations", audio=HEARD)

RESPONSE = Operation("responses", "responses", "responses", creates=responses.RESPONSE, ends=RESPONSE_END, unnamed=True)
# What a background response used is charged when it is over, by ``gateway.jobs``.
RESPONSE_BACKGROUND = Operation("responses", "responses", "responses", creates=responses.RESPONSE, charges=False)
RESPONSE_INPUT_TOKENS = Operation("responses.input_tokens", "responses", "responses/input_tokens", charges=False)
RESPONSE_COMPACT = Operation("responses.compact", "responses", "responses/compact", creates=responses.RESPONSE)
RESPONSE_RETRIEVE = Operation("responses.retrieve", "", "responses", creates=responses.SHOWN, charges=False)
RESPONSE_DELETE = Operation("responses.delete", "", "responses", charges=False)
RESPONSE_CANCEL = Operation("responses.cancel", "", "responses/cancel", creates=responses.SHOWN, charges=False)
RESPONSE_INPUT_ITEMS = Operation(
    "responses.input_items", "", "responses/input_items", creates=responses.SHOWN, charges=False
)

CONVERSATION_CREATE = Operation(
    "conversations.create",
    "",
    "conversations",
    creates=by_id("conversation"),
    charges=False,
    ability="conversations",
    ability_required=False,
    account_type="responses",
)
CONVERSATION_RETRIEVE = Operation("conversations.retrieve", "", "conversations", charges=False)
CONVERSATION_UPDATE = Operation("conversations.update", "", "conversations", charges=False)
CONVERSATION_DELETE = Operation("conversations.delete", "", "conversations", charges=False)
ITEM_LIST = Operation("conversations.items.list", "", "conversations/items", creates=responses.SHOWN, charges=False)
ITEM_CREATE = Operation("conversations.items.create", "", "conversations/items", creates=responses.SHOWN, charges=False)
ITEM_RETRIEVE = Operation(
    "conversations.items.retrieve", "", "conversations/items", creates=responses.SHOWN, charges=False
)
ITEM_DELETE = Operation("conversations.items.delete", "", "conversations/items", charges=False)

FILE_CREATE = Operation("file.create", "", "files", creates=files.CREATED, ability="files", ability_required=False)
FILE_LIST = Operation("file.list", "", "files", ability="files", ability_required=False)
FILE_RETRIEVE = Operation("file.retrieve", "", "files/{id}")
FILE_DELETE = Operation("file.delete", "", "files/{id}")
FILE_CONTENT = Operation("file.content", "", "files/{id}/content", raw=True)
UPLOAD_CREATE = Operation("upload.create", "", "uploads", creates=files.UPLOAD_CREATED, ability="uploads")
UPLOAD_PART = Operation("upload.part", "", "uploads/{id}/parts", creates=files.PART_CREATED)
UPLOAD_COMPLETE = Operation("upload.complete", "", "uploads/{id}/complete", creates=files.UPLOAD_COMPLETED)
UPLOAD_CANCEL = Operation("upload.cancel", "", "uploads/{id}/cancel")

BATCH_CREATE = Operation(
    "batch.create", "", "batches", creates=jobs.BATCH_CREATED, ability=BATCH.ability, ability_required=False
)
BATCH_LIST = Operation("batch.list", "", "batches", ability=BATCH.ability, ability_required=False)
BATCH_RETRIEVE = Operation("batch.retrieve", "", "batches/{id}", creates=jobs.SEEN, charges=False)
BATCH_CANCEL = Operation("batch.cancel", "", "batches/{id}/cancel", creates=jobs.SEEN, charges=False)
FINE_TUNING_CREATE = Operation(
    "fine_tuning.create",
    "",
    FINE_TUNING.path,
    creates=jobs.FINE_TUNING_CREATED,
    ability=FINE_TUNING.ability,
)
FINE_TUNING_LIST = Operation(
    "fine_tuning.list", "", FINE_TUNING.path, ability=FINE_TUNING.ability, ability_required=False
)
FINE_TUNING_RETRIEVE = Operation("fine_tuning.retrieve", "", "fine_tuning/jobs/{id}", creates=jobs.SEEN, charges=False)
FINE_TUNING_STEER = Operation("fine_tuning.steer", "", "fine_tuning/jobs/{id}/steer", creates=jobs.SEEN, charges=False)
FINE_TUNING_EVENTS = Operation("fine_tuning.events", "", "fine_tuning/jobs/{id}/events")
FINE_TUNING_CHECKPOINTS = Operation(
    "fine_tuning.checkpoints", "", "fine_tuning/jobs/{id}/checkpoints", creates=jobs.CHECKPOINTS
)
PERMISSIONS = "fine_tuning/checkpoints/{id}/permissions"
PERMISSION_LIST = Operation("checkpoint_permission.list", "", PERMISSIONS)
PERMISSION_CREATE = Operation("checkpoint_permission.create", "", PERMISSIONS)
PERMISSION_DELETE = Operation("checkpoint_permission.delete", "", f"{PERMISSIONS}/{{id}}")
GRADERS = "fine_tuning/alpha/graders"
GRADER_RUN = Operation("grader.run", "chat", f"{GRADERS}/run", ability=FINE_TUNING.ability)
GRADER_VALIDATE = Operation("grader.validate", "", f"{GRADERS}/validate", charges=False, ability=FINE_TUNING.ability)
MODEL_DELETE = Operation("model.delete", "", "models/{id}")

CLIENT_SECRETS = Operation("realtime.client_secrets", "", "realtime/client_secrets", charges=False)
TRANSLATION_SECRETS = Operation(
    "realtime.translations.client_secrets", "", "realtime/translations/client_secrets", charges=False
)
REALTIME_SESSIONS = Operation("realtime.sessions", "", "realtime/sessions", charges=False)
TRANSCRIPTION_SESSIONS = Operation(
    "realtime.transcription_sessions", "", "realtime/transcription_sessions", charges=False
)

CALLS = "realtime/calls"
CALL_CREATE = Operation("realtime.calls.create", "realtime", CALLS, charges=False, raw=True)
CALL_ACCEPT = Operation("realtime.calls.accept", "realtime", f"{CALLS}/{{id}}/accept", charges=False, raw=True)
CALL_REJECT = Operation(
    "realtime.calls.reject", "", f"{CALLS}/{{id}}/reject", charges=False, raw=True, account_type="realtime"
)
CALL_REFER = Operation("realtime.calls.refer", "", f"{CALLS}/{{id}}/refer", charges=False, raw=True)
CALL_HANGUP = Operation("realtime.calls.hangup", "", f"{CALLS}/{{id}}/hangup", charges=False, raw=True)
# What a call over WebRTC or SIP is to the records: its responses are charged one by one.
REALTIME_CALL = Operation("realtime_call", "realtime", CALLS)

REALTIME_SOCKET = Operation("realtime_session", "realtime", "realtime", unnamed=True)
TRANSLATION_SOCKET = Operation("translation_session", "realtime", "realtime/translations")
LIVE_SOCKET = Operation("live_session", "realtime", "live/sessions")
RESPONSES_SOCKET = Operation("responses_session", "responses", "responses", converts=False)

PROXY_READ = Operation("proxy", "", "proxy", charges=False, door="")
# What a vendor asks for a call that we know nothing of is unknown, so its record is unpriced.
PROXY_WRITE = Operation("proxy", "proxy", "proxy", door="")

BATCH_LINES: dict[str, Operation] = {
    f"/v1/{row.path}": row for row in (CHAT, COMPLETION, EMBEDDINGS, MODERATION, IMAGE_GENERATION, RESPONSE)
}
"""What the line of a batch that Gatehouse runs may do, by its ``url``."""
