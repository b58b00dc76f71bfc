"""The pages on manifests and commands are complete, and their examples work."""

import re
import textwrap
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from providers.choices import FEATURES, MODEL_TYPES
from providers.manifests.cost import METRICS
from providers.manifests.schema import SCHEMAS, Integration, known_fields, passed_over
from providers.models import Model, ProviderAccount
from providers.probe.verdict import LABELS
from providers.vendors import VENDORS
from tests.support.manifest_tools import apply
from tests.support.token_server import key_file

ROOT = Path(__file__).resolve().parents[3]
MANIFESTS = (ROOT / "docs/manifests.md").read_text()
COMMANDS = (ROOT / "docs/commands.md").read_text()
APPS = ("accounts", "providers", "usage", "gateway", "batches", "alerts")
OURS = sorted(name for name, app in get_commands().items() if app in APPS)
DJANGOS_OPTIONS = {"--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color"}
DJANGOS_OPTIONS |= {"--force-color", "--skip-checks"}


@pytest.mark.django_db
def test_the_example_on_manifests_applies():
    example, vertex, azure, price = re.findall(r"```yaml\n(.*?)```", MANIFESTS, re.S)
    assert apply(example).count("add") == 10
    priced = example.replace("    cost: {metric: public_cost}\n", textwrap.indent(price, "    "))
    assert apply(priced).count("change") == 1
    assert Model.objects.get(name="gpt-4o-mini").private_price["changes"]
    assert apply(example).count("change") == 1
    assert apply(vertex, environment={"GOOGLE_KEY_FILE": key_file("https://oauth2.googleapis.com")}).count("add") == 4
    assert ProviderAccount.objects.get(name="vertex").vendor.vertex
    assert apply(azure, environment={"AZURE_SECRET": "secret-of-azure"}).count("add") == 3
    assert ProviderAccount.objects.get(name="azure").called_version == "2024-10-21"
    assert not apply(example, environment={}).changed


@pytest.mark.parametrize("schema", [*SCHEMAS.values(), Integration])
def test_every_field_is_described(schema):
    missing = [field for field in (*known_fields(schema), *passed_over(schema)) if f"`{field}" not in MANIFESTS]
    assert missing in ([], ["owned_by"])


def test_every_word_that_a_field_takes_is_described():
    for word in (*VENDORS, *MODEL_TYPES, *FEATURES, *METRICS, "public_cost", "per_unit"):
        assert f"`{word}`" in MANIFESTS, word


@pytest.mark.parametrize("name", OURS)
def test_every_command_and_option_is_described(name):
    assert f"`{name}`" in COMMANDS
    app = get_commands()[name]
    import_module(f"{app}.management.commands.{name}")
    parser = load_command_class(app, name).create_parser("manage.py", name)
    options = {text for action in parser._actions for text in action.option_strings if text.startswith("--")}
    if name == "sandbox":
        return  # its options are those of python -m sandbox
    missing = [option for option in options - DJANGOS_OPTIONS if option not in COMMANDS]
    assert missing == []


def test_every_verdict_is_described():
    for state in LABELS:
        assert f"| `{state}` |" in COMMANDS
