"""Which account and model a session goes to, and whether its caller may: the same rules as for a request.

The account in the path binds: every model that the session names means one of that account's.
"""

from collections.abc import Iterator
from typing import Any

from accounts.caller import Caller
from gateway.access import accounts as access_accounts
from gateway.access import models as access
from gateway.access import named_models
from gateway.call.errors import Forbidden, InvalidRequest
from gateway.realtime.client_secrets import ClientSecret
from gateway.realtime.frames import refuse_other_case
from gateway.realtime.kinds import SECRET_KINDS, Kind
from gateway.state import state
from providers.snapshot import AccountSnapshot, ModelSnapshot, Target

# Where in a session's settings models are named, and what each must be registered for (any of the types).
MODEL_PLACES: dict[tuple[str, ...], tuple[str, ...]] = {
    ("model",): ("realtime",),
    ("audio", "input", "transcription", "model"): ("audio_transcription", "realtime"),
    ("input_audio_transcription", "model"): ("audio_transcription", "realtime"),
    ("delegation", "responses", "model"): ("responses", "chat"),
    ("delegation", "decisions", "model"): ("responses", "chat"),
}


def resolve(caller: Caller, account: AccountSnapshot, name: str, *model_types: str) -> Target:
    """Return what the model ``name`` means on ``account``: its public name, ``account/name`` or the vendor's own.

    It must be registered for one of ``model_types``. Raises :class:`~gateway.call.errors.ModelNotFound`,
    :class:`~gateway.call.errors.InvalidRequest` and :class:`~gateway.call.errors.Forbidden`.
    """
    prefix, slash, _ = name.partition("/")
    named = state.directory.accounts.get(prefix) if slash else None
    if named is not None and named is not account:
        raise InvalidRequest(
            f"This socket is for the provider account {account.name!r}; it can't call {name[:200]!r}.",
            param="model",
            code="model_on_other_account",
        )
    target = access.on_account(caller, account, name, *model_types)
    check_type(target.model, model_types)
    return target


def check_type(model: ModelSnapshot, model_types: tuple[str, ...]) -> None:
    """Raise :class:`~gateway.call.errors.InvalidRequest` when the model is registered for none of ``model_types``."""
    if model.listed and model.model_types.isdisjoint(model_types):
        raise InvalidRequest(
            f"{model_types[0]} is not supported for the model", param="model", code="unsupported_model_type"
        )


def account_for(caller: Caller, kind: Kind, in_path: str, in_header: str, model: str) -> AccountSnapshot | None:
    """Return the account of a socket: of its path, the header, the model's prefix, or the only one that offers the
    model.

    ``None``: the first event will say. Raises :class:`~gateway.call.errors.NotFound`,
    :class:`~gateway.call.errors.Forbidden` and
    :class:`~gateway.call.errors.InvalidRequest`.
    """
    name = in_path or in_header
    if name:
        return access_accounts.account_of(caller, name)
    if model:
        return access.resolve(caller, model, "").account
    if kind.models_in_events:
        return None
    return access_accounts.choose_account(caller, kind.operation)


def check_secret(secret: ClientSecret, kind: Kind, in_path: str, in_header: str, intent: str) -> None:
    """Raise :class:`~gateway.call.errors.Forbidden` for a socket of another kind, or on another account, than the
    secret's.
    """
    if SECRET_KINDS[secret.kind] is not kind or (intent == "transcription") > (secret.kind == "transcription"):
        raise out_of_scope(secret)
    for name in (in_path, in_header):
        check_secret_account(secret, name or secret.account)


def check_secret_account(secret: ClientSecret, name: str) -> None:
    """Raise :class:`~gateway.call.errors.Forbidden` for a session on another account than the client secret's."""
    if state.directory.current_name(name) != state.directory.current_name(secret.account):
        raise Forbidden(
            f"This client secret is for the provider account {secret.account!r} only.", code="client_secret_scope"
        )


def out_of_scope(secret: ClientSecret) -> Forbidden:
    """Return the error for a session of another kind than the client secret's."""
    return Forbidden(f"This client secret is for sessions of the kind {secret.kind} only.", code="client_secret_scope")


def check_secret_model(secret: ClientSecret, target: Target, meant: Target) -> None:
    """Raise :class:`~gateway.call.errors.Forbidden` when a socket is for another model than its client secret."""
    if target.model.upstream_id != meant.model.upstream_id:
        raise Forbidden(f"This client secret is for the model {secret.model!r} only.", code="client_secret_scope")


def models_in(session: Any) -> Iterator[tuple[dict[str, Any], str, tuple[str, ...]]]:
    """Yield ``(holder, name, model types)`` for every model that a session's settings name; the holder's ``model`` is
    it. Raises :class:`~gateway.call.errors.InvalidRequest` for a place that is written in another case.
    """
    for path, types in MODEL_PLACES.items():
        node = session
        for step in path[:-1]:
            _refuse_other_case(node, step)
            node = node.get(step) if isinstance(node, dict) else None
        _refuse_other_case(node, path[-1])
        if not isinstance(node, dict) or node.get("model") is None:
            continue
        if not isinstance(node["model"], str):
            raise InvalidRequest("'model' must be a string.", param="session." + ".".join(path), code="invalid_type")
        yield node, node["model"], types


def _refuse_other_case(node: Any, step: str) -> None:
    if isinstance(node, dict):
        refuse_other_case(node, {step})


def admit_settings(caller: Caller, account: AccountSnapshot, session: Any) -> dict[tuple[str, ...], Target]:
    """Check every model that a session's settings name, and put the vendor's names in.

    Return the targets by model types.
    """
    targets = {}
    for holder, name, types in models_in(session):
        target = targets[types] = resolve(caller, account, name, *types)
        holder["model"] = target.model.upstream_id
    if isinstance(session, dict):
        named_models.rename_all(caller, account, {name: each for name, each in session.items() if name != "model"})
    return targets


def references_of(target: Target) -> list[tuple[str, str]]:
    """Return the model as an object that has an owner, when someone had it fine-tuned and no one listed it."""
    return named_models.references_to([target.model])
