"""A small installation with two of everything: what Mia manages, and what she doesn't."""

from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib import admin
from django.test import Client

from accounts.models import ApiToken, AuditEntry, Membership, Team, User, VirtualAccount
from gateway.models import OwnedObject
from providers.models import Grant, Model, ModelSubject, ProviderAccount
from rules.models import Budget
from tests.support.usage_rows import record
from usage.models import UsageRecord

admin.autodiscover()  # a server loads the pages with its addresses; the tests list them before

PASSWORD = "an-Obvious-password-7"
KEY = "sk-provider-key-0123456789"
HEADER = "header-secret-98765"


@dataclass
class Installation:
    """The rows by name: ``mine`` is an account, a team and so on that Mia manages, ``other`` one that she doesn't."""

    root: User
    mia: User
    paul: User
    mine: dict[str, Any]
    other: dict[str, Any]


def seed(name: str, manager: User | None, member: User) -> dict[str, Any]:
    """Create an account with a model and grants, a team with a virtual account and its token, and a usage record."""
    account = ProviderAccount(kind="openai", name=f"{name}-openai")
    account.api_key = KEY
    account.extra_headers = {"X-Secret-Team": HEADER}
    account.save()
    model = Model.objects.create(account=account, name="gpt-4o-mini", model_types=["chat"])
    team = Team.objects.create(name=f"{name}-team")
    Membership.objects.create(team=team, user=member)
    if manager:
        Membership.objects.create(team=team, user=manager, role=Membership.Role.MANAGER)
        Grant.objects.create(account=account, user=manager, role=Grant.Role.MANAGER)
    bot = VirtualAccount.objects.create(name=f"{name}-bot", team=team)
    usage = record(account=account.name, model_asked=model.public_name, request_id=f"req-of-{name}")
    UsageRecord.objects.bulk_create([usage])
    owned = {"account_name": account.name, "owner_key": f"user:{member.pk}", "owner_name": member.email}
    return {
        "account": account,
        "model": model,
        "grant": Grant.objects.create(account=account, team=team),
        "subject": ModelSubject.objects.create(model=model, team=team),
        "team": team,
        "bot": bot,
        "token": ApiToken.objects.issue(name=f"{name}-token", virtual_account=bot)[0],
        "usage": usage,
        "audit": AuditEntry.objects.get(object_type="providers.provideraccount", object_id=str(account.pk)),
        "budget": Budget.objects.create(
            form="team-budget-config", name=f"{name}-budget", team=team, effect={"limits": {"cost_per_day": 5}}
        ),
        "job": OwnedObject.objects.create(kind="batch", object_id=f"batch_{name}", **owned),
        "file": OwnedObject.objects.create(kind="file", object_id=f"file-{name}", **owned),
    }


@pytest.fixture
def installation(db: None, settings: Any) -> Installation:
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # a slow hash is not what is tested
    root = User.objects.create_superuser("root@example.com", PASSWORD)
    mia = User.objects.create_user("mia@example.com", PASSWORD)
    paul = User.objects.create_user("paul@example.com", PASSWORD)
    return Installation(root, mia, paul, mine=seed("mine", mia, paul), other=seed("other", None, paul))


@pytest.fixture
def as_root(installation: Installation) -> Client:
    return signed_in(installation.root)


@pytest.fixture
def as_mia(installation: Installation) -> Client:
    return signed_in(installation.mia)


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def messages(response: Any) -> str:
    """Return what the page says, in one text."""
    return " ".join(str(message) for message in response.context["messages"])


def form_data(response: Any) -> dict[str, Any]:
    """Return what a browser would send for the form on this page, unchanged: a test changes what it means to change."""
    data: dict[str, Any] = {"_version": response.context["version"]} if "version" in response.context else {}
    forms = [response.context["adminform"].form]
    for inline in response.context["inline_admin_formsets"]:
        forms += [inline.formset.management_form, *inline.formset.forms]
    for form in forms:
        for bound in form:
            widget = bound.field.widget
            for key, value in _sent(widget, bound.html_name, bound.value()).items():
                if value is not None and value is not False:
                    data[key] = value
    return data


def version(response: Any) -> dict[str, str]:
    """Return what a form that was opened with ``response`` says of its state."""
    return {"_version": response.context["version"]}


def _sent(widget: Any, name: str, value: Any) -> dict[str, Any]:
    if hasattr(widget, "widgets"):
        values = widget.decompress(value) if not isinstance(value, list) else value
        return {f"{name}{part}": values[i] for i, part in enumerate(widget.widgets_names)}
    return {name: "on" if value is True else value}
