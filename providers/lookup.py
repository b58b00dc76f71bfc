"""Finding accounts by name for the commands, with errors that help."""

import difflib

from fernet_fields import DecryptionError

from providers.models import ProviderAccount


def find_account(name: str, *, lock: bool = False) -> ProviderAccount:
    """Return the account ``name``; with ``lock`` no one else changes it until the transaction ends.

    Raises ``ValueError`` when there is none (naming those near it) or when its key can't be decrypted.
    """
    try:
        accounts = ProviderAccount.objects.select_for_update() if lock else ProviderAccount.objects.all()
        account = accounts.filter(name=name).first()
    except DecryptionError:
        raise ValueError(undecryptable(name)) from None
    if account is None:
        names = list(ProviderAccount.objects.values_list("name", flat=True))
        near = difflib.get_close_matches(name, names, n=3) or sorted(names)[:10]
        raise ValueError(
            f"The account {name!r} does not exist. "
            + (f"Valid values: {', '.join(near)}." if near else "No account has been added yet.")
        )
    return account


def undecryptable(name: str) -> str:
    """Return the sentence for an account whose stored key was encrypted with a key that is not configured now."""
    return (
        f"The key stored for {name!r} was encrypted with another encryption key. Restore the key "
        "(GATEHOUSE_ENCRYPTION_KEYS or the data directory's encryption_key), or enter the account's key again in the "
        "admin."
    )
