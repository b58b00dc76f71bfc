"""Which account a call on files, batches or fine-tuning goes to: accounts whose vendor offers that."""

from accounts.caller import Caller
from gateway.access import accounts as access_accounts
from gateway.access import grants
from gateway.access.grants import may_use
from gateway.call import errors
from gateway.call.errors import Forbidden, InvalidRequest, NotFound
from gateway.state import state
from providers.snapshot import AccountSnapshot, ModelSnapshot

# What is said of an account whose vendor lacks the ability.
WORDS = {
    "files": "the Files API",
    "uploads": "the Uploads API",
    "batches": "the Batch API",
    "fine_tuning": "fine-tuning",
}


def account_for(caller: Caller, name: str, ability: str, *, required: bool = True) -> AccountSnapshot:
    """Return the account ``name``, or the only one of the caller's that has ``ability``.

    Not ``required``: a named account may lack it, for what Gatehouse does itself.

    Raises :class:`~gateway.call.errors.NotFound`, or :class:`~gateway.call.errors.InvalidRequest` when the account lacks the ability or
    several have it.
    """
    if name:
        account = access_accounts.account_of(caller, name)
        if required:
            check_ability(account, ability)
        return account
    found = sorted(
        (
            account
            for account in state.directory.accounts.values()
            if account.enabled and ability in account.vendor.abilities and grants.may_use(caller, account)
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


def check_ability(account: AccountSnapshot, ability: str) -> None:
    """Raise :class:`~gateway.call.errors.InvalidRequest` unless the account's vendor offers ``ability``."""
    if ability not in account.vendor.abilities:
        raise InvalidRequest(
            f"The provider account {account.name!r} ({account.vendor.label}) does not offer {WORDS[ability]}.",
            param="x-tfy-provider-name",
            code="unsupported_by_provider",
        )


def no_model(account: AccountSnapshot) -> ModelSnapshot:
    """Return the snapshot that stands for the model in a call that names none."""
    return ModelSnapshot(account_name=account.name, name="", upstream_id="", model_types=frozenset(), listed=False)


def account_of(caller: Caller, name: str) -> AccountSnapshot:
    """Return the account ``name`` for a call that names no model; raise :class:`NotFound` or :class:`Forbidden`."""
    account = state.directory.accounts.get(name)
    if account is None or not may_use(caller, account):
        raise NotFound(
            f"The provider account {name!r} does not exist or you do not have access to it.",
            param="x-tfy-provider-name",
            code="provider_account_not_found",
        )
    _check_enabled(account)
    return account


def _check_enabled(account: AccountSnapshot) -> None:
    if not account.enabled:
        raise Forbidden(
            f"The provider account {account.name!r} is disabled. Ask one of its managers to enable it.",
            code="provider_account_disabled",
        )


def only_account(caller: Caller, model_type: str = "") -> str:
    """Return the one account that ``caller`` may use (for ``model_type``); raise when there are several, or none."""
    names = sorted(
        account.name
        for account in state.directory.accounts.values()
        if account.enabled and grants.may_use(caller, account) and grants.offers(caller, account, model_type)
    )
    if len(names) == 1:
        return names[0]
    raise errors.InvalidRequest(
        "Set the header x-tfy-provider-name to the provider account that this call is for"
        + (f", for example {names[0]}." if names else "."),
        param="x-tfy-provider-name",
        code="provider_account_required",
    )
