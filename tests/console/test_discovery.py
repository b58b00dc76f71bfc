"""The page of what an account's server offers."""

import pytest
from django.urls import reverse

from providers.models import ProviderAccount
from sandbox.model.catalog import MODELS
from tests.console.conftest import messages
from tests.support.sandbox_process import KEY, SandboxProcess


@pytest.fixture
def page(installation, settings):
    with SandboxProcess() as sandbox:
        settings.EGRESS_ALLOW = ["127.0.0.1"]
        account = ProviderAccount(name="local", kind="self-hosted-model", base_url=sandbox.url)
        account.api_key = KEY
        account.save()
        yield reverse("admin:providers_provideraccount_discover", args=[account.pk])


def test_what_the_server_offers_is_listed_and_added(page, as_root) -> None:
    shown = as_root.get(page).content.decode()
    assert "text-embedding-3-small" in shown
    added = as_root.post(page, {"model": ["gpt-4o-mini", "whisper-1", "not-offered"]}, follow=True)
    assert "Added 2 models to local." in messages(added)
    there = ProviderAccount.objects.get(name="local").models
    assert {model.name: model.model_types for model in there.all()} == {
        "gpt-4o-mini": ["chat"],
        "whisper-1": ["audio_transcription"],
    }


def test_what_the_page_has_read_is_kept_where_any_name_passes(page, as_root) -> None:
    account = ProviderAccount.objects.get(name="local")
    account.any_model = True
    account.save()
    own = reverse("admin:providers_provideraccount_change", args=[account.pk])
    assert "Not read yet." in as_root.get(own).content.decode()
    as_root.get(page)
    assert f"{len(MODELS)} models, read " in as_root.get(own).content.decode()


def test_a_server_that_does_not_answer(page, as_root) -> None:
    account = ProviderAccount.objects.get(name="local")
    account.api_key = "sk-wrong-key"
    account.save()
    shown = as_root.get(page)
    assert "The server refused the key" in messages(shown)
    assert "Add them by hand" in shown.content.decode()
