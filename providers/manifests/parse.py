"""From manifests to what they ask for: each document is validated against its type's schema, with all its faults at
once."""

import difflib
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from accounts.models import RESERVED_TEAM
from providers.catalogue.models import known_model
from providers.choices import MODEL_TYPES
from providers.manifests.cost import COSTS
from providers.manifests.kinds import KINDS
from providers.manifests.place import Place, Reading, filled
from providers.manifests.read import Document
from providers.manifests.schema import (
    ROLES,
    SCHEMAS,
    SECRETS,
    AccountManifest,
    AuthData,
    Integration,
    TeamManifest,
    UserManifest,
    VirtualAccountManifest,
    known_fields,
    model_at,
    passed_over,
)
from providers.manifests.values import SETTLED, Fields
from providers.manifests.wanted import (
    Wanted,
    WantedAccount,
    WantedKey,
    WantedModel,
    WantedTeam,
    WantedUser,
    WantedVirtualAccount,
)
from providers.models import Model
from providers.vendors import VENDORS

Location = tuple[str | int, ...]
PASSES = 5
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
    seen: dict[tuple[str, str], Document] = {}
    for document in documents:
        place = Place(reading, document)
        try:
            family, name = _parse(place, wanted)
        except RecursionError:
            place.fault("is nested too deeply.")
            continue
        before = seen.setdefault((family, name), document) if name else document
        if before is not document:
            where = f"{before.source}, document {before.index}"
            place.fault(f"{family} {name!r} appears in {where}, too. Keep one of them.")
    return wanted


def _parse(place: Place, wanted: Wanted) -> tuple[str, str]:
    """Read one document into ``wanted``; return its type and name, or empty strings when they can't be read."""
    body = filled(place.document.body, place)
    kind = body.get("type")
    if kind is None or (isinstance(kind, str) and not kind.strip()):
        place.get("type").fault("is missing." if kind is None else "is empty.")
        return "", ""
    if not isinstance(kind, str):
        place.get("type").fault("Write a string here; put it in quotes if it looks like a number.")
        return "", ""
    if kind in KINDS:
        name, asked = KINDS[kind].read(place, validated(KINDS[kind].schema, body, place))
        wanted.more.setdefault(kind, []).append(asked)
        wanted.written_rules.add((kind, name))
        return kind, name
    family, _, vendor = kind.partition("/")
    if (kind not in READERS and family != "provider-account") or (
        family == "provider-account" and vendor not in VENDORS
    ):
        _unknown_type(place.get("type"), kind)
        return "", ""
    manifest = validated(SCHEMAS[family], body, place)
    return family, READERS[family](place, vendor, manifest, wanted)


def _unknown_type(place: Place, kind: str) -> None:
    known = [*(name for name in SCHEMAS if name != "provider-account"), *KINDS]
    known += [f"provider-account/{vendor}" for vendor in VENDORS]
    near = difflib.get_close_matches(kind, known, n=1)
    fix = f"Did you mean {near[0]!r}?" if near else f"Valid values: {', '.join(known)}."
    place.fault(f"manifests of type {kind!r} can't be applied. {fix}")


# --- validation ---


def validated(schema: type[Fields], body: dict[str, Any], place: Place) -> Any:
    """Return ``body`` as ``schema``, with every fault noted.

    What is wrong is taken out and the rest validated again, so that the writing can judge all that is right, too.
    """
    lenient = False
    for _ in range(PASSES):
        try:
            manifest = schema.model_validate(body, context={"lenient": lenient})
            break
        except ValidationError as error:
            for one in error.errors(include_url=False, include_context=True, include_input=False):
                _note(schema, one, place)
                _take_out(body, one)
            place.reading.settle()
            lenient = True
    else:
        raise AssertionError("what was taken out is wrong still")
    _note_passed_over(manifest, place)
    return manifest


def _note(schema: type[Fields], error: ErrorDetails, place: Place) -> None:
    location, kind = error["loc"], error["type"]
    if kind == SETTLED:
        return
    message = error["msg"]
    if kind == "extra_forbidden":
        location, name = location[:-1], str(location[-1])
        known = known_fields(model_at(schema, location))
        near = difflib.get_close_matches(name, known, n=1)
        fix = HINTS.get(name) or (f"Did you mean {near[0]!r}?" if near else f"Valid fields: {', '.join(known)}.")
        message = f"unknown field {name!r}. {fix}"
    elif kind == "union_tag_not_found":
        location, message = (*location, "metric"), "is missing."
    elif kind == "union_tag_invalid":
        location = (*location, "metric")
        message = f"{error['ctx']['tag']!r} is not known. Valid values: {', '.join(COSTS)}."
    place.get(*_steps(location)).fault(message)


def _steps(location: Location) -> Location:
    """Return an error's location without the metric that pydantic puts behind ``cost``."""
    return tuple(step for n, step in enumerate(location) if not (n and location[n - 1] == "cost" and step in COSTS))


def _take_out(body: dict[str, Any], error: ErrorDetails) -> None:
    """Take what is wrong out of ``body``: a field, a whole ``cost``, or what an entry of a list holds."""
    steps: tuple[Any, ...] = error["loc"]
    *path, last = steps
    if "cost" in path:
        at = path.index("cost")
        path, last = path[:at], "cost"
    holder: Any = body
    for step in path:
        holder = holder[step] if isinstance(holder, list) or step in holder else {}
    if isinstance(holder, list):
        # In place, so that the entries behind it keep their numbers.
        holder[last] = {} if error["msg"].startswith("Write fields") else ""
    elif isinstance(holder, dict):
        holder.pop(last, None)


def _note_passed_over(manifest: Fields, place: Place) -> None:
    passed = passed_over(type(manifest))
    for name in filter(manifest.given, type(manifest).model_fields):
        value = getattr(manifest, name)
        if name in passed:
            place.get(name).note(f"passed over: {passed[name]}")
        elif isinstance(value, Fields):
            _note_passed_over(value, place.get(name))


# --- what a manifest asks for ---


def _user(place: Place, vendor: str, manifest: UserManifest, wanted: Wanted) -> str:
    fields = {name: getattr(manifest, name) for name in UserManifest.model_fields if manifest.given(name)}
    flags = {name: value for name, value in fields.items() if name not in ("type", "email")}
    wanted.users.append(WantedUser(place, manifest.email, flags))
    return manifest.email


def _team(place: Place, vendor: str, manifest: TeamManifest, wanted: Wanted) -> str:
    if manifest.name == RESERVED_TEAM:
        place.get("name").fault("'everyone' already means all users; choose another name.")
    members: dict[str, str] | None = None
    for field, role, emails in (("members", "member", manifest.members), ("managers", "manager", manifest.managers)):
        if manifest.given(field):
            members = (members or {}) | dict.fromkeys(filter(None, emails), role)
    fields = {"display_name": manifest.displayName, "description": manifest.description}
    wanted.teams.append(WantedTeam(place, manifest.name, fields, members))
    return manifest.name


def _virtual_account(place: Place, vendor: str, manifest: VirtualAccountManifest, wanted: Wanted) -> str:
    grants: set[tuple[str, str]] | None = set() if manifest.given("permissions") else None
    for number, permission in enumerate(manifest.permissions):
        if permission.resource_type != "provider-account":
            where = place.get("permissions", number, "resource_type")
            where.fault(f"{permission.resource_type!r} can't be granted here; provider-account can.")
        account = permission.resource_fqn.rsplit(":", 1)[-1]
        if grants is not None and account and permission.role_id:
            grants.add((account, ROLES[permission.role_id]))
    fields = {
        "display_name": manifest.displayName,
        "description": manifest.description,
        "enabled": manifest.enabled,
        "tags": manifest.tags,
    }
    team = manifest.ownedBy.team if manifest.ownedBy else ""
    wanted.virtual_accounts.append(WantedVirtualAccount(place, manifest.name, fields, team, grants))
    return manifest.name


ACCOUNT_TEXTS = ("base_url", "api_version", "organization", "project")
ACCOUNT_FLAGS = ("enabled", "any_model", "register_fine_tuned")
ACCOUNT_OTHERS = ("connection_limit", "discount_percent", "isolation", "default_models", "stream_usage")
ACCOUNT_FIELDS = (*ACCOUNT_TEXTS, *ACCOUNT_FLAGS, *ACCOUNT_OTHERS)
ACCOUNT_LISTS = ("open_resources", "proxy_paths")
ACCOUNT_SECONDS = ("connect_timeout", "read_timeout", "finish_seconds")


def _account(place: Place, vendor: str, manifest: AccountManifest, wanted: Wanted) -> str:
    fields: dict[str, Any] = {name: getattr(manifest, name) for name in ACCOUNT_FIELDS}
    fields |= {name: list(dict.fromkeys(filter(None, getattr(manifest, name)))) for name in ACCOUNT_LISTS}
    fields |= {name: float(getattr(manifest, name)) for name in ACCOUNT_SECONDS}
    people = [(one.subject, ROLES[one.role_id]) for one in manifest.collaborators if one.subject and one.role_id]
    wanted.accounts.append(
        WantedAccount(
            where=place,
            kind=vendor,
            name=manifest.name,
            fields=fields,
            key=_key(place.get("auth_data"), manifest.auth_data),
            headers=manifest.extra_headers,
            models=_models(place, vendor, manifest.integrations) if manifest.given("integrations") else None,
            grants=list(dict.fromkeys(people)) if manifest.given("collaborators") else None,
            aliases=manifest.aliases if manifest.given("aliases") else None,
        )
    )
    return manifest.name


def _key(place: Place, auth: AuthData | None) -> WantedKey:
    if auth is None:
        return WantedKey(place, "keep")
    name = SECRETS.get(auth.type, "")
    for other in SECRETS.values():
        if other != name and auth.given(other):
            place.get(other).fault(f"type {auth.type} takes no {'key' if other == 'api_key' else other}.")
    if not name:
        return WantedKey(place, "none")
    where, secret = place.get(name), getattr(auth, name)
    raw = place.document.body.get("auth_data", {}).get(name)
    if name == "keys" and secret:
        if any(isinstance(each, str) and "${" not in each for each in raw.values()):
            where.note("a key is in the file itself; ${NAME} would keep it out of there.")
        return WantedKey(where, "store", type=auth.type, keys=secret)
    if not secret:
        fix = "Write ${NAME} with the name of an environment variable, or type: none for no key."
        where.fault(f"is missing. {fix}")
        return WantedKey(place, "keep")
    if isinstance(raw, str) and "${" not in raw:
        where.note("the key is in the file itself; ${NAME} would keep it out of there.")
    application = (auth.tenant_id, auth.client_id, auth.authority, auth.scope)
    return WantedKey(where, "store", secret, auth.type, application)


def _models(account: Place, vendor: str, integrations: list[Integration]) -> list[WantedModel]:
    models: dict[str, WantedModel] = {}
    for number, integration in enumerate(integrations):
        place = account.get("integrations", number)
        expected = INTEGRATION_TYPES.get(vendor, f"integration/model/{vendor}")
        if integration.type not in ("", expected):
            fix = f"write {expected}."
            place.get("type").fault(f"{integration.type!r} doesn't fit the account: {fix}")
        if integration.name in models:
            place.get("name").fault(f"{integration.name!r} appears twice in this account. Keep one of them.")
        models[integration.name] = _model(place, vendor, integration)
    return list(models.values())


def _model(place: Place, vendor: str, integration: Integration) -> WantedModel:
    """Return the model of an integration. What it leaves out is as the catalogue knows it."""
    upstream_id = integration.model_id or integration.name
    known = known_model(vendor, upstream_id)
    if not integration.given("model_types") and known is None:
        types = ", ".join(MODEL_TYPES)
        place.get("model_types").fault(f"is missing. Write what the model may be called for: {types}.")

    def of(name: str) -> Any:
        value = getattr(known if known and not integration.given(name) else integration, name)
        return list(dict.fromkeys(filter(None, value))) if isinstance(value, list | tuple) else value

    price, sources = integration.cost, Model.PriceSource
    fields: dict[str, Any] = {
        "upstream_id": upstream_id,
        **{name: of(name) for name in CATALOGUE_FIELDS},
        "price_source": (sources.PUBLIC if price is None else sources.PRIVATE).value,
        "enabled": integration.enabled,
        "routing": _json(integration.routing_config),
    }
    if price is not None:
        fields["private_price"] = price
    subjects = list(dict.fromkeys(filter(None, integration.authorized_subjects)))
    return WantedModel(
        place,
        integration.name,
        fields,
        subjects if integration.given("authorized_subjects") else None,
        _aliases(integration),
    )


def _aliases(integration: Integration) -> list[str] | None:
    """Return a model's further names; the contract's virtual models write them as ``alias``."""
    given = integration.given("aliases") or integration.given("alias")
    return [*integration.aliases, *integration.alias] if given else None


def _json(value: Any) -> Any:
    """Return a manifest's value as JSON has it: decimals as numbers."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {str(name): _json(each) for name, each in value.items()}
    return [_json(each) for each in value] if isinstance(value, list) else value


INTEGRATION_TYPES = {"virtual-model": "integration/model/virtual"}
"""How the contract spells a model's type where it is not the account's kind."""
CATALOGUE_FIELDS = ("model_types", "features", "context_window", "max_output_tokens", "deprecated_on")
READERS: dict[str, Callable[[Place, str, Any, Wanted], str]] = {
    "user": _user,
    "team": _team,
    "virtual-account": _virtual_account,
    "provider-account": _account,
}
