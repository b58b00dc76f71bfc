"""Export and apply are each other's inverse, for configurations of every kind that hypothesis can think of."""

from datetime import date
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from accounts.models import Membership, Team, User, VirtualAccount
from providers.choices import FEATURES, MODEL_TYPES, RESOURCE_SWITCHES
from providers.manifests.apply import apply_manifests, export_documents, to_yaml
from providers.models import Grant, Model, ModelSubject, ProviderAccount
from providers.vendors import VENDORS
from tests.support.manifest_tools import snapshot

pytestmark = pytest.mark.django_db

SLUGS = st.sampled_from(["a", "a-b", "a.b", "a-b-2", "0", "no", "true", "null", "openai-main", "x_1", "1.5", "1e5"])
# Strings that YAML, variables and people trip over, and any other.
TEXTS = st.one_of(
    st.sampled_from(
        ["", "${HOME}", "$${X}", "$$${X} ${", "yes", "~", "1.50", "2027-01-31", "a: b # c", "- x", " x ", "a\nb\n\n"]
    ),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
)
HEADER_TEXTS = st.one_of(
    st.sampled_from(["", "${HOME}", "$${X}", "$$${X} ${", "yes", "~", "1.50", "2027-01-31", "a: b # c", "- x"]),
    st.from_regex(r"([!-~]([ -~]{0,18}[!-~])?)?", fullmatch=True),
)
WORDS = st.one_of(
    st.sampled_from(["vector_stores", "v1/agents/*", "${X}", "*", "& x"]), st.from_regex(r"[a-z]{1,8}", fullmatch=True)
)
KEYS = st.from_regex(r"[!-~]{1,30}", fullmatch=True)
URLS = st.sampled_from(
    ["", "https://api.openai.com/v1", "https://eu.api.openai.com/v1/", "https://h.example:8443/x/${y}"]
)
UNITS = ["input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok", "input_mchars", "audio_minute", "request"]
AMOUNTS = st.one_of(
    st.decimals(0, 1000, places=6).map(str), st.integers(0, 100), st.sampled_from(["0.36", "0.1500", 0.15, 1e-07, "0"])
)
TIERED = st.fixed_dictionaries(
    {"base": AMOUNTS, "tiers": st.lists(st.fixed_dictionaries({"start": st.just(9), "price": AMOUNTS}), max_size=1)}
)
IMAGES = st.just([{"size": "1024x1024", "quality": "hd", "price": "0.08"}, {"price": 0.04}])
PRICES = st.one_of(
    st.dictionaries(st.sampled_from(UNITS), AMOUNTS, min_size=1, max_size=4),
    st.fixed_dictionaries({"input_mtok": TIERED}, optional={"output_mtok": AMOUNTS}),
    st.fixed_dictionaries({"image": IMAGES}),
)
COUNTS = st.one_of(st.none(), st.integers(1, 2_000_000))
DAYS = st.one_of(st.none(), st.dates(date(2020, 1, 1), date(2030, 1, 1)))
PEOPLE = ["ana@x.com", "bo+1@x.com", "c${d}@x.com"]


def some(values):
    return st.lists(st.sampled_from(values), unique=True)


@st.composite
def models(draw):
    return {
        "name": draw(st.sampled_from(["gpt-4o", "gpt-4o-mini", "m", "1", "org/m:7b"])),
        "upstream_id": draw(st.sampled_from(["gpt-4o", "x ${y}", "meta/llama"])),
        "model_types": draw(some(MODEL_TYPES).filter(bool)),
        "features": draw(some(FEATURES)),
        "price_source": draw(st.sampled_from(["public", "private"])),
        "private_price": draw(PRICES),
        "context_window": draw(COUNTS),
        "max_output_tokens": draw(COUNTS),
        "deprecated_on": draw(DAYS),
        "enabled": draw(st.booleans()),
        "owner_key": draw(st.sampled_from(["", "", "user:1"])),
    }


@st.composite
def accounts(draw):
    fields = {
        "kind": draw(st.sampled_from([kind for kind, vendor in VENDORS.items() if vendor.base_url])),
        "name": draw(SLUGS),
        "base_url": draw(URLS),
        "organization": draw(HEADER_TEXTS),
        "project": draw(HEADER_TEXTS),
        "connect_timeout": draw(st.sampled_from([10, 0.1, 2.5, 0.30000000000000004, 300])),
        "read_timeout": draw(st.sampled_from([600, 7200, 33.3])),
        "connection_limit": draw(st.integers(0, 1000)),
        "enabled": draw(st.booleans()),
        "any_model": draw(st.booleans()),
        "discount_percent": draw(st.decimals(0, 100, places=2)),
        "isolation": draw(st.sampled_from(ProviderAccount.Isolation.values)),
        "open_resources": draw(st.lists(st.sampled_from(("*", *RESOURCE_SWITCHES)), unique=True, max_size=2)),
        "proxy_paths": draw(st.lists(WORDS, unique=True, max_size=2)),
        "register_fine_tuned": draw(st.booleans()),
        "api_key": draw(st.one_of(st.just(""), KEYS)),
        "extra_headers": draw(
            st.dictionaries(st.sampled_from(["X-A", "x_a", "Api-Key", "OpenAI-Beta"]), KEYS, max_size=3)
        ),
    }
    return fields, draw(st.lists(models(), unique_by=lambda model: model["name"], max_size=3))


@st.composite
def configurations(draw):
    """Everything that manifests are about, by position: subjects and grants point into the lists before them."""
    subjects = st.sampled_from(
        ["everyone", "user0", "user1", "user2", "team0", "team1", "application0", "application1"]
    )
    return {
        "users": [draw(st.tuples(*[st.booleans()] * 4)) for _ in PEOPLE],
        "teams": draw(st.lists(st.tuples(SLUGS, TEXTS, TEXTS), unique_by=lambda row: row[0], max_size=2)),
        "members": draw(some([(t, u, role) for t in (0, 1) for u in (0, 1, 2) for role in ("member", "manager")])),
        "applications": draw(
            st.lists(
                st.tuples(SLUGS, TEXTS, st.booleans(), st.dictionaries(TEXTS, TEXTS, max_size=2), st.booleans()),
                unique_by=lambda row: row[0],
                max_size=2,
            )
        ),
        "accounts": draw(st.lists(accounts(), unique_by=lambda row: row[0]["name"], max_size=3)),
        "grants": draw(
            st.lists(st.tuples(st.integers(0, 2), subjects, st.sampled_from(["manager", "user"])), max_size=6)
        ),
        "narrowed": draw(st.lists(st.tuples(st.integers(0, 8), subjects), max_size=4)),
    }


def build(configuration):
    """Write a configuration into the tables."""
    users = [
        User.objects.create_user(email, is_superuser=superuser, is_staff=staff, is_active=active, is_auditor=auditor)
        for email, (superuser, staff, active, auditor) in zip(PEOPLE, configuration["users"], strict=True)
    ]
    teams = [
        Team.objects.create(name=name, display_name=shown, description=text)
        for name, shown, text in configuration["teams"]
    ]
    for team, user, role in {
        (t, u): (t, u, role) for t, u, role in configuration["members"] if t < len(teams)
    }.values():
        Membership.objects.create(team=teams[team], user=users[user], role=role)
    applications = [
        VirtualAccount.objects.create(
            name=name, display_name=shown, enabled=enabled, tags=tags, team=teams[0] if owned and teams else None
        )
        for name, shown, enabled, tags, owned in configuration["applications"]
    ]
    things = {"everyone": {"everyone": True}}
    things |= {f"user{i}": {"user": user} for i, user in enumerate(users)}
    things |= {f"team{i}": {"team": team} for i, team in enumerate(teams)}
    things |= {f"application{i}": {"virtual_account": one} for i, one in enumerate(applications)}
    made = []
    for fields, rows in configuration["accounts"]:
        account = ProviderAccount(**fields)
        account.save()
        made.append((account, [Model.objects.create(account=account, **row) for row in rows]))
    for index, subject, role in set(configuration["grants"]):
        if index < len(made) and subject in things:
            Grant.objects.create(account=made[index][0], role=role, **things[subject])
    every_model = [model for _, rows in made for model in rows if not model.owner_key]
    for index, subject in set(configuration["narrowed"]):
        if index < len(every_model) and subject in things:
            ModelSubject.objects.create(model=every_model[index], **things[subject])


EXAMPLES = settings(
    max_examples=40,
    deadline=None,
    phases=set(Phase) - {Phase.explain},
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@EXAMPLES
@given(configurations())
def test_applying_an_export_changes_nothing(configuration):
    with transaction.atomic():
        build(configuration)
        before = snapshot()
        text = to_yaml(export_documents())
        plan = apply_manifests([("export.yaml", text)], {}, prune=True)
        assert not plan.changed, "\n".join(plan.lines())
        assert snapshot() == before
        for account in ProviderAccount.objects.all():
            one = to_yaml(export_documents([account.name]))
            assert not apply_manifests([("one.yaml", one)], {}).changed
        transaction.set_rollback(True)


@EXAMPLES
@given(configurations())
def test_an_export_with_its_secrets_restores_everything_on_an_empty_database(configuration):
    with transaction.atomic():
        build(configuration)
        Model.objects.exclude(owner_key="").delete()  # registered by fine-tuning jobs: not part of the configuration
        before = snapshot()
        text = to_yaml(export_documents())
        environment = secrets_of(text)
        for table in (Grant, Model, ProviderAccount, VirtualAccount, Team, User):
            table.objects.all().delete()
        apply_manifests([("export.yaml", text)], environment)
        after = snapshot()
        named = {email for email, *_ in after["users"]}
        before["users"] = [
            row for row in before["users"] if row[0] in named or (*row[1:4], row[5]) != (False, False, True, False)
        ]
        for model in before["models"].values():
            if model["price_source"] == "public":
                model["private_price"] = {}
        assert normal(after) == normal(before)
        transaction.set_rollback(True)


def secrets_of(text):
    """Return the environment that an export of the present tables asks for."""
    environment = {}
    documents = {
        document["name"]: document for document in export_documents() if document["type"].startswith("provider-")
    }
    for account in ProviderAccount.objects.all():
        document = documents[account.name]
        if account.api_key:
            environment[document["auth_data"]["api_key"][2:-1]] = account.api_key
        for name, value in account.extra_headers.items():
            environment[document["extra_headers"][name][2:-1]] = value
    assert all(f"${{{name}}}" in text for name in environment)
    secrets = sum(bool(account.api_key) + len(account.extra_headers) for account in ProviderAccount.objects.all())
    assert len(environment) == secrets  # no two secrets share a variable
    return environment


def normal(tables):
    """Return a snapshot in which the same price is the same value, whichever way it is written."""
    for model in tables["models"].values():
        model["private_price"] = _normal_price(model["private_price"])
    return tables


def _normal_price(value):
    if isinstance(value, dict):
        return {name: _normal_price(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_normal_price(entry) for entry in value]
    return value if value in ("1024x1024", "hd") else Decimal(str(value))
