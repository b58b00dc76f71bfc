"""The form of an API token, and what can be said of one without asking anybody.

A token is ``gh-`` + 40 random characters + 6 characters of checksum, all base 62. The random part carries 238 bits, so
a plain SHA-256 of the whole token is a safe thing to store: there is nothing to guess. The checksum (CRC-32 of what
comes before it) distinguishes a mistyped token from a revoked one offline.
"""

import hashlib
import secrets
import string
import zlib

PREFIX = "gh-"
RANDOM_CHARACTERS = 40
CHECKSUM_CHARACTERS = 6
VISIBLE_CHARACTERS = 10
LENGTH = len(PREFIX) + RANDOM_CHARACTERS + CHECKSUM_CHARACTERS
ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase


def new_token() -> str:
    """Return a fresh token; the only time it is seen whole."""
    body = PREFIX + "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_CHARACTERS))
    return body + _checksum(body)


def digest(token: str) -> str:
    """Return the SHA-256 of the whole token, in hexadecimal: what is stored and looked up."""
    return hashlib.sha256(token.encode()).hexdigest()


def visible_prefix(token: str) -> str:
    """Return the part of a token that pages and logs may show."""
    return token[:VISIBLE_CHARACTERS]


def fault(token: str) -> str | None:
    """Say what is wrong with the form of ``token``, or ``None`` when it could be one of ours."""
    if not token.startswith(PREFIX):
        return f"Gatehouse tokens start with '{PREFIX}'"
    if len(token) != LENGTH:
        return f"a token has {LENGTH} characters, this one has {len(token)}; part of it is missing or added"
    if _checksum(token[:-CHECKSUM_CHARACTERS]) != token[-CHECKSUM_CHARACTERS:]:
        return "its checksum does not match: at least one character is mistyped"
    return None


def _checksum(body: str) -> str:
    rest = zlib.crc32(body.encode())
    digits = []
    for _ in range(CHECKSUM_CHARACTERS):
        rest, digit = divmod(rest, len(ALPHABET))
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits))
