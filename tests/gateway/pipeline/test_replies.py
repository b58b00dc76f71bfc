"""The headers that a reply has of its upstream's answer."""

from types import SimpleNamespace
from typing import Any

from gateway.pipeline.replies import reply_headers
from providers.upstream.headers import Headers

SECRET = b"sk-upstream-0123456789"


def passed(*headers: tuple[bytes, bytes]) -> dict[bytes, bytes]:
    """What of an answer's headers the client gets."""
    plan = SimpleNamespace(rules=())
    call = SimpleNamespace(limits=None, plan=plan, started_ns=0, operation=SimpleNamespace(raw=False))
    target = SimpleNamespace(
        model=SimpleNamespace(public_name="a/m"), account=SimpleNamespace(secrets=(SECRET, b"two\nlines"))
    )
    attempt: Any = SimpleNamespace(call=call, target=target, dropped=(), upstream_ms=0.0)
    answer: Any = SimpleNamespace(status=200, headers=Headers(list(headers)))
    return dict(reply_headers(attempt, answer, 200))


def test_secrets_are_taken_out_of_each_header() -> None:
    kept = (b"x-ratelimit-limit-requests", b"100")
    found = passed(kept, (b"openai-version", b"v " + SECRET), (b"x-request-id", SECRET), (b"set-cookie", b"a=b"))
    assert found[b"openai-version"] == b"v [redacted]"
    assert found[b"x-upstream-request-id"] == b"[redacted]"
    assert kept in found.items()
    assert b"set-cookie" not in found


def test_values_that_make_a_secret_only_together_stay() -> None:
    found = passed((b"openai-version", b"two"), (b"openai-model", b"lines"))
    assert (found[b"openai-version"], found[b"openai-model"]) == (b"two", b"lines")
