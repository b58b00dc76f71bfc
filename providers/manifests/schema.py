"""The fields of each type of manifest, with their defaults, as pydantic models. ``docs/manifests.md`` describes them.

A field of :class:`PassedOver` is the contract's, and of no use to Gatehouse: accepted, noted, and not stored. Values of
``ProviderAccount``'s own defaults come from its table.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, get_args

from pydantic import BaseModel

from providers.choices import FEATURES, MODEL_TYPES
from providers.manifests.cost import Cost
from providers.manifests.values import (
    AS_LIST,
    IS_REQUIRED,
    Day,
    Email,
    Entry,
    Fields,
    Flag,
    Number,
    Required,
    SecretString,
    String,
    Subject,
    Whole,
    names_with,
    one_of,
)
from providers.models import ProviderAccount

ROLES: Final = {"provider-account-manager": "manager", "provider-account-access": "user"}
BLANK: Final = ProviderAccount()


@dataclass(frozen=True, slots=True)
class PassedOver:
    """Marks a field that is accepted and ignored, with the reason."""

    why: str


NO_MAPPING = PassedOver("sign-in decides who is who, not the manifest.")
OWNERS = PassedOver("its managers and the superusers own it.")


SECRETS: Final = {"api-key": "api_key", "api-keys": "keys", "entra": "client_secret", "service-account": "key_file"}
"""The secret of each type of ``auth_data``, or several by name."""


class UserManifest(Fields):
    """``type: user``. A field that is left out stays as it is."""

    type: Any
    email: Annotated[Email, IS_REQUIRED]
    is_active: Flag = False
    is_staff: Flag = False
    is_superuser: Flag = False
    is_auditor: Flag = False
    first_name: String = ""
    last_name: String = ""


class TeamManifest(Fields):
    """``type: team``."""

    nulls = frozenset({"members", "managers"})
    type: Any
    name: Required
    displayName: String = ""
    description: String = ""
    managers: Annotated[list[Email], AS_LIST] = []
    members: Annotated[list[Email], AS_LIST] = []
    tags: Annotated[Any, PassedOver("teams carry no tags here.")] = None
    ownedBy: Annotated[Any, PassedOver("superusers own every team.")] = None
    identity_provider_mapping: Annotated[Any, NO_MAPPING] = None


class Permission(Fields):
    """What a virtual account may do; ``resource_fqn`` may carry tenant and provider before the account's name."""

    resource_fqn: Required
    resource_type: String = "provider-account"
    role_id: Annotated[Required, one_of(ROLES)]


class Owner(Fields):
    """The team that owns a virtual account."""

    team: Required
    account: Annotated[Any, PassedOver("the team alone owns it.")] = None


class VirtualAccountManifest(Fields):
    """``type: virtual-account``."""

    nulls = frozenset({"permissions"})
    type: Any
    name: Required
    displayName: String = ""
    description: String = ""
    enabled: Flag = True
    permissions: Annotated[list[Permission], AS_LIST] = []
    tags: Annotated[dict[str, String], names_with("tags")] = {}
    ownedBy: Owner | None = None
    expiration_date: Annotated[Any, PassedOver("every token has its own expiry: create_token --expires.")] = None
    auto_rotate: Annotated[Any, PassedOver("create a new token and revoke the old one when it is time.")] = None
    notification_target: Annotated[Any, PassedOver("nothing is sent when a token ends.")] = None
    secret_store_config: Annotated[Any, PassedOver("tokens are shown once and kept nowhere.")] = None
    token_type: Annotated[Any, PassedOver("there is one form of token.")] = None
    identity_provider_mapping: Annotated[Any, NO_MAPPING] = None


class AuthData(Fields):
    """An account's key, what access tokens are fetched with instead, or the word that it has neither."""

    type: Annotated[String, one_of((*SECRETS, "none"))] = "api-key"
    api_key: SecretString | None = None
    keys: Annotated[dict[str, SecretString], names_with("keys")] = {}
    tenant_id: String = ""
    client_id: String = ""
    client_secret: SecretString | None = None
    authority: String = ""
    scope: String = ""
    key_file: SecretString | None = None


class Collaborator(Fields):
    """Who may use or manage an account."""

    subject: Annotated[Subject, IS_REQUIRED]
    role_id: Annotated[Required, one_of(ROLES)]


class Integration(Fields):
    """A model of an account. What it leaves out is as the catalogue knows it."""

    nulls = frozenset(
        {"model_types", "features", "context_window", "max_output_tokens", "deprecated_on", "authorized_subjects"}
    )
    type: String = ""
    name: Required
    model_id: String = ""
    model_types: Annotated[list[Annotated[Entry, one_of(MODEL_TYPES)]], AS_LIST] = []
    cost: Cost | None = None
    authorized_subjects: Annotated[list[Subject], AS_LIST] = []
    features: Annotated[list[Annotated[Entry, one_of(FEATURES)]], AS_LIST] = []
    context_window: Whole | None = None
    max_output_tokens: Whole | None = None
    deprecated_on: Day = None
    enabled: Flag = True
    aliases: Annotated[list[Entry], AS_LIST] = []
    routing_config: dict[str, Any] = {}
    slug: Annotated[Any, PassedOver("a model's name is its slug.")] = None
    alias: Annotated[list[Entry], AS_LIST] = []


class AccountManifest(Fields):
    """``type: provider-account/KIND``."""

    nulls = frozenset({"integrations", "collaborators"})
    type: Any
    name: Required
    auth_data: AuthData | None = None
    base_url: String = ""
    api_version: String = ""
    organization: String = ""
    project: String = ""
    enabled: Flag = BLANK.enabled
    any_model: Flag = BLANK.any_model
    register_fine_tuned: Flag = BLANK.register_fine_tuned
    open_resources: Annotated[list[Entry], AS_LIST] = []
    proxy_paths: Annotated[list[Entry], AS_LIST] = []
    connect_timeout: Number = Decimal(str(BLANK.connect_timeout))
    read_timeout: Number = Decimal(str(BLANK.read_timeout))
    finish_seconds: Number = Decimal(0)
    connection_limit: Whole = 0
    discount_percent: Number = Decimal(0)
    extra_headers: Annotated[dict[str, SecretString], names_with("headers")] = {}
    default_models: Annotated[dict[str, String], names_with("models")] = {}
    stream_usage: Annotated[String, one_of(ProviderAccount.StreamUsage.values)] = ProviderAccount.StreamUsage.AUTO.value
    isolation: Annotated[String, one_of(ProviderAccount.Isolation.values)] = ProviderAccount.Isolation.OWNER.value
    aliases: Annotated[list[Entry], AS_LIST] = []
    collaborators: Annotated[list[Collaborator], AS_LIST] = []
    integrations: Annotated[list[Integration], AS_LIST] = []
    ownedBy: Annotated[Any, OWNERS] = None
    owned_by: Annotated[Any, OWNERS] = None


SCHEMAS: Final[dict[str, type[Fields]]] = {
    "user": UserManifest,
    "team": TeamManifest,
    "virtual-account": VirtualAccountManifest,
    "provider-account": AccountManifest,
}
"""The models of whole manifests, by type; an account's is the part before the slash."""


def known_fields(model: type[BaseModel]) -> list[str]:
    """Return the names of a model's fields as manifests write them, without those that are passed over."""
    passed = passed_over(model)
    return [field.alias or name for name, field in model.model_fields.items() if name not in passed]


def passed_over(model: type[BaseModel]) -> dict[str, str]:
    """Return the fields of a model that are accepted and ignored, with the reasons."""
    marks = {
        name: [mark.why for mark in field.metadata if isinstance(mark, PassedOver)]
        for name, field in model.model_fields.items()
    }
    return {name: why[0] for name, why in marks.items() if why}


def model_at(model: type[BaseModel], location: Iterable[str | int]) -> type[BaseModel]:
    """Return the model that describes the mapping at ``location`` below ``model``, as pydantic spells it in errors."""
    found = [model]
    for step in location:
        if isinstance(step, str):
            tagged = [candidate for candidate in found if getattr(candidate, "tag", None) == step]
            fields = found[0].model_fields.items()
            annotation = next((field.annotation for name, field in fields if (field.alias or name) == step), None)
            found = tagged or _models(annotation) or found
    return found[0]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models(part)]
