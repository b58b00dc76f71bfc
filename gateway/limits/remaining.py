"""What is left of the limits that counted a call, as headers: OpenAI's ``x-ratelimit-*``."""

from collections.abc import Sequence
from typing import Final

from gateway.limits.checks import Asked, Outcome

SHOWN: Final = {"requests": b"requests", "input": b"tokens", "output": b"tokens", "total": b"tokens"}


def limit_headers(asked: Sequence[Asked], outcomes: Sequence[Outcome]) -> list[tuple[bytes, bytes]]:
    """Return limit, remaining and reset of the tightest limit on requests and of that on tokens.

    Rules in audit mode say nothing: they limit nothing.
    """
    tightest: dict[bytes, tuple[float, int, int, float]] = {}
    for one, outcome in zip(asked, outcomes, strict=True):
        check = one.check
        if not check.unit.seconds or check.rule.mode == "audit":
            continue
        left = max(0, check.limit - outcome.used)
        row = (left / check.limit if check.limit else 0.0, check.limit, left, outcome.reset)
        name = SHOWN[check.unit.counts]
        if name not in tightest or row < tightest[name]:
            tightest[name] = row
    headers = []
    for name, (_, limit, left, reset) in tightest.items():
        headers += [
            (b"x-ratelimit-limit-" + name, b"%d" % limit),
            (b"x-ratelimit-remaining-" + name, b"%d" % left),
            (b"x-ratelimit-reset-" + name, duration(reset)),
        ]
    return headers


def duration(seconds: float) -> bytes:
    """Return a duration as OpenAI writes it: ``120ms``, ``1.5s``, ``6m0s``, ``2h0m5s``."""
    if seconds < 1:
        return b"%dms" % round(seconds * 1000)
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".").encode() + b"s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return b"%dh%dm%ds" % (hours, minutes, rest) if hours else b"%dm%ds" % (minutes, rest)
