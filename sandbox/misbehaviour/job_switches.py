"""How a job behaves: the words under "sandbox" in its metadata, or in a fine-tuning job's suffix.

    metadata={"sandbox": "duration=2; fail_lines=3+5-7"}
    suffix="sandbox-slow" or "sandbox-hang=queued-duration=3"

Words are `name` or `name=value`, separated by `;`, `,` or whitespace (in a suffix by `-`). What each does is said
beside its field below; a number that is left out is 1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from sandbox.errors import ApiError

KEY = "sandbox"
SUFFIX = "sandbox-"
SLOW_SECONDS = 30.0
MAX_LINES = 100_000
_SEPARATORS = re.compile(r"[;,\s]+")


@dataclass(slots=True)
class Switches:
    """What a job's maker asked of it. Those that count polls or downloads count themselves down."""

    duration: float = -1.0  # seconds from the job's creation to its end, instead of the process's default
    slow: bool = False  # a duration of 30 seconds
    hang: str = ""  # stay in this status until cancelled or expired; alone it means in_progress or running
    fail: str = ""  # fail in this status, half of the work done; alone it means while validating
    expire: bool = False  # a batch expires with half of its lines done
    shuffle: bool = False  # a batch writes its lines out of order
    fail_lines: frozenset[int] = field(default_factory=frozenset)  # "3+5-7": these lines of a batch fail
    fail_status: int = 400  # with this status
    vanish: int = -1  # 404 after N retrievals; alone at once
    http_500_polls: int = 0  # the next N retrievals answer 500
    rate_limit_polls: int = 0  # the next N retrievals answer 429
    cut_output: int = 0  # the first N downloads of the output end in the middle
    http_500_output: int = 0  # the first N downloads of the output answer 500
    output_delay: float = 0.0  # milliseconds before each KB of the output

    def seconds(self, default: float) -> float:
        """From the job's creation to its end."""
        if self.duration >= 0:
            return self.duration
        return SLOW_SECONDS if self.slow else default

    def poll(self) -> None:
        """Counts a retrieval; raises the ApiError that is to answer it, if any but the 404 of `vanished`."""
        if self.rate_limit_polls > 0:
            self.rate_limit_polls -= 1
            raise ApiError(
                "Rate limit reached for requests. Please try again in 1s.",
                status=429,
                type="requests",
                code="rate_limit_exceeded",
                headers={"retry-after": "1"},
            )
        if self.http_500_polls > 0:
            self.http_500_polls -= 1
            raise _server_error()
        if self.vanish > 0:
            self.vanish -= 1

    @property
    def vanished(self) -> bool:
        """Whether the next retrieval would find nothing."""
        return self.vanish == 0

    def download(self) -> bool:
        """Counts a download of the output; True when it is to end in the middle, raises ApiError 500 when asked."""
        if self.http_500_output > 0:
            self.http_500_output -= 1
            raise _server_error()
        if self.cut_output > 0:
            self.cut_output -= 1
            return True
        return False


_WORDS = {item.name: item for item in fields(Switches)}
_WHEN_BARE: dict[str, Any] = {"hang": "running", "fail": "validating", "vanish": 0}


def of_job(metadata: Mapping[str, str] | None, suffix: str = "") -> Switches:
    """The switches in a job's metadata and suffix; raises ApiError 400 for one that does not exist."""
    words = _SEPARATORS.split((metadata or {}).get(KEY, "").strip())
    if suffix.startswith(SUFFIX):
        words += suffix.removeprefix(SUFFIX).split("-")
    values: dict[str, Any] = {}
    for word in filter(None, words):
        name, has_value, raw = word.partition("=")
        try:
            values[name] = _value(name, raw) if has_value else _bare(name)
        except (KeyError, ValueError) as error:
            raise ApiError(
                f"The sandbox knows no switch '{word}' for a job. See sandbox/misbehaviour/job_switches.py.",
                param=f"metadata.{KEY}",
                code="unknown_sandbox_switch",
            ) from error
    return Switches(**values)


def _value(name: str, raw: str) -> Any:
    if name == "fail_lines":
        return frozenset(number for part in raw.split("+") for number in _range(part))
    kind: type = type(_WORDS[name].default)
    return raw.lower() in ("1", "true", "yes", "on") if kind is bool else kind(raw)


def _bare(name: str) -> Any:
    """The meaning of a switch written without a value; raises KeyError for one that does not exist."""
    return _WHEN_BARE.get(name, _value(name, "1"))


def _range(part: str) -> range:
    first, _, last = part.partition("-")
    lines = range(int(first), int(last or first) + 1)
    if len(lines) > MAX_LINES:
        raise ValueError(part)
    return lines


def _server_error() -> ApiError:
    return ApiError(
        "The server had an error while processing your request. Sorry about that!", status=500, type="server_error"
    )
