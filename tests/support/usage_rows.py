"""Usage records as the ledger would write them."""

import uuid
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from usage.models import UsageRecord

USUAL: dict[str, Any] = {
    "request_id": "req-1",
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
    "stream": False,
    "attempt_number": 1,
    "status": 200,
    "upstream_status": 200,
    "error_class": "",
    "latency_us": 1_234_567,
    "ttft_us": 45_600,
    "input_tokens": 1204,
    "cached_tokens": 800,
    "cache_write_tokens": 0,
    "output_tokens": 300,
    "reasoning_tokens": 12,
    "audio_input_tokens": 0,
    "audio_output_tokens": 0,
    "image_input_tokens": 0,
    "image_output_tokens": 0,
    "units": {"input_tokens": 1204},
    "service_tier": "default",
    "price_version": "genai-prices/0",
    "price_gaps": "",
    "cost_pico": 124_500_000,
    "metadata": {"feature": "search"},
    "client_gone": False,
    "bytes_in": 812,
    "bytes_out": 3100,
    "upstream_request_id": "req_up",
    "object_id": "chatcmpl-1",
    "batch_key": "",
    "batch_line": "",
}


def record(at: datetime | None = None, **changes: Any) -> UsageRecord:
    """Return an unsaved record of a usual chat completion, with ``changes``."""
    return UsageRecord(id=uuid.uuid4(), created_at=at or timezone.now(), **(USUAL | changes))


def series(count: int, step: timedelta = timedelta(seconds=1), **changes: Any) -> list[UsageRecord]:
    """Return ``count`` unsaved records, newest first, ``step`` apart."""
    now = timezone.now()
    return [record(now - step * number, **changes) for number in range(count)]
