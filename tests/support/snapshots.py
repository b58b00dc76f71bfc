"""Accounts, models and callers as the hot path sees them, made by hand for checks that need no server."""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from accounts.caller import Caller
from providers.snapshot import AccountSnapshot, ModelSnapshot
from providers.vendors import VENDORS

EMPTY: Mapping[str, Any] = {"str": "", "int": 0, "float": 0.0, "bool": False}


def _blank(cls: Any, **given: Any) -> Any:
    """An instance with what is given, and something empty for every other field without a default."""
    names = {field.name: str(field.type) for field in fields(cls) if field.init}
    known = {name: value for name, value in given.items() if name in names}
    assert known.keys() == given.keys()
    required = {
        field.name: EMPTY.get(str(field.type), getattr(field.type, "__name__", "") and None)
        for field in fields(cls)
        if field.default is field.default_factory and field.name not in given
    }
    return cls(**required, **given)


def model(name: str, upstream_id: str = "", account: str = "acme", **more: Any) -> ModelSnapshot:
    """A listed chat model."""
    return ModelSnapshot(
        account_name=account, name=name, upstream_id=upstream_id or name, model_types=frozenset({"chat"}), **more
    )


def account(*models: ModelSnapshot, name: str = "acme", **more: Any) -> AccountSnapshot:
    """An account that user 1 may use."""
    given = {
        "vendor": VENDORS["openai"],
        "name": name,
        "users": frozenset({"user:1"}),
        "managers": frozenset(),
        "enabled": True,
        "any_model": False,
        "isolation": "owner",
        "models": {each.name: each for each in models},
        "upstream_ids": {each.upstream_id.lower(): each for each in reversed(models)},
        "own_secrets": (),
        "headers": (),
        "open_resources": frozenset(),
        "proxy_paths": (),
        "discount_bp": 0,
        "url": "http://127.0.0.1:9/v1",
    }
    return _blank(AccountSnapshot, **{**given, **more})  # type: ignore[no-any-return]


def with_keys(single: AccountSnapshot, *names: str) -> AccountSnapshot:
    """The account with several keys."""
    each = tuple(replace(single, key=name, revision="1") for name in names)
    return replace(each[0], pool=each)


def caller(*limits: str, **more: Any) -> Caller:
    """User 1, with a token that is limited when limits are given."""
    given = {
        "subject_type": "user",
        "subject_id": 1,
        "principals": frozenset({"user:1", "everyone"}),
        "teams": (),
        "team_keys": (),
        "tags": {},
        "limits": frozenset(limits) if limits else None,
        "state": "active",
        "expires_at": None,
    }
    return _blank(Caller, **{**given, **more})  # type: ignore[no-any-return]
