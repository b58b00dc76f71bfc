"""From manifests to what they ask for: the fields of each type, their defaults, and what is wrong with them."""

import difflib
from collections.abc import Callable, Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from accounts.models import RESERVED_TEAM
from providers.catalogue.models import known_model
from providers.manifests.cost import read_cost
from providers.manifests.cursor import Cursor, Reading, Secret
from providers.manifests.read import Document
from providers.manifests.wanted import (
    EVERYONE,
    GrantKey,
    Wanted,
    WantedAccount,
    WantedKey,
    WantedModel,
    WantedTeam,
    WantedUser,
    WantedVirtualAccount,
)
from providers.models import Model, ProviderAccount
from providers.vendors import FEATURES, MODEL_TYPES, VENDORS

ROLES = {"provider-account-manager": "manager", "provider-account-access": "user"}
SUBJECT_KINDS = {
    "user": "user",
    "team": "team",
    "virtualaccount": "virtualaccount",
    "virtual-account": "virtualaccount",
}
USER_FLAGS = ("is_active", "is_staff", "is_superuser")
USER_TEXTS = ("first_name", "last_name")
ACCOUNT_TEXTS = ("base_url", "organization", "project")
ACCOUNT_FLAGS = ("enabled", "any_model", "register_fine_tuned")
ACCOUNT_LISTS = ("open_resources", "proxy_paths")
ACCOUNT_SECONDS = ("connect_timeout", "read_timeout")
FIELDS = {
    "user": ("type", "email", *USER_FLAGS, *USER_TEXTS),
    "team": ("type", "name", "displayName", "description", "managers", "members"),
    "virtual-account": (
        "type", "name", "displayName", "description", "enabled", "permissions", "tags", "ownedBy",
    ),
    "provider-account": (
        "type", "name", "auth_data", *ACCOUNT_TEXTS, *ACCOUNT_FLAGS, *ACCOUNT_LISTS, *ACCOUNT_SECONDS,
        "connection_limit", "discount_percent", "extra_headers", "isolation", "collaborators", "integrations",
    ),
    "model": (
        "type", "name", "model_id", "model_types", "cost", "authorized_subjects", "features", "context_window",
        "max_output_tokens", "deprecated_on", "enabled",
    ),
}  # fmt: skip
# Fields of the contract that Gatehouse has no use for: accepted, told, and not stored.
NO_MAPPING = "sign-in decides who is who, not the manifest."
PASSED_OVER = {
    "team": {
        "tags": "teams carry no tags here.",
        "ownedBy": "superusers own every team.",
        "identity_provider_mapping": NO_MAPPING,
    },
    "virtual-account": {
        "expiration_date": "every token has its own expiry: create_token --expires.",
        "auto_rotate": "make a new token and revoke the old one when it is time.",
        "notification_target": "nothing is sent when a token ends.",
        "secret_store_config": "tokens are shown once and kept nowhere.",
        "token_type": "there is one form of token.",
        "identity_provider_mapping": NO_MAPPING,
    },
    "provider-account": {
        "ownedBy": "its managers and the superusers own it.",
        "owned_by": "its managers and the superusers own it.",
    },
}
HINTS = {
    "hosted_model_name": "Write it as model_id.",
    "url": "The address belongs to the account: write it there as base_url.",
    "headers": "Headers belong to the account: write them there as extra_headers.",
    "model_server": "Leave it out: any server that speaks OpenAI's API will do.",
    "api_key": "Write it as auth_data: {type: api-key, api_key: ...}.",
    "models": "Write models as integrations.",
    "display_name": "Write it as displayName.",
}


def parse(documents: Iterable[Document], reading: Reading) -> Wanted:
    """Return what ``documents`` ask for. Faults and notes go to ``reading``; with faults the result is incomplete."""
    wanted = Wanted()
    seen: dict[tuple[str, str], Cursor] = {}
    for document in documents:
        cursor = Cursor(reading, document, document.body)
        kind = cursor.get("type").text(required=True)
        reader = READERS.get(kind) or (_account if kind.startswith("provider-account/") else None)
        if reader is None:
            if kind:
                _unknown_type(cursor.get("type"), kind)
            continue
        name = reader(cursor, kind, wanted)
        room = kind.split("/")[0]
        if name and (room, name) in seen:
            before = seen[room, name].document
            cursor.fault(f"{room} {name!r} stands in {before.source}, document {before.index}, too. Keep one of them.")
        seen.setdefault((room, name), cursor)
    return wanted


def _unknown_type(cursor: Cursor, kind: str) -> None:
    known = [*READERS, *(f"provider-account/{vendor}" for vendor in VENDORS)]
    near = difflib.get_close_matches(kind, known, n=1)
    mend = f"Did you mean {near[0]!r}?" if near else f"Known are: {', '.join(known)}."
    cursor.fault(f"manifests of type {kind!r} can't be applied. {mend}")


def _user(cursor: Cursor, kind: str, wanted: Wanted) -> str:
    if not cursor.mapping(FIELDS[kind], {}, HINTS):
        return ""
    email = cursor.get("email").text(required=True).strip().lower()
    flags: dict[str, Any] = {name: cursor.get(name).flag(False) for name in USER_FLAGS if cursor.get(name).given}
    flags |= {name: cursor.get(name).text() for name in USER_TEXTS if cursor.get(name).given}
    wanted.users.append(WantedUser(cursor, email, flags))
    return email


def _team(cursor: Cursor, kind: str, wanted: Wanted) -> str:
    if not cursor.mapping(FIELDS[kind], PASSED_OVER[kind], HINTS):
        return ""
    name = cursor.get("name").text(required=True)
    if name == RESERVED_TEAM:
        cursor.get("name").fault("'everyone' already means all users; choose another name.")
    members: dict[str, str] | None = None
    for field, role in (("members", "member"), ("managers", "manager")):
        if cursor.get(field).given:
            members = members or {}
            members |= {email.strip().lower(): role for email in cursor.get(field).texts()}
    fields = {"display_name": cursor.get("displayName").text(), "description": cursor.get("description").text()}
    wanted.teams.append(WantedTeam(cursor, name, fields, members))
    return name


def _virtual_account(cursor: Cursor, kind: str, wanted: Wanted) -> str:
    if not cursor.mapping(FIELDS[kind], PASSED_OVER[kind], HINTS):
        return ""
    name = cursor.get("name").text(required=True)
    owner = cursor.get("ownedBy")
    team = ""
    if owner.given and owner.value is not None and owner.mapping(("team",), {"account": "the team alone owns it."}, {}):
        team = owner.get("team").text(required=True)
    permissions = cursor.get("permissions")
    grants = {grant for item in permissions.items() if (grant := _permission(item))} if permissions.given else None
    fields = {
        "display_name": cursor.get("displayName").text(),
        "description": cursor.get("description").text(),
        "enabled": cursor.get("enabled").flag(True),
        "tags": _tags(cursor.get("tags")),
    }
    wanted.virtual_accounts.append(WantedVirtualAccount(cursor, name, fields, team, grants))
    return name


def _tags(cursor: Cursor) -> dict[str, str]:
    if not cursor.given or cursor.value is None:
        return {}
    if not isinstance(cursor.value, dict):
        cursor.fault("Write tags as names with texts.")
        return {}
    return {str(name): cursor.get(name).text() for name in cursor.value}


def _permission(item: Cursor) -> tuple[str, str] | None:
    """Return account and role of a permission; ``resource_fqn`` may carry tenant and provider before the account's name."""
    if not item.mapping(("resource_fqn", "resource_type", "role_id"), {}, {}):
        return None
    kind = item.get("resource_type").text("provider-account")
    if kind != "provider-account":
        item.get("resource_type").fault(f"{kind!r} is nothing that can be granted here; provider-account is.")
    account = item.get("resource_fqn").text(required=True).rsplit(":", 1)[-1]
    role = item.get("role_id").choice(ROLES)
    return (account, ROLES[role]) if account and role else None


def _account(cursor: Cursor, kind: str, wanted: Wanted) -> str:
    vendor = kind.removeprefix("provider-account/")
    if vendor not in VENDORS:
        _unknown_type(cursor.get("type"), kind)
        return ""
    room = "provider-account"
    if not cursor.mapping(FIELDS[room], PASSED_OVER[room], HINTS):
        return ""
    name = cursor.get("name").text(required=True)
    integrations, collaborators = cursor.get("integrations"), cursor.get("collaborators")
    account = WantedAccount(
        where=cursor,
        kind=vendor,
        name=name,
        fields=_account_fields(cursor),
        key=_key(cursor.get("auth_data")),
        headers=_headers(cursor.get("extra_headers")),
        models=_models(integrations, vendor) if integrations.given else None,
        grants=_grants(collaborators) if collaborators.given else None,
    )
    wanted.accounts.append(account)
    return name


def _default(name: str) -> Any:
    return getattr(BLANK, name)


def _account_fields(cursor: Cursor) -> dict[str, Any]:
    fields: dict[str, Any] = {name: cursor.get(name).text() for name in ACCOUNT_TEXTS}
    fields |= {name: cursor.get(name).flag(_default(name)) for name in ACCOUNT_FLAGS}
    fields |= {name: cursor.get(name).texts() for name in ACCOUNT_LISTS}
    for name in ACCOUNT_SECONDS:
        fields[name] = float(cursor.get(name).number(Decimal(str(_default(name)))) or 0)
    fields["connection_limit"] = cursor.get("connection_limit").whole(0)
    fields["discount_percent"] = cursor.get("discount_percent").number(Decimal(0))
    isolation = ProviderAccount.Isolation
    fields["isolation"] = cursor.get("isolation").choice(isolation.values, isolation.OWNER.value)
    return fields


def _key(cursor: Cursor) -> WantedKey:
    if not cursor.given or cursor.value is None:
        return WantedKey(cursor, "keep")
    if not cursor.mapping(("type", "api_key"), {}, {}):
        return WantedKey(cursor, "keep")
    if cursor.get("type").choice(("api-key", "none"), "api-key") == "none":
        if cursor.get("api_key").given:
            cursor.get("api_key").fault("type none takes no key.")
        return WantedKey(cursor, "none")
    key = cursor.get("api_key")
    if not key.given:
        key.fault("is missing. Write ${NAME} with the name of an environment variable, or type: none for no key.")
        return WantedKey(cursor, "keep")
    if isinstance(key.value, str) and "${" not in key.value:
        key.note("the key stands in the file itself; ${NAME} would keep it out of there.")
    return WantedKey(key, "store", key.secret())


def _headers(cursor: Cursor) -> dict[str, Secret]:
    if not cursor.given or cursor.value is None:
        return {}
    if not isinstance(cursor.value, dict):
        cursor.fault("Write headers as names with texts.")
        return {}
    return {str(name): cursor.get(name).secret() for name in cursor.value}


def _grants(cursor: Cursor) -> list[GrantKey]:
    grants = []
    for item in cursor.items():
        if not item.mapping(("subject", "role_id"), {}, {}):
            continue
        subject, role = _subject(item.get("subject")), item.get("role_id").choice(ROLES)
        if subject and role:
            grants.append((subject, ROLES[role]))
    return list(dict.fromkeys(grants))


def _subject(cursor: Cursor) -> str:
    text = cursor.text(required=True)
    kind, colon, name = text.partition(":")
    if text == RESERVED_TEAM:
        return EVERYONE
    if not colon or kind not in SUBJECT_KINDS or not name:
        if text:
            cursor.fault(f"{text!r} is no subject. Write user:EMAIL, team:NAME, team:everyone or virtualaccount:NAME.")
        return ""
    name = name.strip().lower() if kind == "user" else name
    return f"{SUBJECT_KINDS[kind]}:{name}"


def _models(cursor: Cursor, vendor: str) -> list[WantedModel]:
    models: dict[str, WantedModel] = {}
    for item in cursor.items():
        if not item.mapping(FIELDS["model"], {}, HINTS):
            continue
        kind = item.get("type").text(f"integration/model/{vendor}")
        if kind != f"integration/model/{vendor}":
            item.get("type").fault(f"{kind!r} doesn't fit the account: write integration/model/{vendor}.")
        model = _model(item, vendor)
        if model.name in models:
            item.get("name").fault(f"{model.name!r} stands twice in this account. Keep one of them.")
        models[model.name] = model
    return list(models.values())


def _model(item: Cursor, vendor: str) -> WantedModel:
    """Return the model of an integration. What it leaves out is as the catalogue knows it."""
    name = item.get("name").text(required=True)
    upstream_id = item.get("model_id").text() or name
    known = known_model(vendor, upstream_id)
    price = read_cost(item.get("cost"))
    sources = Model.PriceSource
    types = item.get("model_types")
    if not types.given and known is None:
        types.fault(f"is missing. Write what the model may be called for: {', '.join(MODEL_TYPES)}.")
    features, window = item.get("features"), item.get("context_window")
    longest, shutdown = item.get("max_output_tokens"), item.get("deprecated_on")
    fields: dict[str, Any] = {
        "upstream_id": upstream_id,
        "model_types": types.choices(MODEL_TYPES) if types.given or not known else list(known.model_types),
        "features": features.choices(FEATURES) if features.given or not known else list(known.features),
        "context_window": window.whole() if window.given or not known else known.context_window,
        "max_output_tokens": longest.whole() if longest.given or not known else known.max_output_tokens,
        "deprecated_on": _day(shutdown) if shutdown.given or not known else known.deprecated_on,
        "price_source": (sources.PUBLIC if price is None else sources.PRIVATE).value,
        "enabled": item.get("enabled").flag(True),
    }
    if price is not None:
        fields["private_price"] = price
    allowed = item.get("authorized_subjects")
    subjects = [subject for entry in allowed.items() if (subject := _subject(entry))] if allowed.given else None
    return WantedModel(item, name, fields, list(dict.fromkeys(subjects)) if subjects is not None else None)


def _day(cursor: Cursor) -> date | None:
    text = cursor.text()
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        cursor.fault(f"{text!r} is no day. Write 2027-01-31.")
        return None


BLANK = ProviderAccount()
READERS: dict[str, Callable[[Cursor, str, Wanted], str]] = {
    "user": _user,
    "team": _team,
    "virtual-account": _virtual_account,
}
