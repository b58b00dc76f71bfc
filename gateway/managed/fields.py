"""Fields of batches and of their files that the vendor checks, checked here where Gatehouse is in the vendor's
place.
"""

from collections.abc import Mapping
from typing import Any

from accounts.numbers import whole_number
from gateway.call.errors import InvalidRequest

WINDOW = "24h"
ANCHOR = "created_at"
LEAST_EXPIRY_SECONDS = 3600
MOST_EXPIRY_SECONDS = 2_592_000
MAX_PAIRS = 16
MAX_KEY = 64
MAX_VALUE = 512
FILE_EXPIRY = "expires_after"
EXPIRY_PARTS = (FILE_EXPIRY, f"{FILE_EXPIRY}[anchor]", f"{FILE_EXPIRY}[seconds]")
"""The parts of a multipart body that say when a file is to go."""


def check_window(window: Any) -> None:
    """Raise :class:`InvalidRequest` unless ``window`` is the one that batches have."""
    if window is None:
        raise InvalidRequest(
            f"You must provide 'completion_window': {WINDOW!r}.",
            param="completion_window",
            code="missing_required_parameter",
        )
    if window != WINDOW:
        raise InvalidRequest(
            f"'completion_window' must be {WINDOW!r}.", param="completion_window", code="invalid_value"
        )


def check_metadata(pairs: Any) -> None:
    """Raise :class:`InvalidRequest` unless ``pairs`` is nothing, or few short strings by name."""
    if pairs is None:
        return
    if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
        raise InvalidRequest("'metadata' must be an object of strings.", param="metadata", code="invalid_type")
    if len(pairs) > MAX_PAIRS:
        raise InvalidRequest(
            f"'metadata' has at most {MAX_PAIRS} pairs, not {len(pairs)}.",
            param="metadata",
            code="object_above_max_properties",
        )
    for key, value in pairs.items():
        if len(key) > MAX_KEY or len(value) > MAX_VALUE:
            raise InvalidRequest(
                f"In 'metadata' a key has at most {MAX_KEY} characters, a value {MAX_VALUE}: {key[:MAX_KEY]!r} has "
                f"more.",
                param="metadata",
                code="string_above_max_length",
            )


def expiry_seconds(asked: Any, name: str) -> int | None:
    """Return how long a file is to live, in seconds, as ``asked`` in the field ``name``; ``None``: until it is deleted.

    Raises :class:`InvalidRequest` for anything but ``{"anchor": "created_at", "seconds": 3600 to 2592000}``.
    """
    if asked is None:
        return None
    if not isinstance(asked, dict):
        raise InvalidRequest(f"'{name}' has an 'anchor' and 'seconds'.", param=name, code="invalid_type")
    if asked.get("anchor") != ANCHOR:
        raise InvalidRequest(f"'{name}.anchor' must be {ANCHOR!r}.", param=f"{name}.anchor", code="invalid_value")
    seconds = asked.get("seconds")
    if type(seconds) is not int or not LEAST_EXPIRY_SECONDS <= seconds <= MOST_EXPIRY_SECONDS:
        raise InvalidRequest(
            f"'{name}.seconds' must be a whole number from {LEAST_EXPIRY_SECONDS} to {MOST_EXPIRY_SECONDS}.",
            param=f"{name}.seconds",
            code="invalid_value",
        )
    return seconds


def form_expiry(parts: Mapping[str, str]) -> int | None:
    """Return what the parts :data:`EXPIRY_PARTS` of a form ask for, as :func:`expiry_seconds` does."""
    whole, anchor, seconds = (parts.get(name) for name in EXPIRY_PARTS)
    if whole is not None:
        return expiry_seconds(whole, FILE_EXPIRY)  # raises: it comes in two parts
    if anchor is None and seconds is None:
        return None
    return expiry_seconds({"anchor": anchor, "seconds": whole_number(seconds or "")}, FILE_EXPIRY)
