"""Records as tests need them."""

import time
from typing import Any

from usage.records import AttemptRecord, new_id


def attempt(**changes: Any) -> AttemptRecord:
    """Return the record of a usual chat completion, with ``changes``."""
    values: dict[str, Any] = {
        "attempt_id": new_id(),
        "request_id": new_id(),
        "started_at": time.time_ns() // 1000,
        "subject_type": "user",
        "subject_id": 7,
        "subject_name": "ada@example.com",
        "token_id": 3,
        "token_prefix": "gh-abcdefg",
        "teams": ["research"],
        "account": "openai-main",
        "provider": "openai",
        "model_asked": "openai-main/gpt-4o-mini",
        "model_served": "gpt-4o-mini",
        "operation": "chat",
        "endpoint": "chat/completions",
        "status": 200,
        "upstream_status": 200,
        "latency_us": 1234,
        "input_tokens": 1000,
        "cached_tokens": 500,
        "output_tokens": 20,
        "price_version": "genai-prices/0",
        "cost_pico": 124_500_000,
        "metadata": {"env": "test"},
    }
    return AttemptRecord(**(values | changes))
