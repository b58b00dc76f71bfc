"""The models that ship with Gatehouse, and seeding an account with them."""

import io
from datetime import date

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.models import Change
from providers.catalogue.models import choose, kind_of, known_model, known_models, seed
from providers.choices import FEATURES, MODEL_TYPES
from providers.dialects.families import claude, gemini
from providers.models import Model, ProviderAccount

# Every model that the guides of the contract name, and what they call it for.
NAMED_IN_GUIDES = {
    "gpt-4o-mini": {"chat", "responses", "batch", "fine_tuning"},
    "gpt-4o": {"chat", "responses"},
    "gpt-4o-mini-2024-07-18": {"chat", "fine_tuning"},
    "gpt-3.5-turbo": {"chat", "fine_tuning"},
    "o3": {"chat", "responses"},
    "o4-mini": {"chat", "responses"},
    "text-embedding-3-small": {"embedding"},
    "text-embedding-3-large": {"embedding"},
    "text-embedding-ada-002": {"embedding"},
    "gpt-image-1": {"image"},
    "dall-e-2": {"image"},
    "dall-e-3": {"image"},
    "gpt-4o-mini-tts": {"text_to_speech"},
    "tts-1": {"text_to_speech"},
    "tts-1-hd": {"text_to_speech"},
    "whisper-1": {"audio_transcription", "audio_translation"},
    "gpt-4o-transcribe": {"audio_transcription"},
    "gpt-4o-mini-transcribe": {"audio_transcription"},
    "omni-moderation-latest": {"moderation"},
    "text-moderation-latest": {"moderation"},
    "gpt-4o-realtime-preview": {"realtime"},
    "gpt-realtime": {"realtime"},
    "gpt-3.5-turbo-instruct": {"completion"},
}


def names(models):
    return [model.name for model in models]


CLAUDES = ("anthropic", "azure-anthropic", "aws-bedrock-anthropic", "google-vertex-anthropic")
KINDS = ("openai", *CLAUDES, "google-gemini", "google-vertex")
KNOWN = [known for kind in KINDS for known in known_models(kind)]


@pytest.mark.parametrize("known", KNOWN, ids=names(KNOWN))
def test_every_row_is_whole(known):
    assert known.model_types
    assert set(known.model_types) <= set(MODEL_TYPES)
    assert set(known.features) <= set(FEATURES)
    assert list(known.model_types) == sorted(known.model_types, key=MODEL_TYPES.index)
    assert known.context_window is None or known.context_window > 0
    if known.context_window and known.max_output_tokens:
        assert known.max_output_tokens <= known.context_window
    known.as_model(ProviderAccount(name="a")).clean()
    assert ("chat" in known.model_types) <= ("streaming" in known.features)
    assert known.sheet is not None
    assert known.price != "unpriced"


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_unique_and_sorted(kind):
    assert names(known_models(kind)) == sorted(set(names(known_models(kind))))


@pytest.mark.parametrize(
    ("kind", "family"), [*((kind, claude) for kind in CLAUDES), ("google-gemini", gemini), ("google-vertex", gemini)]
)
def test_what_the_catalogue_says_is_what_requests_are_written_by(kind, family):
    assert known_models(kind)
    for known in known_models(kind):
        row = family(known.name)
        if kind in CLAUDES:
            assert (known.max_output_tokens, "json_schema" in known.features) == (row.output, row.schemas), known.name
        elif "chat" in known.model_types:
            assert ("reasoning" in known.features) == bool(row.levels or row.budget), known.name


@pytest.mark.parametrize(("name", "types"), NAMED_IN_GUIDES.items())
def test_models_of_the_guides_are_there(name, types):
    assert types <= set(known_model("openai", name).model_types)


def test_facts_of_one_model():
    mini = known_model("openai", "gpt-4o-mini")
    assert set(mini.features) == {"streaming", "tools", "vision", "pdf", "json_schema", "prompt_caching"}
    assert (mini.context_window, mini.max_output_tokens) == (128_000, 16_384)
    assert mini.deprecated_on == date(2027, 1, 14)
    assert "$0.15 input" in mini.price
    assert "$0.60 output" in mini.price
    assert not mini.retired(date(2027, 1, 13))
    assert mini.retired(date(2027, 1, 14))
    assert "reasoning" in known_model("openai", "o4-mini").features
    assert known_model("openai", "omni-moderation-latest").price == "free"
    assert known_model("openai", "no-such-model") is None


def test_other_kinds_have_no_list():
    assert known_models("groq") == ()
    with pytest.raises(ValueError, match="lists no models of Groq"):
        choose("groq", [])


def test_vertex_has_names_of_its_own_at_one_address():
    place = "https://aiplatform.googleapis.com/v1/projects/p/locations/global"
    native = ProviderAccount(name="a", kind="google-vertex", base_url=place)
    other = ProviderAccount(name="b", kind="google-vertex", base_url=f"{place}/endpoints/openapi")
    assert "gemini-3.8-flash" in names(known_models(kind_of(native)))
    assert known_models(kind_of(other)) == ()


# --- seeding ---


@pytest.fixture
def account():
    return ProviderAccount.objects.create(name="openai-main")


def run(*args):
    out = io.StringIO()
    call_command("seed_catalogue", *args, stdout=out)
    return out.getvalue()


@pytest.mark.django_db
def test_seeding_named_models(account):
    out = run("openai-main", "--model", "gpt-4o-mini", "--model", "whisper-1", "--model", "gpt-4o-mini")
    assert "+ openai-main/gpt-4o-mini  $0.15 input" in out
    assert "Added 2, changed 0, kept 0." in out
    model = account.models.get(name="gpt-4o-mini")
    assert (model.upstream_id, model.price_source, model.enabled) == ("gpt-4o-mini", "public", True)
    assert model.model_types == ["chat", "responses", "batch", "fine_tuning"]
    assert (model.context_window, model.max_output_tokens, model.deprecated_on) == (128_000, 16_384, date(2027, 1, 14))
    assert account.models.get(name="whisper-1").model_types == ["audio_transcription", "audio_translation"]


@pytest.mark.django_db
def test_seeding_all_leaves_out_what_is_shut_down_and_is_announced(account):
    Change.objects.all().delete()
    out = run("openai-main", "--all")
    present = set(account.models.values_list("name", flat=True))
    assert present == {known.name for known in known_models("openai") if not known.retired()}
    assert "dall-e-3" not in present
    assert f"Added {len(present)}" in out
    assert {change.kind for change in Change.objects.all()} == {"providers.provideraccount"}


@pytest.mark.django_db
def test_seeding_again_keeps_what_the_operator_changed(account):
    run("openai-main", "--model", "gpt-4o-mini")
    account.models.update(
        model_types=["chat"], price_source="private", private_price={"input_mtok": "1"}, enabled=False
    )
    assert "Added 0, changed 0, kept 1." in run("openai-main", "--model", "gpt-4o-mini")
    model = account.models.get()
    assert (model.model_types, model.price_source, model.enabled) == (["chat"], "private", False)


@pytest.mark.django_db
def test_refresh_updates_facts_and_nothing_else(account):
    Model.objects.create(account=account, name="gpt-4o-mini", model_types=["chat"], features=["tools"])
    out = run("openai-main", "--model", "gpt-4o-mini", "--refresh")
    assert "~ openai-main/gpt-4o-mini (features, context_window, max_output_tokens, deprecated_on)" in out
    model = account.models.get()
    assert model.model_types == ["chat"]
    assert "vision" in model.features
    assert model.context_window == 128_000
    assert "changed 0, kept 1" in run("openai-main", "--model", "gpt-4o-mini", "--refresh")


@pytest.mark.django_db
def test_a_dry_run_writes_nothing(account):
    Model.objects.create(account=account, name="gpt-4o-mini", model_types=["chat"])
    done = seed(account, choose("openai", ["gpt-4o-mini", "gpt-4o"]), refresh=True, dry_run=True)
    assert [row.action for row in done] == ["change", "add"]
    assert "Would add 1" in run("openai-main", "--model", "gpt-4o", "--dry-run")
    assert account.models.get().features == []


@pytest.mark.django_db
def test_the_list_writes_nothing(account):
    out = run("openai-main", "--list")
    assert "gpt-4o-mini  chat, responses, batch, fine_tuning · $0.15 input" in out
    assert not account.models.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["openai-mian", "--all"], "Valid values: openai-main"),
        (["openai-main", "--model", "gpt-4o-mni"], "Near it: gpt-4o-mini"),
        (["openai-main"], "required"),
        (["openai-main", "--all", "--model", "gpt-4o"], "not allowed with"),
    ],
)
def test_refusals(account, args, word):
    with pytest.raises(CommandError, match=word):
        run(*args)
    assert not account.models.exists()


@pytest.mark.django_db
def test_a_model_that_the_vendor_shut_down_can_still_be_named(account):
    run("openai-main", "--model", "dall-e-2")
    assert account.models.get().deprecated_on == date(2026, 5, 12)
