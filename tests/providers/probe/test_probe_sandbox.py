"""Testing credentials against the sandbox upstream, which answers as OpenAI does."""

import pytest

from providers.catalogue.models import choose
from providers.models import ProviderAccount
from providers.probe.run import probe_account
from tests.support.sandbox_process import KEY, SandboxProcess

CALLED = ["gpt-4o-mini", "o4-mini", "o3", "text-embedding-3-small", "omni-moderation-latest"]
LISTED = ["gpt-image-1", "whisper-1", "gpt-4o-mini-tts"]


@pytest.fixture(scope="module")
def sandbox():
    with SandboxProcess() as process:
        yield process


@pytest.fixture
def account(settings, sandbox):
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    account = ProviderAccount(name="openai-main", base_url=sandbox.url)
    account.api_key = KEY
    return account


def probe(account, *names, upstream_id=""):
    models = [known.as_model(account) for known in choose("openai", names)]
    for model in models:
        model.upstream_id = upstream_id or model.name
    return probe_account(account, models)


def test_every_kind_of_model_works(account):
    results = probe(account, *CALLED, *LISTED)
    assert [(result.model, result.state) for result in results] == [
        (f"openai-main/{name}", "works") for name in (*CALLED, *LISTED)
    ]
    assert [result.via for result in results] == ["call"] * len(CALLED) + ["list"] * len(LISTED)


def test_a_wrong_key(account):
    account.api_key = "sk-wrong-0123456789"
    results = probe(account, *CALLED, *LISTED)
    assert {result.state for result in results} == {"bad_key"}
    assert not any(account.api_key in result.detail for result in results)


def test_a_model_that_is_not_there(account):
    results = probe(account, *CALLED, *LISTED, upstream_id="gpt-unheard-of")
    assert {result.state for result in results} == {"no_model"}


@pytest.mark.parametrize("base", ["", "/v1/v1", "/nowhere"])
def test_a_wrong_path(account, sandbox, base):
    account.base_url = sandbox.origin + base
    assert {result.state for result in probe(account, *CALLED, *LISTED)} == {"wrong_url"}


def test_the_account_alone(account):
    [result] = probe_account(account, [])
    assert (result.state, result.call) == ("works", "GET /models")


def test_every_key_of_a_pool(account):
    account.keys = {"main": KEY, "spare": "sk-wrong-0123456789", "third": f"{KEY}-3"}
    results = probe(account, CALLED[0])
    assert [(result.model, result.state) for result in results][:2] == [
        (f"openai-main/{CALLED[0]}", "works"),
        ("openai-main, key spare", "bad_key"),
    ]
    assert results[2].model == "openai-main, key third"
    assert not any("0123456789" in result.detail for result in results)
