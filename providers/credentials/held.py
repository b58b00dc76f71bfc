"""The access token that a process holds for a credential: shared by all that use it, renewed ahead of its end."""

import hashlib
import threading
import time
from collections.abc import Callable
from weakref import WeakValueDictionary

from providers.credentials.exchange import Token, TokenRefused
from providers.credentials.kinds import Credential, write

AHEAD_SECONDS = 300.0
"""How long before its end a token is renewed, or a quarter of its life where that is shorter."""
QUIET_SECONDS = 5.0
"""How long a refusal counts before a token is asked for again."""


class HeldToken:
    """The token of one credential. Reading and replacing it is safe in any thread."""

    def __init__(self, credential: Credential, clock: Callable[[], float] = time.time) -> None:
        self.credential = credential
        self._clock = clock
        self._token: Token | None = None
        self._former = ""  # answers to calls that it signed may still come
        self._renew_at = 0.0
        self._refused: tuple[TokenRefused, float] | None = None
        self.renewing: object | None = None
        """What renews it in the event loop, set by that."""

    @property
    def value(self) -> str:
        """The token; empty when there is none that holds still."""
        token = self._token
        return token.value if token is not None and self._clock() < token.ends else ""

    @property
    def due(self) -> bool:
        """Whether a new one should be asked for: there is none, or it ends soon."""
        return not self.value or self._clock() >= self._renew_at

    @property
    def refusal(self) -> TokenRefused | None:
        """The last refusal, as long as it counts."""
        refused = self._refused
        return refused[0] if refused is not None and self._clock() < refused[1] else None

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """What must not go out: the credential's secrets, the token and the one before it."""
        token = self._token.value if self._token is not None else ""
        return tuple(value.encode() for value in (*self.credential.secrets, token, self._former) if value)

    def keep(self, token: Token) -> None:
        """Hold a new token."""
        left = max(token.ends - self._clock(), 0.0)
        self._renew_at = token.ends - min(AHEAD_SECONDS, left / 4)
        self._former = self._token.value if self._token is not None else self._former
        self._token, self._refused = token, None

    def refuse(self, refusal: TokenRefused) -> None:
        """Note that no new token came; the present one goes on until its end."""
        self._refused = refusal, self._clock() + QUIET_SECONDS

    def drop(self, value: str) -> None:
        """Forget a token that the provider does not take any more."""
        if self._token is not None and self._token.value == value:
            self._token, self._former = None, value


_held: WeakValueDictionary[bytes, HeldToken] = WeakValueDictionary()
_lock = threading.Lock()


def held(credential: Credential) -> HeldToken:
    """Return the process's token for a credential: the same for all that have the same one."""
    key = hashlib.sha256(write(credential).encode()).digest()
    with _lock:
        found = _held.get(key)
        if found is None:
            found = _held[key] = HeldToken(credential)
        return found
