"""Two-factor sign-in: a code of an authenticator app (TOTP, RFC 6238), or one of ten recovery codes.

django-allauth keeps the seeds, encrypted like every other secret here. What looks at a code counts the try first
(``accounts.sign_in``).
"""

import logging
from typing import Any

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from cryptography.fernet import InvalidToken
from django.db import transaction
from fernet_fields import EncryptedTextField

from accounts import audit
from accounts.models import User

logger = logging.getLogger("accounts.two_factor")

_cipher = EncryptedTextField()


class Adapter(DefaultMFAAdapter):  # type: ignore[misc]
    """Encrypts what django-allauth stores with ``GATEHOUSE_ENCRYPTION_KEYS``."""

    def encrypt(self, text: str) -> str:
        sealed: bytes = _cipher.fernet.encrypt(text.encode())
        return sealed.decode()

    def decrypt(self, encrypted_text: str) -> str:
        opened: bytes = _cipher.fernet.decrypt(encrypted_text.encode())
        return opened.decode()


def is_on(user: Any) -> bool:
    """Whether ``user`` is asked for a code."""
    return Authenticator.objects.filter(user=user, type=Authenticator.Type.TOTP).exists()


def new_seed() -> str:
    """Return a seed for an authenticator app, in base 32."""
    from allauth.mfa.totp.internal.auth import generate_totp_secret  # brings much that starting needs not

    seed: str = generate_totp_secret()
    return seed


def qr_code(user: Any, seed: str) -> str:
    """Return the code for an app's camera, as an SVG."""
    adapter = Adapter()
    return str(adapter.build_totp_svg(adapter.build_totp_url(user, seed)))


def turn_on(user: Any, seed: str, code: str) -> list[str] | None:
    """Store ``seed`` when ``code`` is its present one; return the recovery codes, ``None`` for a wrong code."""
    from allauth.mfa.totp.internal.auth import TOTP, validate_totp_code  # as above

    if not validate_totp_code(seed, code):
        return None
    with transaction.atomic():
        Authenticator.objects.filter(user=user).delete()
        TOTP.activate(user, seed)
        audit.note(user, "turned two-factor sign-in on")
        return _new_codes(user)


def check(user: Any, code: str) -> str:
    """Return what ``code`` is of ``user``'s, used up by this: ``code`` or ``recovery code``; else empty."""
    for kept in Authenticator.objects.filter(user=user).order_by("-type"):
        try:
            right = bool(kept.wrap().validate_code(code))
        except InvalidToken:
            logger.error("The two-factor seed of %s can't be decrypted: the encryption key was changed.", user.email)
            continue
        if right:
            kept.record_usage()
            return "code" if kept.type == Authenticator.Type.TOTP else "recovery code"
    return ""


def renew_codes(user: Any) -> list[str]:
    """Return ten new recovery codes; the ones before work no more."""
    with transaction.atomic():
        Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).delete()
        audit.note(user, "made new recovery codes")
        return _new_codes(user)


def codes_left(user: Any) -> int:
    """Return how many recovery codes are unused; 0 when they can't be decrypted."""
    kept = Authenticator.objects.filter(user=user, type=Authenticator.Type.RECOVERY_CODES).first()
    try:
        return len(kept.wrap().get_unused_codes()) if kept else 0
    except InvalidToken:
        return 0


def turn_off(user: User) -> bool:
    """Ask ``user`` for no code any more; return whether one was asked for."""
    with transaction.atomic():
        was_on = is_on(user)
        Authenticator.objects.filter(user=user).delete()
        if was_on:
            audit.note(user, "turned two-factor sign-in off")
    return was_on


def _new_codes(user: Any) -> list[str]:
    from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes  # as above

    return list(RecoveryCodes.activate(user).get_unused_codes())
