"""Where the bodies of OpenAI's operations name other objects. Made by ``tools/build_reference_table.py``; not by hand.

From OpenAI's description, version 2.3.0. An operation is named by its path without ids. A place is a path of
properties with lists left out; ``*`` matches a property of any name.
"""

PLACES: dict[str, tuple[str, ...]] = {}
"""The places of every operation with a body that OpenAI describes."""

PLACES |= dict.fromkeys(
    ("assistants",),
    (
        "tool_resources.code_interpreter.file_ids",
        "tool_resources.file_search.vector_store_ids",
        "tool_resources.file_search.vector_stores.file_ids",
    ),
)

PLACES |= dict.fromkeys(
    ("audio/speech",),
    ("voice",),
)

PLACES |= dict.fromkeys(
    (
        "audio/transcriptions",
        "audio/translations",
        "audio/voice_consents",
        "chatkit/sessions",
        "completions",
        "content_provenance_checks",
        "embeddings",
        "evals",
        "files",
        "fine_tuning/alpha/graders/run",
        "fine_tuning/alpha/graders/validate",
        "fine_tuning/checkpoints/permissions",
        "images/generations",
        "images/variations",
        "moderations",
        "realtime/calls/refer",
        "realtime/calls/reject",
        "realtime/transcription_sessions",
        "realtime/translations/client_secrets",
        "skills",
        "skills/versions",
        "threads/runs/submit_tool_outputs",
        "uploads",
        "uploads/complete",
        "uploads/parts",
        "vector_stores/search",
        "videos/characters",
        "videos/remix",
    ),
    (),
)

PLACES |= dict.fromkeys(
    ("audio/voices",),
    ("consent",),
)

PLACES |= dict.fromkeys(
    ("batches",),
    ("input_file_id",),
)

PLACES |= dict.fromkeys(
    ("chat/completions",),
    ("audio.voice", "messages.audio", "messages.content.file.file_id"),
)

PLACES |= dict.fromkeys(
    ("containers",),
    ("file_ids", "skills.skill_id"),
)

PLACES |= dict.fromkeys(
    ("containers/files", "vector_stores/files"),
    ("file_id",),
)

PLACES |= dict.fromkeys(
    ("conversations", "conversations/items"),
    (
        "items.container_id",
        "items.content.file_id",
        "items.environment.container_id",
        "items.output.file_id",
        "items.tools.container",
        "items.tools.container.file_ids",
        "items.tools.environment.container_id",
        "items.tools.environment.file_ids",
        "items.tools.environment.skills.skill_id",
        "items.tools.input_image_mask.file_id",
        "items.tools.vector_store_ids",
    ),
)

PLACES |= dict.fromkeys(
    ("evals/runs",),
    (
        "data_source.input_messages.template.content.file_id",
        "data_source.sampling_params.tools.container",
        "data_source.sampling_params.tools.container.file_ids",
        "data_source.sampling_params.tools.environment.container_id",
        "data_source.sampling_params.tools.environment.file_ids",
        "data_source.sampling_params.tools.environment.skills.skill_id",
        "data_source.sampling_params.tools.input_image_mask.file_id",
        "data_source.sampling_params.tools.vector_store_ids",
        "data_source.source",
    ),
)

PLACES |= dict.fromkeys(
    ("fine_tuning/jobs",),
    ("training_file", "validation_file"),
)

PLACES |= dict.fromkeys(
    ("images/edits",),
    ("images.file_id", "mask.file_id"),
)

PLACES |= dict.fromkeys(
    ("realtime",),
    (
        "item.content.file_id",
        "response.audio.output.voice",
        "response.conversation",
        "response.input.content.file_id",
        "response.prompt.variables.*.file_id",
        "response.tools.container",
        "response.tools.container.file_ids",
        "response.tools.environment.container_id",
        "response.tools.environment.file_ids",
        "response.tools.environment.skills.skill_id",
        "response.tools.input_image_mask.file_id",
        "response.tools.vector_store_ids",
        "session.audio.output.voice",
        "session.prompt.variables.*.file_id",
        "session.tools.container",
        "session.tools.container.file_ids",
        "session.tools.environment.container_id",
        "session.tools.environment.file_ids",
        "session.tools.environment.skills.skill_id",
        "session.tools.input_image_mask.file_id",
        "session.tools.vector_store_ids",
    ),
)

PLACES |= dict.fromkeys(
    ("realtime/calls", "realtime/client_secrets"),
    (
        "session.audio.output.voice",
        "session.prompt.variables.*.file_id",
        "session.tools.container",
        "session.tools.container.file_ids",
        "session.tools.environment.container_id",
        "session.tools.environment.file_ids",
        "session.tools.environment.skills.skill_id",
        "session.tools.input_image_mask.file_id",
        "session.tools.vector_store_ids",
    ),
)

PLACES |= dict.fromkeys(
    ("realtime/calls/accept",),
    (
        "audio.output.voice",
        "prompt.variables.*.file_id",
        "tools.container",
        "tools.container.file_ids",
        "tools.environment.container_id",
        "tools.environment.file_ids",
        "tools.environment.skills.skill_id",
        "tools.input_image_mask.file_id",
        "tools.vector_store_ids",
    ),
)

PLACES |= dict.fromkeys(
    ("realtime/sessions",),
    (
        "prompt.variables.*.file_id",
        "tools.container",
        "tools.container.file_ids",
        "tools.environment.container_id",
        "tools.environment.file_ids",
        "tools.environment.skills.skill_id",
        "tools.input_image_mask.file_id",
        "tools.vector_store_ids",
        "voice",
    ),
)

PLACES |= dict.fromkeys(
    ("responses",),
    (
        "conversation",
        "input.container_id",
        "input.content.file_id",
        "input.environment.container_id",
        "input.output.file_id",
        "input.tools.container",
        "input.tools.container.file_ids",
        "input.tools.environment.container_id",
        "input.tools.environment.file_ids",
        "input.tools.environment.skills.skill_id",
        "input.tools.input_image_mask.file_id",
        "input.tools.vector_store_ids",
        "previous_response_id",
        "prompt.variables.*.file_id",
        "prompt_cache_options.comparison_response_id",
        "tools.container",
        "tools.container.file_ids",
        "tools.environment.container_id",
        "tools.environment.file_ids",
        "tools.environment.skills.skill_id",
        "tools.input_image_mask.file_id",
        "tools.vector_store_ids",
    ),
)

PLACES |= dict.fromkeys(
    ("responses/compact",),
    (
        "input.container_id",
        "input.content.file_id",
        "input.environment.container_id",
        "input.output.file_id",
        "input.tools.container",
        "input.tools.container.file_ids",
        "input.tools.environment.container_id",
        "input.tools.environment.file_ids",
        "input.tools.environment.skills.skill_id",
        "input.tools.input_image_mask.file_id",
        "input.tools.vector_store_ids",
        "previous_response_id",
        "prompt_cache_options.comparison_response_id",
    ),
)

PLACES |= dict.fromkeys(
    ("responses/input_tokens",),
    (
        "conversation",
        "input.container_id",
        "input.content.file_id",
        "input.environment.container_id",
        "input.output.file_id",
        "input.tools.container",
        "input.tools.container.file_ids",
        "input.tools.environment.container_id",
        "input.tools.environment.file_ids",
        "input.tools.environment.skills.skill_id",
        "input.tools.input_image_mask.file_id",
        "input.tools.vector_store_ids",
        "previous_response_id",
        "prompt_cache_options.comparison_response_id",
        "tools.container",
        "tools.container.file_ids",
        "tools.environment.container_id",
        "tools.environment.file_ids",
        "tools.environment.skills.skill_id",
        "tools.input_image_mask.file_id",
        "tools.vector_store_ids",
    ),
)

PLACES |= dict.fromkeys(
    ("threads",),
    (
        "messages.attachments.file_id",
        "messages.content.image_file.file_id",
        "tool_resources.code_interpreter.file_ids",
        "tool_resources.file_search.vector_store_ids",
        "tool_resources.file_search.vector_stores.file_ids",
    ),
)

PLACES |= dict.fromkeys(
    ("threads/messages",),
    ("attachments.file_id", "content.image_file.file_id"),
)

PLACES |= dict.fromkeys(
    ("threads/runs",),
    (
        "additional_messages.attachments.file_id",
        "additional_messages.content.image_file.file_id",
        "assistant_id",
        "thread.messages.attachments.file_id",
        "thread.messages.content.image_file.file_id",
        "thread.tool_resources.code_interpreter.file_ids",
        "thread.tool_resources.file_search.vector_store_ids",
        "thread.tool_resources.file_search.vector_stores.file_ids",
        "tool_resources.code_interpreter.file_ids",
        "tool_resources.file_search.vector_store_ids",
    ),
)

PLACES |= dict.fromkeys(
    ("vector_stores",),
    ("file_ids",),
)

PLACES |= dict.fromkeys(
    ("vector_stores/file_batches",),
    ("file_ids", "files.file_id"),
)

PLACES |= dict.fromkeys(
    ("videos",),
    ("input_reference.file_id",),
)

PLACES |= dict.fromkeys(
    ("videos/edits", "videos/extensions"),
    ("video",),
)

ITEM_LISTS: dict[str, tuple[str, ...]] = {
    "conversations": ("items",),
    "conversations/items": ("items",),
    "responses": ("input",),
    "responses/compact": ("input",),
    "responses/input_tokens": ("input",),
}
"""Where items of a conversation are, which may be mere references to earlier ones."""

TYPES: frozenset[str] = frozenset(
    [
        "additional_tools",
        "agent_message",
        "allowed_tools",
        "allowlist",
        "and",
        "apply_patch",
        "apply_patch_call",
        "apply_patch_call_output",
        "approximate",
        "audio/pcm",
        "audio/pcma",
        "audio/pcmu",
        "auto",
        "base64",
        "click",
        "code_interpreter",
        "code_interpreter_call",
        "compaction",
        "compaction_trigger",
        "completions",
        "computer",
        "computer_call",
        "computer_call_output",
        "computer_screenshot",
        "computer_use",
        "computer_use_preview",
        "container_auto",
        "container_reference",
        "content",
        "conversation.item.create",
        "conversation.item.delete",
        "conversation.item.retrieve",
        "conversation.item.truncate",
        "create_file",
        "custom",
        "custom_tool_call",
        "custom_tool_call_output",
        "delete_file",
        "direct",
        "disabled",
        "double_click",
        "dpo",
        "drag",
        "encrypted_content",
        "eq",
        "exec",
        "exit",
        "far_field",
        "file",
        "file_content",
        "file_id",
        "file_search",
        "file_search_call",
        "find_in_page",
        "function",
        "function_call",
        "function_call_output",
        "grammar",
        "gt",
        "gte",
        "http_error",
        "image",
        "image_file",
        "image_generation",
        "image_generation_call",
        "image_url",
        "in",
        "inline",
        "input_audio",
        "input_audio_buffer.append",
        "input_audio_buffer.clear",
        "input_audio_buffer.commit",
        "input_file",
        "input_image",
        "input_text",
        "item_reference",
        "json_object",
        "json_schema",
        "jsonl",
        "keypress",
        "label_model",
        "last_messages",
        "local",
        "local_shell",
        "local_shell_call",
        "local_shell_call_output",
        "logs",
        "lt",
        "lte",
        "mcp",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "mcp_protocol_error",
        "mcp_tool_execution_error",
        "message",
        "move",
        "multi",
        "multi_agent_call",
        "multi_agent_call_output",
        "namespace",
        "ne",
        "near_field",
        "nin",
        "open_page",
        "or",
        "output_audio",
        "output_audio_buffer.clear",
        "output_text",
        "program",
        "program_output",
        "programmatic_tool_calling",
        "protocol_error",
        "python",
        "realtime",
        "reasoning",
        "reasoning_text",
        "refusal",
        "reinforcement",
        "response.cancel",
        "response.create",
        "responses",
        "retention_ratio",
        "score_model",
        "screenshot",
        "scroll",
        "search",
        "semantic_vad",
        "server_vad",
        "session.close",
        "session.input_audio_buffer.append",
        "session.update",
        "shell",
        "shell_call",
        "shell_call_output",
        "skill_reference",
        "static",
        "stored_completions",
        "string_check",
        "summary_text",
        "supervised",
        "template",
        "text",
        "text_similarity",
        "timeout",
        "tool_execution_error",
        "tool_search",
        "tool_search_call",
        "tool_search_output",
        "transcription",
        "transcription_session.update",
        "type",
        "update_file",
        "url",
        "wait",
        "wandb",
        "web_search",
        "web_search_2025_08_26",
        "web_search_call",
        "web_search_preview",
        "web_search_preview_2025_03_11",
    ]
)
"""Every ``type`` that OpenAI describes. In an object of another type, names are all there is to go by."""
