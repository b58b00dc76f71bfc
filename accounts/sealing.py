"""Secrets that a browser carries for a moment, in a cookie that it can't read: encrypted, so that no server has to keep
them.
"""

import base64

from cryptography.fernet import Fernet, InvalidToken
from django.utils.crypto import salted_hmac


def seal(secret: str) -> str:
    """Return ``secret`` encrypted for :func:`unseal`."""
    return _cipher().encrypt(secret.encode()).decode()


def unseal(sealed: str, seconds: int) -> str:
    """Return what :func:`seal` encrypted at most so many seconds ago; empty for anything else."""
    try:
        return _cipher().decrypt(sealed.encode(), ttl=seconds).decode()
    except (InvalidToken, ValueError):
        return ""


def _cipher() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(salted_hmac("gatehouse.sealed", "key", algorithm="sha256").digest()))
