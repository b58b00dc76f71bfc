"""Which host a stored secret was entered for.

Every account has a seal beside its secrets: encrypted and authenticated under the same keys, it names for each secret
the origin that it was entered for, and holds the secret's digest. A secret may leave only for that origin, so neither a
race of two forms, nor a copied or restored column, nor an address written past the forms takes it elsewhere.
"""

import hashlib
from collections.abc import Mapping

import msgspec

from providers.origins import Origin

OTHER_HOST = "other host"
UNSEALED = "unsealed"


class Seal(msgspec.Struct, array_like=True, frozen=True):
    """A secret's origin, as text, and the secret's SHA-256 in hex."""

    origin: str
    digest: str


def sealed(secret: str, origin: Origin) -> Seal:
    """Return the seal of a secret that was entered for ``origin``."""
    return Seal(str(origin), _digest(secret))


def fault(seal: Seal | None, secret: str, origin: Origin) -> str:
    """Say why ``secret`` may not be sent to ``origin``: :data:`OTHER_HOST`, :data:`UNSEALED`; empty: it may.

    Unsealed is also what another program, or an older release, wrote beside a seal.
    """
    if seal is None or seal.digest != _digest(secret):
        return UNSEALED
    return "" if seal.origin == str(origin) else OTHER_HOST


def read(text: str | None) -> dict[str, Seal]:
    """Return the seals by column that :func:`write` wrote; none for what it did not write."""
    try:
        return _decoder.decode(text) if text else {}
    except msgspec.DecodeError:
        return {}


def write(seals: Mapping[str, Seal]) -> str:
    """Return seals as text, which the column encrypts."""
    return msgspec.json.encode(seals).decode() if seals else ""


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


_decoder = msgspec.json.Decoder(dict[str, Seal])
