"""Which account a call goes to that names no model, and what an account must have for it."""

from collections.abc import Callable
from itertools import islice

from accounts.caller import Caller
from gateway.access import grants
from gateway.access.grants import may_use
from gateway.call.errors import Forbidden, InvalidRequest, NotFound
from gateway.call.operation import Operation
from gateway.state import state
from providers.snapshot import AccountSnapshot, ModelSnapshot

# What is said of an account whose vendor lacks the ability.
WORDS = {
    "files": "the Files API",
    "uploads": "the Uploads API",
    "batches": "the Batch API",
    "fine_tuning": "fine-tuning",
}


# The model types that calls on an ability's objects are about: an account that has none of them hardly is the one
# meant.
ABOUT = {
    "files": ("batch", "fine_tuning", "responses", "audio_transcription"),
    "uploads": ("batch", "fine_tuning", "responses", "audio_transcription"),
    "batches": ("batch", "chat", "responses", "embedding"),
    "fine_tuning": ("fine_tuning",),
    "conversations": ("responses",),
}


def choose_account(caller: Caller, operation: Operation, named: str = "") -> AccountSnapshot:
    """Return the account of a call that names no model: the one that is ``named``, or the only one that could serve it.

    Of several accounts those count that have what the operation needs. Raises :class:`~gateway.call.errors.NotFound`,
    :class:`~gateway.call.errors.Forbidden`, or :class:`~gateway.call.errors.InvalidRequest` when several could serve
    it, none could, or a named one lacks what is needed.
    """
    if named:
        account = account_of(caller, named)
    else:
        found = fitting(caller, operation)
        if len(found) != 1:
            raise not_clear(operation, found)
        account = found[0]
    if operation.ability and operation.ability_required:
        check_ability(account, operation.ability)
    if operation.resource:
        check_open(account, operation.resource)
    return account


def able(caller: Caller, operation: Operation) -> list[AccountSnapshot]:
    """Return the caller's accounts that have what the operation needs but for a model, by name."""
    return [
        account
        for _, account in sorted(state.directory.accounts.items())
        if account.enabled
        and not account.vendor.virtual
        and may_use(caller, account)
        and not (operation.resource and not is_open(account, operation.resource))
        and not (operation.ability_required and lacks(account, operation))
    ]


def only_one(caller: Caller) -> AccountSnapshot | None:
    """Return the account of a caller who may use one alone; ``None`` for all others."""
    usable = (account for account in state.directory.accounts.values() if may_use(caller, account))
    found = list(islice(usable, 2))
    return found[0] if len(found) == 1 and found[0].enabled and not found[0].vendor.virtual else None


def lacks(account: AccountSnapshot, operation: Operation) -> bool:
    """Whether the account's vendor lacks what the operation needs."""
    return bool(operation.ability) and operation.ability not in account.vendor.abilities


def fitting(caller: Caller, operation: Operation) -> list[AccountSnapshot]:
    """Return the caller's accounts that could serve the operation, by name: each thing that it needs narrows them
    down.
    """
    found = [
        account
        for _, account in sorted(state.directory.accounts.items())
        if account.enabled and not account.vendor.virtual and may_use(caller, account)
    ]
    wanted = operation.account_type or operation.model_type
    needs: list[Callable[[AccountSnapshot], bool]] = []
    if operation.resource:
        needs.append(lambda account: is_open(account, operation.resource))
    if operation.ability:
        needs.append(lambda account: not lacks(account, operation))
        about = ABOUT.get(operation.ability, ())
        needs.append(lambda account: any(grants.offers(caller, account, kind) for kind in about))
    if wanted:
        needs.append(lambda account: grants.offers(caller, account, wanted))
    for need in needs:
        found = [account for account in found if need(account)] or found
    return found


def not_clear(operation: Operation, found: list[AccountSnapshot]) -> InvalidRequest:
    """Return the error of a call that could be for any of ``found``."""
    if found:
        hint = f", for example {found[0].name}."
    else:
        hint = f". None of yours offers {WORDS[operation.ability]}." if operation.ability in WORDS else "."
    return InvalidRequest(
        "Set the header x-tfy-provider-name to the provider account that this call is for" + hint,
        param="x-tfy-provider-name",
        code="provider_account_required",
    )


def is_open(account: AccountSnapshot, resource: str) -> bool:
    """Whether the account opens the resource."""
    return resource in account.open_resources or "*" in account.open_resources


def check_open(account: AccountSnapshot, resource: str) -> None:
    """Raise :class:`~gateway.call.errors.Forbidden` unless the account opens the resource."""
    if not is_open(account, resource):
        raise Forbidden(
            f"{resource!r} is not open on the provider account {account.name!r}. A manager of the account opens it by "
            f"adding "
            f"{resource!r} to its open resources (manifest: open_resources: [{resource}]).",
            code="resource_closed",
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
    """Return the snapshot that takes the model's place in a call that names none."""
    return ModelSnapshot(account_name=account.name, name="", upstream_id="", model_types=frozenset(), listed=False)


def usable(caller: Caller, name: str) -> AccountSnapshot:
    """Return the account ``name``, which the caller may use; raise :class:`NotFound` or :class:`Forbidden`."""
    account = state.directory.accounts.get(name)
    if account is None or not may_use(caller, account):
        raise NotFound(
            f"The provider account {name[:200]!r} does not exist or you do not have access to it.",
            param="x-tfy-provider-name",
            code="provider_account_not_found",
        )
    _check_enabled(account)
    return account


def account_of(caller: Caller, name: str) -> AccountSnapshot:
    """Return the account ``name`` for a call that names no model.

    Raises as :func:`usable` does, and :class:`InvalidRequest` for an account of virtual models.
    """
    account = usable(caller, name)
    if account.vendor.virtual:
        raise InvalidRequest(
            f"The provider account {name!r} has virtual models only: name one of them, or another account.",
            param="x-tfy-provider-name",
            code="unsupported_by_provider",
        )
    return account


def _check_enabled(account: AccountSnapshot) -> None:
    if not account.enabled:
        raise Forbidden(
            f"The provider account {account.name!r} is disabled. Ask one of its managers to enable it.",
            code="provider_account_disabled",
        )
