"""Sign-in by OpenID Connect: a real server, a real provider, and a browser's cookies between them."""

from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from gateway.config.openid import openid_provider
from tests.support.console_session import ConsoleSession
from tests.support.installation import Gateway, Installation
from tests.support.openid_provider import CLIENT, SECRET, OpenIdProvider

PASSWORD = "an-Obvious-password-7"
BEGIN = "/admin/sign-in/openid/"
BACK = "/admin/sign-in/openid/callback/"


@pytest.fixture(scope="module")
def provider() -> Iterator[OpenIdProvider]:
    with OpenIdProvider() as made:
        yield made


@pytest.fixture(scope="module")
def running(tmp_path_factory, migrated_data: Path, provider: OpenIdProvider) -> Iterator[Gateway]:
    env = {
        "GATEHOUSE_OIDC_ISSUER": provider.issuer,
        "GATEHOUSE_OIDC_CLIENT_ID": CLIENT,
        "GATEHOUSE_OIDC_CLIENT_SECRET": SECRET,
        "GATEHOUSE_OIDC_NAME": "Example ID",
        "GATEHOUSE_OIDC_DOMAINS": "new.example.com",
        "GATEHOUSE_SIGN_IN_TRIES": "2",
    }
    with Installation(tmp_path_factory.mktemp("openid") / "data", migrated_data, env) as installation:
        installation.do("person", "ada@example.com", PASSWORD)
        installation.do("person", "gone@example.com", PASSWORD, is_active=False)
        yield installation.gateway()


@pytest.fixture
def gateway(running: Gateway, provider: OpenIdProvider) -> Gateway:
    running.installation.do("manage", "unlock", "--all")
    provider.faults = {}
    return running


def come(gateway: Gateway, session: ConsoleSession, query: str = "") -> httpx.Response:
    """Follow the way to the provider and back; return the answer to that."""
    there = session.get(BEGIN + query)
    assert there.status_code == 302, there.text[:500]
    back = httpx.get(there.headers["location"], trust_env=False).headers["location"]
    assert back.startswith(f"{gateway.origin}{BACK}")
    return session.get(back.removeprefix(gateway.origin))


def person(sub: str, email: str, **claims: object) -> dict[str, object]:
    return {"sub": sub, "email": email, "email_verified": True, "given_name": "Ada", "family_name": "L", **claims}


def is_in(session: ConsoleSession) -> bool:
    return session.get("/admin/tokens/").status_code == 200


def test_a_person_comes_in_and_stays_the_same_person(gateway: Gateway, provider: OpenIdProvider) -> None:
    with ConsoleSession(gateway.origin) as session:
        assert "Sign in with Example ID" in session.get("/admin/login/").text
        provider.person = person("1", "Ada@Example.com")
        assert come(gateway, session).headers["location"] == "/admin/"
        assert "ada@example.com" in session.get("/admin/").text
    provider.person = person("1", "renamed@elsewhere.example")
    with ConsoleSession(gateway.origin) as session:
        assert come(gateway, session).status_code == 302
        assert "ada@example.com" in session.get("/admin/").text
    done = gateway.installation.do("changes_by", "ada@example.com")
    assert [row["action"] for row in done] == ["did"]


def test_people_of_a_domain_come_in_as_new(gateway: Gateway, provider: OpenIdProvider) -> None:
    provider.person = person("2", "nia@new.example.com")
    with ConsoleSession(gateway.origin) as session:
        assert come(gateway, session).status_code == 302
        assert is_in(session)
        assert session.get("/admin/accounts/user/").status_code == 403


@pytest.mark.parametrize(
    ("claims", "faults", "said"),
    [
        (person("3", "eve@example.org"), {}, "No one here has the address eve@example.org"),
        (person("3", "eve@evil-new.example.com"), {}, "No one here"),
        (person("3", "ada@example.com", email_verified=False), {}, "verified"),
        (person("3", "ada@example.com", email_verified="true"), {}, "verified"),
        (person("3", ""), {}, "verified"),
        (person("3", "ada@example.com"), {"subject": "1"}, "for certain"),
        (person("3", "ada@example.com"), {"nameless": "1"}, "did not confirm"),
        (person("3", "eve@example.org"), {"lacks": "userinfo_endpoint"}, "No one here has the address eve@example.org"),
        (person("3", "ada@example.com", email_verified=False), {"lacks": "userinfo_endpoint"}, "verified"),
        (person("3", "ada@example.com"), {"audience": "another"}, "did not confirm"),
        (person("3", "ada@example.com"), {"issuer": "https://other.example"}, "did not confirm"),
        (person("3", "ada@example.com"), {"deny": "1"}, "did not confirm"),
    ],
)
def test_others_are_refused(gateway: Gateway, provider: OpenIdProvider, claims, faults, said) -> None:
    provider.person, provider.faults = claims, faults
    with ConsoleSession(gateway.origin) as session:
        answer = come(gateway, session)
        assert (answer.status_code, said in answer.text) == (403, True), answer.text
        assert not is_in(session)


def test_who_is_inactive_does_not_come_in(gateway: Gateway, provider: OpenIdProvider) -> None:
    provider.person = person("4", "gone@example.com")
    with ConsoleSession(gateway.origin) as session:
        come(gateway, session)
        assert not is_in(session)


def test_an_answer_that_no_one_asked_for_is_refused(gateway: Gateway, provider: OpenIdProvider) -> None:
    provider.person = person("1", "ada@example.com")
    with ConsoleSession(gateway.origin) as mine, ConsoleSession(gateway.origin) as other:
        there = other.get(BEGIN)
        back = httpx.get(there.headers["location"], trust_env=False).headers["location"]
        assert mine.get(back.removeprefix(gateway.origin)).status_code == 403
        assert not is_in(mine)
        assert other.get(back.removeprefix(gateway.origin)).status_code == 302
        assert other.get(back.removeprefix(gateway.origin)).status_code == 403  # a code works once


@pytest.mark.parametrize("when", ["going", "coming back"])
def test_a_provider_that_is_down_is_said(gateway: Gateway, provider: OpenIdProvider, when: str) -> None:
    with ConsoleSession(gateway.origin) as session:
        back = session.get(BEGIN).headers["location"]
        provider.faults = {"down": "1"}
        answer = session.get(BEGIN)
        if when == "coming back":
            state = parse_qs(urlsplit(back).query)["state"][0]
            answer = session.get(f"{BACK}?code=any&state={state}")
        assert (answer.status_code, "Example ID can't be reached" in unescape(answer.text)) == (502, True)


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"lacks": "authorization_endpoint"}, "lacks authorization_endpoint"),
        ({"lacks": "token_endpoint"}, "lacks token_endpoint"),
        ({"lacks": "jwks_uri"}, "lacks jwks_uri"),
        ({"lacks": "issuer"}, "lacks issuer"),
        ({"list": "1"}, "is not a JSON object"),
    ],
)
def test_a_description_that_is_not_enough_is_said(gateway: Gateway, provider: OpenIdProvider, faults, said) -> None:
    with ConsoleSession(gateway.origin) as session:
        back = session.get(BEGIN).headers["location"]
        provider.faults = faults
        state = parse_qs(urlsplit(back).query)["state"][0]
        for answer in (session.get(BEGIN), session.get(f"{BACK}?code=any&state={state}")):
            assert (answer.status_code, f"gives of itself {said}." in unescape(answer.text)) == (502, True), answer.text


def test_without_user_info_the_id_token_says_who_comes(gateway: Gateway, provider: OpenIdProvider) -> None:
    provider.faults, provider.person = {"lacks": "userinfo_endpoint"}, person("6", "cleo@new.example.com")
    with ConsoleSession(gateway.origin) as session:
        assert come(gateway, session).headers["location"] == "/admin/"
        assert "cleo@new.example.com" in session.get("/admin/").text


@pytest.mark.parametrize("process", ["connect", "redirect"])
def test_the_address_chooses_nothing_else(gateway: Gateway, provider: OpenIdProvider, process: str) -> None:
    """django-allauth would link an account to who is signed in, or lead on without a sign-in."""
    provider.person = person("5", "bea@new.example.com")
    with ConsoleSession(gateway.origin) as session:
        assert come(gateway, session, f"?process={process}").headers["location"] == "/admin/"
        assert is_in(session)


def test_failed_answers_are_bounded(gateway: Gateway) -> None:
    with ConsoleSession(gateway.origin) as session:
        assert [session.get(BACK).status_code for _ in range(14)] == [403] * 12 + [429] * 2


def test_two_factor_is_asked_for_behind_it(gateway: Gateway, provider: OpenIdProvider) -> None:
    codes = gateway.installation.do("two_factor", "ada@example.com")
    provider.person = person("1", "ada@example.com")
    with ConsoleSession(gateway.origin) as session:
        assert come(gateway, session).headers["location"] == "/admin/sign-in/code/"
        assert not is_in(session)
        session.get("/admin/sign-in/code/")  # for the mark against forged forms
        assert session.post("/admin/sign-in/code/", {"code": codes[0]}).status_code == 302
        assert is_in(session)


def test_the_secret_is_in_no_log(gateway: Gateway) -> None:
    assert SECRET not in gateway.log


@pytest.mark.parametrize(
    ("issuer", "client", "secret", "named"),
    [
        ("", "id", "secret", "GATEHOUSE_OIDC_ISSUER"),
        ("https://login.example.com", "", "secret", "GATEHOUSE_OIDC_CLIENT_ID"),
        ("https://login.example.com", "id", "", "GATEHOUSE_OIDC_CLIENT_SECRET"),
        ("http://login.example.com", "id", "secret", "https"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(issuer, client, secret, named) -> None:
    with pytest.raises(Exception, match=named):
        openid_provider(issuer, client, secret)


def test_accounts_at_different_issuers_differ() -> None:
    assert openid_provider("", "", "") == ""
    assert openid_provider("https://a.example", "i", "s") != openid_provider("https://b.example", "i", "s")
