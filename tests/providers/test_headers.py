"""Headers of an account that no connection sends: told where they are stored already, sent where it is only odd."""

from collections.abc import Iterator

import pytest

from providers.models import ProviderAccount
from providers.probe.run import probe_account
from tests.support.fixtures import ACCOUNT, CHAT, USER, seed
from tests.support.installation import Gateway, Installation
from tests.support.sandbox_process import SandboxProcess
from tests.support.scripted_provider import KEY, account_at, model
from tests.support.servers import wait_until

GOOD = {"organization": "", "project": "", "credentials": "sk-good", "extra_headers_json": ""}
STORED = {
    "organization": ({"organization": "org-1\norg-2"}, "organization"),
    "project": ({"project": "proj\x01"}, "project"),
    "key": ({"credentials": "sk-one\nsk-two"}, "API key"),
    "header": ({"extra_headers_json": '{"X-Team": "a\\r\\nb"}'}, "extra header 'x-team'"),
    "header's name": ({"extra_headers_json": '{"X-\\u00c4": "a"}'}, "extra header 'x-ä'"),
}
BODY = {"model": CHAT, "messages": [{"role": "user", "content": "Hi."}]}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory, migrated_data, running_upstream: SandboxProcess) -> Iterator[tuple[Gateway, str]]:
    """A server of this module's own, whose account the tests spoil, and a token."""
    with Installation(tmp_path_factory.mktemp("headers") / "data", migrated_data) as installation:
        seed(installation, running_upstream.url)
        gateway = installation.gateway()
        yield gateway, gateway.token("ada", user=USER)


def answer_after(gateway: tuple[Gateway, str], **stored: str):
    """Return the answer to a chat once the server knows the account's new columns."""
    server, token = gateway
    good = server.installation.do("stored_key", ACCOUNT)
    server.installation.do("store_unchecked", ACCOUNT, **{**GOOD, "credentials": good, **stored})
    answers = []

    def changed() -> bool:
        answers.append(server.post(token, "/v1/chat/completions", BODY))
        return answers[-1].status_code != 200

    wait_until(changed)
    server.installation.do("store_unchecked", ACCOUNT, **{**GOOD, "credentials": good})
    wait_until(lambda: server.post(token, "/v1/chat/completions", BODY).status_code == 200)
    return answers[-1]


@pytest.mark.parametrize("kind", STORED)
def test_a_call_says_what_to_mend(gateway: tuple[Gateway, str], kind: str) -> None:
    stored, field = STORED[kind]
    answer = answer_after(gateway, **stored)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (502, "upstream_unreachable")
    assert error["message"].startswith(f"The account {ACCOUNT!r} can't be called: its {field} has characters")
    assert not any(value in answer.text for value in ("sk-one", "org-1"))


def test_text_beyond_ascii_that_is_stored_goes_on(
    gateway: tuple[Gateway, str], running_upstream: SandboxProcess
) -> None:
    server, token = gateway
    server.installation.do("store_unchecked", ACCOUNT, extra_headers_json='{"X-Team": "blå"}')
    running_upstream.clear()

    def sent() -> bool:
        assert server.post(token, "/v1/chat/completions", BODY).status_code == 200
        return ["x-team", "blå".encode().decode("latin-1")] in running_upstream.requests()[-1]["headers"]

    wait_until(sent)


@pytest.mark.parametrize("kind", STORED)
def test_the_test_of_credentials_says_it_too(settings, kind: str) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    columns, field = STORED[kind]
    account = account_at("http://127.0.0.1:9/v1")
    for name, value in columns.items():
        setattr(account, name, value)
    [result] = probe_account(account, [model("chat")])
    assert (result.state, result.via) == ("bad_key" if kind == "key" else "refused", "nothing")
    assert result.detail.startswith(f"its {field} has characters that no HTTP header can carry")


def test_a_pasted_key_loses_its_line_break() -> None:
    account = ProviderAccount(name="a")
    account.api_key = f" {KEY}\r\n"
    assert account.api_key == KEY
