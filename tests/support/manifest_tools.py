"""Shared by the tests of manifests: applying texts, and a snapshot of all tables that manifests are about."""

from accounts.models import ApiToken, Membership, Team, User, VirtualAccount
from providers.manifests.accounts import subject_text
from providers.manifests.apply import apply_manifests
from providers.models import Grant, Model, ModelSubject, ProviderAccount

KEY = "sk-0123456789"
ENVIRONMENT = {"OPENAI_API_KEY": KEY}
SMALL = """
type: provider-account/openai
name: openai-main
auth_data: {type: api-key, api_key: "${OPENAI_API_KEY}"}
"""
ACCOUNT_COLUMNS = [
    field.name
    for field in ProviderAccount._meta.concrete_fields
    if field.name not in ("id", "created_at", "updated_at", "extra_headers_json")
]
MODEL_COLUMNS = [
    field.name for field in Model._meta.concrete_fields if field.name not in ("id", "account", "created_at")
]


def account():
    """Return the account that most tests are about."""
    return ProviderAccount.objects.get(name="openai-main")


def apply(*texts, environment=ENVIRONMENT, **options):
    """Apply ``texts`` as files a.yaml, b.yaml … and return the plan."""
    sources = [(f"{chr(97 + index)}.yaml", text) for index, text in enumerate(texts)]
    return apply_manifests(sources, environment, **options)


def done(plan):
    """Return the steps of a plan that do something, as ``sign kind name``."""
    signs = {"add": "+", "change": "~", "remove": "-"}
    return [f"{signs[step.action]} {step.kind} {step.name}" for step in plan.steps if step.action != "keep"]


def changes(plan):
    """Return all changed fields of a plan in words."""
    return [str(change) for step in plan.steps for change in step.changes]


def snapshot():
    """Return everything that manifests write, secrets included, in a form that can be compared."""
    return {
        "users": sorted(
            (u.email, u.is_superuser, u.is_staff, u.is_active, u.has_usable_password(), u.is_auditor)
            for u in User.objects.all()
        ),
        "teams": sorted((t.name, t.display_name, t.description) for t in Team.objects.all()),
        "members": sorted((m.team.name, m.user.email, m.role) for m in Membership.objects.all()),
        "virtual accounts": sorted(
            (v.name, v.display_name, v.description, v.enabled, v.team.name if v.team else "", sorted(v.tags.items()))
            for v in VirtualAccount.objects.all()
        ),
        "accounts": {
            a.name: ({name: getattr(a, name) for name in ACCOUNT_COLUMNS}, a.api_key, a.extra_headers)
            for a in ProviderAccount.objects.all()
        },
        "models": {m.public_name: {name: getattr(m, name) for name in MODEL_COLUMNS} for m in Model.objects.all()},
        "grants": sorted((g.account.name, subject_text(g), g.role) for g in Grant.objects.all()),
        "subjects": sorted((s.model.public_name, subject_text(s)) for s in ModelSubject.objects.all()),
        "tokens": sorted(ApiToken.objects.values_list("prefix", "revoked_at")),
    }
