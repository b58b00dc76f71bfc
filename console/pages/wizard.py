"""Adding a provider account in three steps.

Nothing is stored until the last one; the browser keeps the draft, all but the key.
"""

import json
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from accounts.models import Team, User, VirtualAccount
from accounts.numbers import whole_number
from console.pages.base import base_url, page
from providers.bound_secrets import ENCRYPTED
from providers.catalogue.models import KnownModel, kind_of, known_models
from providers.choices import MODEL_TYPES
from providers.credentials import kinds
from providers.credentials.kinds import Credential
from providers.models import Grant, Model, ProviderAccount
from providers.pricing.public import private_price_fault
from providers.pricing.sheet import PriceSheet
from providers.pricing.text import dollars, sheet_text
from providers.probe.run import probe_account
from providers.probe.verdict import LABELS
from providers.vendors import VENDORS

MILLION = 1_000_000
FOUND = 8
MOST_MODELS = 2000
MOST_SUBJECTS = 200
TEXT_FIELDS = ("kind", "name", "base_url", "api_version", "organization", "project")


class Faults(Exception):
    """What is wrong with what was entered: a message by field."""

    def __init__(self, by_field: dict[str, str]) -> None:
        super().__init__(by_field)
        self.by_field = by_field


def allowed(request: HttpRequest) -> None:
    """Raise ``PermissionDenied`` for people who may not add provider accounts."""
    if not admin.site.get_model_admin(ProviderAccount).has_add_permission(request):
        raise PermissionDenied


def wizard(request: HttpRequest) -> HttpResponse:
    """Show the page with all its steps."""
    allowed(request)
    kinds = [
        {
            "kind": vendor.kind,
            "label": vendor.label,
            "base_url": vendor.base_url,
            "needs_key": vendor.needs_key,
            "auth": vendor.auth,
            "regions": [{"url": url, "label": label} for url, label in vendor.regions],
            "known": len(known_models(vendor.kind)),
        }
        for vendor in VENDORS.values()
    ]
    context = {"kinds": kinds, "types": MODEL_TYPES, "chosen": request.GET.get("kind", "")}
    return page(request, "console/wizard.html", "Add a provider account", context)


@require_GET
def catalogue(request: HttpRequest) -> HttpResponse:
    """Return the models that the catalogue lists for a kind: ``{"models": [...]}``.

    Prices are in US dollars, as text.
    """
    allowed(request)
    kind = request.GET.get("kind", "")
    return JsonResponse({"models": [describe(known) for known in known_models(kind)] if kind in VENDORS else []})


def describe(known: KnownModel) -> dict[str, Any]:
    """Return a model of the catalogue as the page shows it."""
    return {
        "name": known.name,
        "types": list(known.model_types),
        "features": list(known.features),
        "context": known.context_window,
        "shutdown": known.deprecated_on.isoformat() if known.deprecated_on else "",
        "retired": known.retired(),
        **prices(known.sheet),
    }


def prices(sheet: PriceSheet | None) -> dict[str, str]:
    """Return ``input`` and ``output`` per million tokens, and in ``price`` what is priced otherwise, or not at all."""
    rates = sheet.rates if sheet else {}
    shown = {name: dollars(rates[unit].base * MILLION) for name, unit in TOKEN_UNITS.items() if unit in rates}
    return shown if shown else {"price": sheet_text(sheet)}


TOKEN_UNITS = {"input": "input_tokens", "output": "output_tokens"}


@require_GET
def subjects(request: HttpRequest) -> HttpResponse:
    """Return who access may be given to, by a part of the name: people, teams, applications, everyone."""
    allowed(request)
    return JsonResponse({"found": find_subjects(request.GET.get("q", "").strip()[:100])})


def find_subjects(part: str) -> list[dict[str, str]]:
    """Return subjects whose name contains ``part``: key as grants have it, name, and what it is."""
    found = (
        [{"key": "everyone", "name": "everyone", "what": "all people"}] if "everyone".startswith(part.lower()) else []
    )
    people = User.objects.filter(is_active=True, email__icontains=part).order_by("email")[:FOUND]
    found += [{"key": f"user:{one.pk}", "name": one.email, "what": "person"} for one in people]
    teams = Team.objects.filter(name__icontains=part)[:FOUND]
    found += [{"key": f"team:{one.pk}", "name": one.name, "what": "team"} for one in teams]
    bots = VirtualAccount.objects.filter(name__icontains=part)[:FOUND]
    return found + [{"key": f"virtualaccount:{one.pk}", "name": one.name, "what": "application"} for one in bots]


@require_POST
def test(request: HttpRequest) -> HttpResponse:
    """Call the provider with the entered key for one chosen model, and return what came of it. Nothing is stored."""
    allowed(request)
    try:
        entered = read(request)
        account = account_of(entered)
        wanted = [model_of(account, entered["model"])] if entered.get("model") else []
    except Faults as faults:
        return JsonResponse({"errors": faults.by_field}, status=400)
    result = probe_account(account, wanted)[0]
    return JsonResponse(
        {"ok": result.ok, "label": LABELS[result.state], "detail": result.detail, "milliseconds": result.milliseconds}
    )


@require_POST
def save(request: HttpRequest) -> HttpResponse:
    """Store the account, its models and who has access, all or nothing; return where to go on: ``{"next"}``."""
    allowed(request)
    try:
        account = store(read(request))
    except Faults as faults:
        return JsonResponse({"errors": faults.by_field}, status=400)
    return JsonResponse({"next": reverse("admin:wizard_done", args=[account.pk])})


@transaction.atomic
def store(entered: dict[str, Any]) -> ProviderAccount:
    """Create the account with its models and grants. Raises :class:`Faults`."""
    account = account_of(entered)
    models = [model_of(account, model) for model in listed(entered, "models", MOST_MODELS)]
    names = [model.name for model in models]
    if len(set(names)) < len(names):
        raise Faults({"models": "A model's name is there twice."})
    managers, users = (listed(entered, field, MOST_SUBJECTS) for field in ("managers", "users"))
    account.save()
    Model.objects.bulk_create(models)
    for role, keys in ((Grant.Role.MANAGER, managers), (Grant.Role.USER, users)):
        for key in dict.fromkeys(str(key) for key in keys):
            Grant(account=account, role=role, **subject_of(key)).save()
    return account


def account_of(entered: dict[str, Any]) -> ProviderAccount:
    """Return the account, not saved, that was entered."""
    values = {field: str(entered.get(field) or "").strip() for field in TEXT_FIELDS}
    if values["kind"] not in VENDORS:
        raise Faults({"kind": "Choose a provider."})
    account = ProviderAccount(**values, any_model=entered.get("any_model") is True)
    headers = entered.get("headers") or {}
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise Faults({"headers": "Give a 'Name: value' line each."})
    key = str(entered.get("api_key") or "").strip()
    if not all("!" <= sign <= "~" for sign in key):
        raise Faults(
            {"api_key": "A key has no spaces, line breaks or special letters; part of something else came along."}
        )
    credential = credential_of(entered)
    if account.vendor.needs_key and not key and credential is None:
        raise Faults({"api_key": f"{account.vendor.label} wants a key."})
    account.api_key, account.extra_headers = key, headers
    if credential is not None:
        account.credential = credential
    check(account)
    return account


def credential_of(entered: dict[str, Any]) -> Credential | None:
    """Return what was entered to sign in with instead of a key."""
    try:
        return kinds.entered({name: str(entered.get(name) or "") for name in kinds.FIELDS})
    except kinds.BadCredentials as fault:
        raise Faults({fault.field: str(fault)}) from None


def model_of(account: ProviderAccount, entered: Any) -> Model:
    """Return the model, not saved: the catalogue's by its name, else as it was entered by hand."""
    if not isinstance(entered, dict):
        raise Faults({"models": "A model is not valid."})
    name = str(entered.get("name") or "").strip()
    known = next((one for one in known_models(kind_of(account)) if one.name == name), None)
    if known is not None and not entered.get("own"):
        return known.as_model(account)
    price = entered.get("price") or {}
    model = Model(
        account=account,
        name=name,
        upstream_id=str(entered.get("upstream_id") or "").strip() or name,
        model_types=[kind for kind in entered.get("types") or [] if isinstance(kind, str)],
        price_source=Model.PriceSource.PRIVATE if price else Model.PriceSource.PUBLIC,
        private_price=price,
    )
    fault = private_price_fault(price) if price else None
    if fault:
        raise Faults({"models": f"{name}: {fault}"})
    try:
        model.full_clean(exclude=["account"], validate_unique=False, validate_constraints=False)
    except ValidationError as error:
        raise Faults({"models": f"{name or 'A model'}: {' '.join(error.messages)}"}) from None
    return model


def check(account: ProviderAccount) -> None:
    """Raise :class:`Faults` for what the account's own rules refuse."""
    try:
        account.full_clean()
    except ValidationError as error:
        named = getattr(error, "error_dict", None)
        messages = (
            {field: " ".join(error.message_dict[field]) for field in named} if named else {"": " ".join(error.messages)}
        )
        raise Faults({field.replace("__all__", "headers"): text for field, text in messages.items()}) from None


def subject_of(key: str) -> dict[str, Any]:
    """Return the columns of the subject that a key names."""
    if key == "everyone":
        return {"everyone": True}
    kind, _, number = key.partition(":")
    tables: dict[str, tuple[str, Any]] = {
        "user": ("user", User),
        "team": ("team", Team),
        "virtualaccount": ("virtual_account", VirtualAccount),
    }
    if kind in tables:
        column, table = tables[kind]
        found = table.objects.filter(pk=whole_number(number)).first()
        if found is not None:
            return {column: found}
    raise Faults({"access": "Someone in the list is not there any more. Take them out."})


def listed(entered: dict[str, Any], field: str, most: int) -> list[Any]:
    """Return the list under ``field``."""
    values = entered.get(field) or []
    if not isinstance(values, list) or len(values) > most:
        raise Faults({field: f"Give a list of at most {most}."})
    return values


def read(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object that the page's script sent."""
    try:
        entered = json.loads(request.body)
    except ValueError:
        entered = None
    if not isinstance(entered, dict):
        raise Faults({"": "This is not valid JSON."})
    return entered


def done(request: HttpRequest, pk: int) -> HttpResponse:
    """Show how to call the new account's models."""
    allowed(request)
    account = get_object_or_404(ProviderAccount.objects.defer(*ENCRYPTED), pk=pk)
    models = list(account.models.filter(enabled=True).order_by("name"))
    favourite = next((one for one in models if "chat" in one.model_types and "mini" in one.name), None)
    shown = favourite or next((one for one in models if "chat" in one.model_types), models[0] if models else None)
    grants = account.grants.select_related("user", "team", "virtual_account")
    context = {
        "account": account,
        "count": len(models),
        "model": shown,
        "types": " ".join(shown.model_types) if shown else "",
        "users": sorted({str(grant) for grant in grants}),
        "base_url": base_url(request),
    }
    return page(request, "console/wizard_done.html", f"{account} is ready", context)
