"""Writing the tables as manifests, without secrets: what apply would read to change nothing."""

import re
from collections.abc import Iterable
from decimal import Decimal
from itertools import count
from typing import Any

import yaml
from fernet_fields import DecryptionError

from accounts.models import Membership, Team, User, VirtualAccount
from providers.bound_secrets import ENCRYPTED
from providers.credentials.kinds import ENTRA_AUTHORITY, MAIN_KEY, Entra
from providers.lookup import find_account, undecryptable
from providers.manifests.accounts import subject_text
from providers.manifests.cost import write_cost
from providers.manifests.kinds import KINDS
from providers.manifests.parse import (
    ACCOUNT_FLAGS,
    ACCOUNT_LISTS,
    ACCOUNT_OTHERS,
    ACCOUNT_SECONDS,
    ACCOUNT_TEXTS,
    INTEGRATION_TYPES,
)
from providers.manifests.place import escape
from providers.manifests.schema import ROLES
from providers.models import Grant, Model, ProviderAccount

ROLE_IDS = {role: role_id for role_id, role in ROLES.items()}
Manifest = dict[str, Any]


def export_documents(names: Iterable[str] = ()) -> list[Manifest]:
    """Return the manifests of the accounts ``names``; with no names, of everything: teams, virtual accounts,
    accounts, rules.

    Users appear where they are superusers or inactive, which nothing else says. Secrets are written as ``${NAME}``,
    whose unset variable keeps what is stored. Raises ``ValueError`` for an unknown account and for one whose secrets
    can't be read.
    """
    names = list(dict.fromkeys(names))
    if names:
        return [_account(find_account(name), _variable_stem(name)) for name in names]
    manifests = [_user(user) for user in User.objects.order_by("email") if _notable(user)]
    manifests += [_team(team) for team in Team.objects.prefetch_related("memberships__user")]
    applications = VirtualAccount.objects.select_related("team")
    manifests += [_virtual_account(application) for application in applications]
    stems = _stems(ProviderAccount.objects.values_list("name", flat=True))
    manifests += [_account(account, stems[account.name]) for account in _accounts()]
    for kind in KINDS.values():
        manifests += kind.export()
    return manifests


def to_yaml(manifests: Iterable[Manifest]) -> str:
    """Return ``manifests`` as a YAML file of several documents."""
    return yaml.dump_all(
        manifests,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        explicit_start=True,
        default_flow_style=None,  # the innermost lists and mappings go in one line
        width=120,
    )


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper; decimals keep their digits, and nothing is written as an anchor."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _decimal(dumper: yaml.SafeDumper, value: Decimal) -> yaml.ScalarNode:
    text = format(value.normalize(), "f")
    kind = "float" if "." in text else "int"
    return dumper.represent_scalar(f"tag:yaml.org,2002:{kind}", text)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    """Write a string; in double quotes where it has signs that PyYAML would fold as line breaks in another style."""
    plain = all(sign.isprintable() or sign == "\n" for sign in value)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if plain else '"')


_Dumper.add_representer(Decimal, _decimal)
_Dumper.add_representer(str, _text)


def _accounts() -> Iterable[ProviderAccount]:
    try:
        yield from ProviderAccount.objects.order_by("name")
    except DecryptionError:
        for account in ProviderAccount.objects.defer(*ENCRYPTED).order_by("name"):
            try:
                account.refresh_from_db(fields=ENCRYPTED)
            except DecryptionError:
                raise ValueError(undecryptable(account.name)) from None
        raise


def _notable(user: User) -> bool:
    return user.is_superuser or user.is_auditor or user.is_staff or not user.is_active


def _user(user: User) -> Manifest:
    return {
        "type": "user",
        "email": escape(user.email),
        "is_superuser": user.is_superuser,
        "is_staff": user.is_staff,
        "is_auditor": user.is_auditor,
        "is_active": user.is_active,
    }


def _team(team: Team) -> Manifest:
    manifest = {"type": "team", "name": team.name}
    manifest |= _texts({"displayName": team.display_name, "description": team.description})
    people: dict[str, list[str]] = {"managers": [], "members": []}
    for membership in sorted(team.memberships.all(), key=lambda row: row.user.email):
        role = "managers" if membership.role == Membership.Role.MANAGER else "members"
        people[role].append(escape(membership.user.email))
    return manifest | people


def _virtual_account(account: VirtualAccount) -> Manifest:
    manifest: Manifest = {"type": "virtual-account", "name": account.name}
    manifest |= _texts({"displayName": account.display_name, "description": account.description})
    if not account.enabled:
        manifest["enabled"] = False
    if account.team:
        manifest["ownedBy"] = {"team": account.team.name}
    if account.tags:
        manifest["tags"] = {name: escape(value) for name, value in account.tags.items()}
    grants = Grant.objects.filter(virtual_account=account).order_by("account__name", "role")
    manifest["permissions"] = [
        {"resource_fqn": name, "resource_type": "provider-account", "role_id": ROLE_IDS[role]}
        for name, role in grants.values_list("account__name", "role")
    ]
    return manifest


def _auth_data(account: ProviderAccount, stem: str) -> Manifest:
    credential = account.credential
    if isinstance(credential, Entra):
        known = {"tenant_id": credential.tenant_id, "client_id": credential.client_id}
        if credential.authority != ENTRA_AUTHORITY:
            known["authority"] = credential.authority
        if isinstance(credential.scope, str):
            known["scope"] = credential.scope
        return {"type": "entra", **_texts(known), "client_secret": f"${{{stem}_CLIENT_SECRET}}"}
    if credential is not None:
        return {"type": "service-account", "key_file": f"${{{stem}_KEY_FILE}}"}
    names = list(account.keys)
    if names not in ([], [MAIN_KEY]):
        variables = _numbered((name, f"{stem}_KEY_{_word(name)}") for name in names)
        return {"type": "api-keys", "keys": {name: f"${{{variable}}}" for name, variable in variables}}
    return {"type": "api-key", "api_key": f"${{{stem}_API_KEY}}"} if account.api_key else {"type": "none"}


def _account(account: ProviderAccount, stem: str) -> Manifest:
    manifest: Manifest = {"type": f"provider-account/{account.kind}", "name": account.name}
    manifest |= _texts({name: getattr(account, name) for name in ACCOUNT_TEXTS})
    manifest["auth_data"] = _auth_data(account, stem)
    if account.extra_headers:
        variables = _numbered((name, f"{stem}_HEADER_{_word(name)}") for name in account.extra_headers)
        manifest["extra_headers"] = {name: f"${{{variable}}}" for name, variable in variables}
    blank = ProviderAccount()
    for name in (*ACCOUNT_FLAGS, *ACCOUNT_SECONDS, *ACCOUNT_LISTS, *ACCOUNT_OTHERS):
        value = getattr(account, name)
        if value != getattr(blank, name):
            manifest[name] = _plain(value)
    aliases = _aliases(account)
    if None in aliases:
        manifest["aliases"] = aliases[None]
    grants = (
        Grant.objects.filter(account=account).select_related("user", "team", "virtual_account").order_by("role", "key")
    )
    manifest["collaborators"] = [
        {"subject": escape(subject_text(grant)), "role_id": ROLE_IDS[grant.role]} for grant in grants
    ]
    models = account.models.filter(owner_key="").order_by("name").prefetch_related("subjects__user", "subjects__team")
    manifest["integrations"] = [
        _model(model, account.kind) | ({"aliases": aliases[model.pk]} if model.pk in aliases else {})
        for model in models.prefetch_related("subjects__virtual_account")
    ]
    return manifest


def _aliases(account: ProviderAccount) -> dict[int | None, list[str]]:
    """Return the former names of the account (``None``) and of its models, by their keys."""
    found: dict[int | None, list[str]] = {}
    for alias in account.aliases.order_by("name"):
        found.setdefault(alias.model_id, []).append(alias.name)
    return found


def _model(model: Model, kind: str) -> Manifest:
    manifest: Manifest = {
        "type": INTEGRATION_TYPES.get(kind, f"integration/model/{kind}"),
        "name": model.name,
        "model_id": escape(model.upstream_id or model.name),
        "model_types": model.model_types,
        "features": model.features,
        "context_window": model.context_window,
        "max_output_tokens": model.max_output_tokens,
        "deprecated_on": model.deprecated_on.isoformat() if model.deprecated_on else None,
        "cost": write_cost(model.private_price if model.price_source == Model.PriceSource.PRIVATE else None),
        "authorized_subjects": sorted(escape(subject_text(subject)) for subject in model.subjects.all()),
    }
    if not model.enabled:
        manifest["enabled"] = False
    if model.routing:
        left_out = ("cost", "features", "context_window", "max_output_tokens", "model_id")
        manifest = {name: value for name, value in manifest.items() if name not in left_out}
        manifest["routing_config"] = _escaped(model.routing)
    return manifest


def _escaped(value: Any) -> Any:
    """Return a JSON value with its strings written so that nothing in them is filled in."""
    if isinstance(value, dict):
        return {name: _escaped(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    return escape(value) if isinstance(value, str) else _plain(value)


def _texts(texts: dict[str, str]) -> Manifest:
    return {name: escape(text) for name, text in texts.items() if text}


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, list):
        return [escape(entry) for entry in value]
    if isinstance(value, dict):
        return {name: escape(entry) for name, entry in value.items()}
    return value


def _word(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "_", text.upper())


def _variable_stem(name: str) -> str:
    stem = _word(name)
    return stem if stem[0].isalpha() else f"A_{stem}"


def _stems(names: Iterable[str]) -> dict[str, str]:
    """Return a stem for the variables of each account. Like names get numbers, so that none takes another's key."""
    return dict(_numbered((name, _variable_stem(name)) for name in sorted(names)))


def _numbered(pairs: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    used: set[str] = set()
    for name, word in pairs:
        unique = next(found for number in count(1) if (found := f"{word}_{number}" if number > 1 else word) not in used)
        used.add(unique)
        yield name, unique
