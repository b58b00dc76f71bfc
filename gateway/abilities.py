"""Which account a call on files, batches or fine-tuning goes to: accounts whose vendor offers that."""

from gateway.call import Caller
from gateway.errors import InvalidRequest
from gateway.policies import access
from gateway.runtime import runtime
from providers.snapshot import AccountPicture

# What is said of an account whose vendor lacks the ability.
WORDS = {
    "files": "the Files API",
    "uploads": "the Uploads API",
    "batches": "the Batch API",
    "fine_tuning": "fine-tuning",
}


def account_for(caller: Caller, name: str, ability: str, *, required: bool = True) -> AccountPicture:
    """Return the account ``name``, or the only one of the caller's that has ``ability``.

    Not ``required``: a named account may lack it, for what Gatehouse does itself.

    Raises :class:`~gateway.errors.NotFound`, or :class:`~gateway.errors.InvalidRequest` when the account lacks the ability or
    several have it.
    """
    if name:
        account = access.account_of(caller, name)
        if required:
            check_ability(account, ability)
        return account
    found = sorted(
        (
            account
            for account in runtime.directory.accounts.values()
            if account.enabled and ability in account.vendor.abilities and access.may_use(caller, account)
        ),
        key=lambda account: account.name,
    )
    if len(found) == 1:
        return found[0]
    raise InvalidRequest(
        "Set the header x-tfy-provider-name to the provider account that this call is for"
        + (f", for example {found[0].name}." if found else f". None of yours offers {WORDS[ability]}."),
        param="x-tfy-provider-name",
        code="provider_account_required",
    )


def check_ability(account: AccountPicture, ability: str) -> None:
    """Raise :class:`~gateway.errors.InvalidRequest` unless the account's vendor offers ``ability``."""
    if ability not in account.vendor.abilities:
        raise InvalidRequest(
            f"The provider account {account.name!r} ({account.vendor.label}) does not offer {WORDS[ability]}.",
            param="x-tfy-provider-name",
            code="unsupported_by_provider",
        )
