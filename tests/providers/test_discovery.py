"""What a server says that it offers, in each dialect, and what becomes of it."""

import io
import json
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from accounts.changes import Change
from accounts.database_clock import database_now
from gateway.directory.accounts import account_snapshots
from gateway.doctor.account_checks import check_offers
from providers import offers
from providers.account import ACCOUNT_KIND
from providers.discovery import PAGE_SIZES, DiscoveryFailed, discover, guess, read_page
from providers.models import Model, OfferedList, ProviderAccount
from providers.probe.run import probe_account
from sandbox.anthropic.models import MODELS as CLAUDE
from sandbox.gemini.models import MODELS as GEMINI
from sandbox.model.catalog import MODELS
from tests.support.sandbox_process import KEY, SandboxProcess

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def sandbox():
    with SandboxProcess() as running:
        yield running


@pytest.fixture
def account(sandbox, settings):
    settings.EGRESS_ALLOW = ["127.0.0.1"]

    def make(
        kind: str = "self-hosted-model", url: str = sandbox.url, key: str = KEY, stored: str = ""
    ) -> ProviderAccount:
        made = ProviderAccount(name="acme", kind=kind, base_url=url)
        made.api_key = key
        made.credentials = stored or made.credentials
        made.save()
        return made

    return make


def test_openais_list(account) -> None:
    found = {model.name: model.model_types for model in discover(account())}
    assert len(found) > 100
    assert found["gpt-4o-mini"] == ("chat",)
    assert found["text-embedding-3-small"] == ("embedding",)
    assert found["whisper-1"] == ("audio_transcription",)
    # What the catalogue knows of a vendor's model wins over its name.
    ProviderAccount.objects.all().delete()
    assert "responses" in next(model for model in discover(account("openai")) if model.name == "gpt-4o").model_types


def test_anthropics_list(account, sandbox) -> None:
    found = {model.name: model for model in discover(account("anthropic"))}
    assert found.keys() == CLAUDE.keys()
    assert found["claude-opus-5-5"].model_types[0] == "chat"


def test_geminis_list(account, sandbox) -> None:
    found = {model.name: model for model in discover(account("google-gemini", f"{sandbox.origin}/v1beta"))}
    assert found.keys() == GEMINI.keys()
    assert found["gemini-embedding-001"].model_types == ("embedding",)
    assert found["gemini-2.5-flash"].context_window == 1_048_576
    assert "text_to_speech" in found["gemini-2.5-flash-preview-tts"].model_types


def test_vertex_lists_none(account, sandbox) -> None:
    sandbox.clear()
    made = account("google-vertex", f"{sandbox.origin}/v1/projects/p/locations/global")
    with pytest.raises(DiscoveryFailed, match="seed_catalogue"):
        discover(made)
    assert sandbox.requests() == []


def test_lists_that_come_in_pages(account, sandbox, monkeypatch) -> None:
    monkeypatch.setitem(PAGE_SIZES, "anthropic", {"limit": "3"})
    monkeypatch.setitem(PAGE_SIZES, "gemini", {"pageSize": "4"})
    sandbox.clear()
    assert {model.name for model in discover(account("anthropic"))} == CLAUDE.keys()
    assert len(sandbox.requests()) == -(-len(CLAUDE) // 3)
    ProviderAccount.objects.all().delete()
    sandbox.clear()
    assert {model.name for model in discover(account("google-gemini", f"{sandbox.origin}/v1beta"))} == GEMINI.keys()
    assert len(sandbox.requests()) == -(-len(GEMINI) // 4)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ([{"id": "a"}, {"name": "b"}, "c"], ["a", "b"]),
        ({"data": [{"id": "a"}]}, ["a"]),
        ({"models": [{"name": "models/a"}, {"model": "b"}]}, ["models/a", None]),
        ({"object": "list", "data": []}, []),
    ],
)
def test_lists_of_any_server(body, names) -> None:
    rows = read_page(json.dumps(body).encode()).rows
    assert [row.get("id", row.get("name")) for row in rows] == names


@pytest.mark.parametrize("body", [b"", b"<html>", b"5", b'{"data": 5}', b'{"error": "no"}'])
def test_answers_that_are_no_list(body) -> None:
    with pytest.raises(DiscoveryFailed):
        read_page(body)


@pytest.mark.parametrize(
    ("name", "types"),
    [
        ("BAAI/bge-reranker-v2-m3", ("rerank",)),
        ("nomic-embed-text", ("embedding",)),
        ("Llama-Guard-4-12B", ("moderation",)),
        ("black-forest-labs/FLUX.1-dev", ("image",)),
        ("kokoro-82m", ("text_to_speech",)),
        ("whisper-large-v3-turbo", ("audio_transcription",)),
        ("llama-3.3-70b", ("chat",)),
    ],
)
def test_what_a_name_says(name, types) -> None:
    assert guess(name) == types


def test_why_there_is_no_list(account, sandbox) -> None:
    for made, said in (
        ({"key": "sk-wrong-key"}, "refused the key"),
        ({"stored": '{"type": "of another release"}'}, "credentials can't be read"),
        ({"url": f"{sandbox.url}/nowhere"}, "has no list of models"),
        ({"url": "http://127.0.0.1:9"}, "can't be reached"),
    ):
        with pytest.raises(DiscoveryFailed, match=said):
            discover(account(**made))
        ProviderAccount.objects.all().delete()


def test_credentials_that_cannot_be_read_are_a_bad_key(account) -> None:
    [result] = probe_account(account(key='{"type": "of another release"}'))
    assert (result.state, result.ok) == ("bad_key", False)


def run(*arguments: str) -> str:
    out = io.StringIO()
    call_command("discover", "acme", *arguments, stdout=out)
    return out.getvalue()


def test_the_command_lists_and_adds(account) -> None:
    made = account("openai")
    Model.objects.create(account=made, name="gpt-4o", model_types=["chat"])
    listed = run("--match", "gpt-4o*")
    assert "  acme/gpt-4o  " in listed
    assert "? acme/gpt-4o-mini  " in listed
    assert "--add adds them" in listed
    assert made.models.count() == 1
    assert "+ acme/gpt-4o-mini  " in run("--match", "gpt-4o-mini", "--match", "whisper-1", "--add")
    assert set(made.models.values_list("name", flat=True)) == {"gpt-4o", "gpt-4o-mini", "whisper-1"}
    rows = {row["name"]: row for row in json.loads(run("--json", "--match", "whisper-1"))}
    assert rows["whisper-1"]["there"] is True
    with pytest.raises(CommandError, match="nothing"):
        call_command("discover", "nothing")


# --- what is kept of the lists of accounts that pass any name on --------------------------------------------------


def snapshot_of(made: ProviderAccount) -> tuple[str, ...]:
    """The names that workers hold."""
    return tuple(account_snapshots({})[made.name].offered)


def announced() -> int:
    return Change.objects.filter(kind=ACCOUNT_KIND).count()


def refresh() -> list[bool]:
    """Do what the worker does each minute; return whether each account that was due gave a list."""
    now = database_now()
    claims = {pk: offers.claim(pk, now) for pk in offers.due(now)}
    return [offers.read(pk, claim) for pk, claim in claims.items() if claim is not None]


def opened(made: ProviderAccount) -> ProviderAccount:
    made.any_model = True
    made.save()
    return made


def test_a_list_is_kept_and_read_again_when_it_is_due(account, sandbox, settings) -> None:
    made = opened(account())
    before = announced()
    assert refresh() == [True]
    assert snapshot_of(made) == tuple(sorted(MODELS))
    assert announced() == before + 1, "workers load the account again"
    sandbox.clear()
    assert refresh() == []
    assert sandbox.requests() == []
    OfferedList.objects.update(tried_at=database_now() - timedelta(seconds=settings.DISCOVER_SECONDS))
    assert refresh() == [True]
    assert announced() == before + 1, "it is the same list"
    made.save()
    assert refresh() == [True], "the account was changed"
    settings.DISCOVER_SECONDS = 0
    made.save()
    assert refresh() == []


def test_one_worker_reads(account) -> None:
    made = opened(account())
    now = database_now()
    assert offers.due(now) == [made.pk]
    claim = offers.claim(made.pk, now)
    assert offers.claim(made.pk, now) is None
    assert offers.read(made.pk, claim - timedelta(seconds=1)) is False, "a claim of another"
    assert offers.read(made.pk, claim) is True
    assert offers.claim(made.pk, now) is None, "it was due before it was read"
    OfferedList.objects.update(tried_at=None, lease_until=now - timedelta(seconds=1))
    assert offers.claim(made.pk, now) is not None, "the worker that had it is dead"


def test_a_failure_keeps_the_last_list_and_is_shown(account, sandbox) -> None:
    made = opened(account())
    refresh()
    made.api_key = "sk-wrong-key"
    made.save()
    assert refresh() == [False]
    assert snapshot_of(made) == tuple(sorted(MODELS))
    (found,) = check_offers()
    assert "gave no list" in found.message
    assert "refused the key" in found.message
    assert "refused the key" in offers.state_of(made)
    assert "sk-wrong-key" not in found.message + str(OfferedList.objects.values().get())
    made.api_key = KEY
    made.save()
    assert refresh() == [True]
    assert list(check_offers()) == []
    assert offers.state_of(made).startswith(f"{len(MODELS)} models, read ")


def test_the_list_of_another_address_is_not_shown(account, sandbox) -> None:
    made = opened(account())
    refresh()
    assert snapshot_of(made)
    made.base_url = f"{sandbox.url}/elsewhere"
    made.save()
    assert snapshot_of(made) == ()
    made.base_url = sandbox.url
    made.save()
    assert snapshot_of(made)
    made.any_model = False
    made.save()
    assert snapshot_of(made) == ()


def test_accounts_without_a_list_are_not_asked(account, sandbox) -> None:
    opened(account("google-vertex", f"{sandbox.origin}/v1/projects/p/locations/global"))
    sandbox.clear()
    assert refresh() == []
    assert sandbox.requests() == []
    ProviderAccount.objects.all().delete()
    account()
    assert refresh() == [], "only where any name passes"


def test_what_the_command_reads_is_kept_and_bounded(account, monkeypatch) -> None:
    made = account()
    run()
    assert not OfferedList.objects.exists(), "only where any name passes"
    opened(made)
    monkeypatch.setattr(offers, "MOST_MODELS", 3)
    run("--match", "nothing-like-it")
    assert snapshot_of(made) == tuple(sorted(MODELS)[:3])
    made.delete()
    assert not OfferedList.objects.exists()


def test_rows_of_accounts_that_another_release_deleted_go(account) -> None:
    opened(account())
    refresh()
    ProviderAccount.objects.all()._raw_delete("default")
    assert OfferedList.objects.exists()
    assert refresh() == []
    assert not OfferedList.objects.exists()
