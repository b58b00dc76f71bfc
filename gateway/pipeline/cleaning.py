"""Takes an account's secrets out of what its upstream answered."""

from providers.redaction import TooManyEscapes, redactor
from providers.snapshot import AccountSnapshot
from providers.upstream.failures import BrokenAnswer


async def cleaned(account: AccountSnapshot, body: bytes) -> bytes:
    """Return ``body`` without the account's secrets.

    Raises ``BrokenAnswer`` for one that can't be searched in the time that one answer has.
    """
    try:
        return await redactor(account.secrets).large(body)
    except TooManyEscapes as error:
        raise BrokenAnswer(str(error)) from None
