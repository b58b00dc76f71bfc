"""Models as batches and fine-tuning name them: the vendor's own bare name, on an account that the header names."""

from dataclasses import replace

from accounts.caller import Caller
from gateway.access import grants, model_names
from gateway.access import models as access
from gateway.access.model_names import SNAPSHOT
from gateway.call.errors import Forbidden, InvalidRequest
from gateway.directory.accounts import unlisted_model
from gateway.state import state
from providers.snapshot import AccountSnapshot, ModelSnapshot, Target


def resolve(caller: Caller, account: AccountSnapshot, name: str, *model_types: str) -> Target:
    """Return what the vendor's model ``name`` means to ``caller`` on ``account``, for work of all ``model_types``.

    A dated snapshot that is not listed is open to every caller who may use that model. Raises
    :class:`~gateway.call.errors.ModelNotFound`, and :class:`~gateway.call.errors.InvalidRequest` for a name with an
    account before it, a public name that is not the vendor's, or a model that is not registered for the work.
    """
    _refuse_public_name(account, name)
    if not account.enabled:
        raise Forbidden(f"The provider account {account.name!r} is disabled.", code="provider_account_disabled")
    model = access.by_upstream_name(caller, account, name, *model_types, exact=True)
    if model is None and not access.is_listed(account, name) and not access.is_narrowed(caller, account, name):
        model = _unlisted(caller, account, name, model_types)
    if model is None:
        raise access.not_found(name, f" on provider account {account.name!r}")
    missing = [kind for kind in model_types if kind not in model.model_types] if model.listed else []
    if missing:
        raise InvalidRequest(
            f"{missing[0]} is not supported for the model {name[:200]!r}", param="model", code="unsupported_model_type"
        )
    return Target(account, model)


def _unlisted(
    caller: Caller, account: AccountSnapshot, name: str, model_types: tuple[str, ...]
) -> ModelSnapshot | None:
    """Return what an unlisted name means: a dated snapshot of a listed model, or on an account that passes any
    name on, that one.
    """
    base = SNAPSHOT.sub("", name)
    found = access.by_upstream_name(caller, account, base, *model_types, exact=True) if base != name else None
    if found is not None:
        return replace(found, upstream_id=name)
    if not account.any_model or not access.UNLISTED_NAME.fullmatch(name):
        return None
    if access.holds_narrowed(caller, account, name):
        return None
    unlisted = unlisted_model(account, name)
    return unlisted if grants.may_call(caller, account, unlisted) else None


def is_fine_tuned(target: Target) -> bool:
    """Whether the model is one that someone had fine-tuned and that no administrator has listed: it has an owner."""
    return not target.model.listed and model_names.is_fine_tuned(target.model.upstream_id)


def _refuse_public_name(account: AccountSnapshot, name: str) -> None:
    prefix, slash, rest = name.partition("/")
    if slash and prefix in state.directory.accounts:
        raise InvalidRequest(
            f"Write the vendor's bare model name here, {rest[:200]!r}, not {name[:200]!r}: the account comes from "
            f"x-tfy-provider-name.",
            param="model",
            code="bare_model_name_required",
        )
    listed = account.models.get(name)
    if listed is not None and listed.upstream_id != name and name.lower() not in account.upstream_ids:
        raise InvalidRequest(
            f"Write the vendor's own model name here, {listed.upstream_id!r}, not {name[:200]!r}.",
            param="model",
            code="bare_model_name_required",
        )
