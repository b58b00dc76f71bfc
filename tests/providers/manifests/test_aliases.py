"""Former names in manifests: given, taken away, left alone, exported, and never over a live name."""

import pytest

from providers.manifests.apply import ManifestError, export_documents, to_yaml
from providers.models import Alias
from tests.support.manifest_tools import SMALL, apply, done

pytestmark = pytest.mark.django_db

MODEL = "integrations: [{name: small, model_id: gpt-4o-mini, aliases: [mini, tiny]}]"


def aliases():
    return sorted((row.account.name, row.model.name if row.model else "", row.name) for row in Alias.objects.all())


def test_they_are_added_removed_and_left_alone():
    plan = apply(f"{SMALL}aliases: [openai-old]\n{MODEL}")
    assert "+ alias openai-old for openai-main" in done(plan)
    expected = [("openai-main", "", "openai-old"), ("openai-main", "small", "mini"), ("openai-main", "small", "tiny")]
    assert aliases() == expected
    assert not apply(f"{SMALL}aliases: [openai-old]\n{MODEL}").changed
    apply(SMALL)
    assert aliases() == expected, "a manifest that does not speak of them leaves them"
    assert done(apply(f"{SMALL}aliases: []")) == ["- alias openai-old for openai-main"]
    apply(f"{SMALL}{MODEL.replace(', tiny', '')}")
    assert aliases() == [("openai-main", "small", "mini")]


def test_export_and_apply_are_each_others_inverse():
    apply(f"{SMALL}aliases: [openai-old]\n{MODEL}")
    text = to_yaml(export_documents())
    before = aliases()
    assert not apply(text, environment={"OPENAI_MAIN_API_KEY": "sk-0123456789"}).changed
    Alias.objects.all().delete()
    apply(text, environment={"OPENAI_MAIN_API_KEY": "sk-0123456789"})
    assert aliases() == before


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        (f"{SMALL}aliases: [openai-main]", "aliases[0]", "There is a provider account"),
        (f"{SMALL}aliases: [a/b]", "aliases[0]", "no slash"),
        (
            f"{SMALL}integrations: [{{name: a, model_types: [chat], aliases: [a]}}]",
            "integrations[0].aliases[0]",
            "a model",
        ),
    ],
)
def test_no_alias_shadows_a_live_name(text, place, words):
    with pytest.raises(ManifestError) as caught:
        apply(text)
    [fault] = caught.value.faults
    assert fault.path == place
    assert words in fault.problem
    assert not Alias.objects.exists()
