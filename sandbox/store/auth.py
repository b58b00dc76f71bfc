"""The API key: refused in OpenAI's words, and what belongs to it."""

from contextvars import ContextVar
from typing import Any

from sandbox.errors import ApiError
from sandbox.state import State, Store

_caller: ContextVar[str] = ContextVar("caller", default="")

_MISSING = (
    "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth "
    "(i.e. Authorization: Bearer YOUR_KEY), or as the password field (with blank username) if you're accessing the "
    "API from your browser and are prompted for a username and password. You can obtain an API key from "
    "https://platform.openai.com/account/api-keys."
)


def check_key(keys: frozenset[bytes], authorization: bytes) -> None:
    """Raises ApiError 401 unless `authorization` is `Bearer` and one of `keys`, which is then the caller."""
    scheme, _, key = authorization.partition(b" ")
    key = key.strip()
    if scheme.lower() == b"bearer" and admit(keys, key):
        return
    if not key or scheme.lower() != b"bearer":
        raise ApiError(_MISSING, status=401)
    raise ApiError(
        f"Incorrect API key provided: {_masked(key.decode('latin-1'))}. You can find your API key at "
        "https://platform.openai.com/account/api-keys.",
        status=401,
        code="invalid_api_key",
    )


def admit(keys: frozenset[bytes], key: bytes) -> bool:
    """Whether `key` is one of `keys`; if so it is the caller from then on."""
    if key not in keys:
        return False
    _caller.set(key.decode("latin-1"))
    return True


def owned(state: State, name: str, limit: int = 10_000) -> Store[str, Any]:
    """The store `name` of the key that the request at hand came with; tasks that the request starts keep it."""
    return state.store(f"{name} of {_caller.get()}", limit)


def _masked(key: str) -> str:
    """The key as OpenAI shows it: its first 8 and last 4 characters, when it is long enough to hide the rest."""
    if len(key) <= 12:
        return "*" * len(key)
    return f"{key[:8]}{'*' * min(len(key) - 12, 30)}{key[-4:]}"
