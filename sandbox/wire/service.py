"""What all of a vendor's routes share: how they ask for the key, word their errors and label their answers."""

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from sandbox.errors import ApiError
from sandbox.misbehaviour.faults import Faults
from sandbox.wire.messages import Headers, Response

CheckKey = Callable[[frozenset[bytes], Mapping[bytes, bytes], bytes], None]


class Service(NamedTuple):
    """A vendor. `check_key` takes the accepted keys, a request's headers and its query string, and raises ApiError;
    `status_error` is the error of `status=N`; `headers` takes a request's id and its start by `time.perf_counter()`.
    """

    check_key: CheckKey
    error_response: Callable[[ApiError], Response]
    status_error: Callable[[Faults], ApiError]
    headers: Callable[[str, float], Headers]


def milliseconds_since(started: float) -> int:
    """The whole milliseconds since a `time.perf_counter()`."""
    return int((time.perf_counter() - started) * 1000)


def retry_header(faults: Faults) -> dict[str, str]:
    """The header of `retry-after=S`; none when it is not asked for."""
    return {"retry-after": faults.retry_after} if faults.retry_after else {}


def said(faults: Faults) -> str:
    """The message of `message=M`; empty when it is not asked for."""
    return faults.message.replace("_", " ")
