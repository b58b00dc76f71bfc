"""Access tokens: asked for once, held, renewed ahead, forgotten when refused; and what is said when none comes."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import pytest
from multidict import CIMultiDict

from providers.credentials import exchange, kinds
from providers.credentials.exchange import Token, TokenRefused
from providers.credentials.held import HeldToken, held
from providers.credentials.kinds import Credential
from providers.snapshot import AccountSnapshot
from providers.upstream.aiohttp_client import AiohttpClient
from providers.upstream.client import UpstreamAnswer, UpstreamClient, UpstreamRequest
from providers.upstream.failures import SignInFailed
from providers.upstream.lean import LeanClient
from providers.upstream.sync_tokens import token_now
from providers.vendors import VENDORS
from tests.support.token_server import CLIENT, EMAIL, SECRET, TENANT, TokenServer, claims_of


@pytest.fixture
def server(settings) -> Iterator[TokenServer]:
    settings.EGRESS_ALLOW = ["127.0.0.1"]
    with TokenServer() as running:
        yield running


@pytest.fixture(params=[LeanClient, AiohttpClient])
async def client(request: pytest.FixtureRequest, server: TokenServer) -> AsyncIterator[UpstreamClient]:
    made = request.param()
    yield made
    await made.close()


def entra(server: TokenServer) -> Credential:
    return kinds.entra(TENANT, CLIENT, SECRET, server.url)


def account(server: TokenServer, credential: Credential) -> AccountSnapshot:
    return AccountSnapshot(
        id=1, name="azure", vendor=VENDORS["azure-openai"], url=server.url, headers=(), users=frozenset(),
        managers=frozenset(), enabled=True, any_model=False, isolation="owner", connect_timeout=2, read_timeout=5,
        finish_seconds=0, connection_limit=0, discount_bp=0, open_resources=frozenset(), proxy_paths=(),
        revision="1", models={}, upstream_ids={}, own_secrets=(), token=HeldToken(credential),
    )  # fmt: skip


async def ask(client: UpstreamClient, of: AccountSnapshot) -> UpstreamAnswer:
    request = UpstreamRequest(
        "POST", f"{of.url}/chat/completions", CIMultiDict({"content-type": "application/json"}), b"{}"
    )
    answer = await client.send(of, request)
    await answer.read(2**20)
    answer.close()
    return answer


async def test_an_application_signs_its_calls(client: UpstreamClient, server: TokenServer) -> None:
    mine = account(server, entra(server))
    for _ in range(3):
        assert (await ask(client, mine)).status == 200
    [(path, form)] = server.asked  # once, then held
    assert path == f"/{TENANT}/oauth2/v2.0/token"
    assert form == {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "client_secret": SECRET,
        "scope": "https://cognitiveservices.azure.com/.default",
    }
    assert {headers["authorization"] for _, headers, _ in server.called} == {"Bearer token-1-of-the-account"}
    assert b"token-1-of-the-account" in mine.secrets
    assert SECRET.encode() in mine.secrets


@pytest.mark.parametrize(
    ("authority", "scope", "expected"),
    [
        ("", "", "https://cognitiveservices.azure.com/.default"),
        ("https://login.microsoftonline.us", "", "https://cognitiveservices.azure.us/.default"),
        ("https://login.partner.microsoftonline.cn", "", "https://cognitiveservices.azure.cn/.default"),
        ("", "https://ai.azure.com/.default", "https://ai.azure.com/.default"),
    ],
)
def test_what_tokens_are_for(authority: str, scope: str, expected: str) -> None:
    made = kinds.entra(TENANT, CLIENT, SECRET, authority, scope)
    assert made.token_scope == expected
    assert kinds.read(kinds.write(made)) == made
    assert ("scope" in kinds.write(made)) == bool(scope)
    with pytest.raises(kinds.BadCredentials) as fault:
        kinds.entra(TENANT, CLIENT, SECRET, authority, "ai.azure.com")
    assert fault.value.field == "scope"


async def test_a_service_account_signs_its_calls(client: UpstreamClient, server: TokenServer) -> None:
    assert (await ask(client, account(server, kinds.service_account(server.key_file())))).status == 200
    [(path, form)] = server.asked
    assert (path, form["grant_type"]) == ("/token", "urn:ietf:params:oauth:grant-type:jwt-bearer")
    claims = claims_of(form["assertion"])
    assert (claims["iss"], claims["aud"]) == (EMAIL, f"{server.url}/token")
    assert claims["scope"] == "https://www.googleapis.com/auth/cloud-platform"
    assert claims["exp"] - claims["iat"] == 3600


async def test_calls_at_once_wait_for_one_token(client: UpstreamClient, server: TokenServer) -> None:
    server.delay = 0.1
    mine = account(server, entra(server))
    answers = await asyncio.gather(*(ask(client, mine) for _ in range(5)))
    assert [answer.status for answer in answers] == [200] * 5
    assert len(server.asked) == 1


async def test_a_call_that_gives_up_takes_no_token_from_the_others(client: UpstreamClient, server: TokenServer) -> None:
    server.delay = 0.2
    mine = account(server, entra(server))
    first, second = asyncio.create_task(ask(client, mine)), asyncio.create_task(ask(client, mine))
    await asyncio.sleep(0.05)
    first.cancel()
    assert (await second).status == 200


async def test_a_token_that_ends_soon_is_renewed_meanwhile(client: UpstreamClient, server: TokenServer) -> None:
    mine = account(server, entra(server))
    now = [1000.0]
    token = HeldToken(mine.token.credential, lambda: now[0])  # type: ignore[union-attr]
    object.__setattr__(mine, "token", token)
    token.keep(Token("token-0", 1000 + 3600))
    server._issued.add("token-0")
    await ask(client, mine)
    assert not server.asked
    now[0] += 3601 - 300
    server.delay = 0.2
    await ask(client, mine)  # does not wait
    assert server.called[-1][1]["authorization"] == "Bearer token-0"
    await asyncio.sleep(0.4)
    await ask(client, mine)
    assert server.called[-1][1]["authorization"] == "Bearer token-1-of-the-account"


async def test_a_refused_token_is_not_used_again(client: UpstreamClient, server: TokenServer) -> None:
    mine = account(server, entra(server))
    await ask(client, mine)
    server.revoked.add("token-1-of-the-account")
    assert (await ask(client, mine)).status == 401
    assert (await ask(client, mine)).status == 200
    assert len(server.asked) == 2


async def test_a_refusal_says_why_and_nothing_is_sent(client: UpstreamClient, server: TokenServer) -> None:
    server.status, server.error = 401, f"AADSTS7000215: Invalid client secret provided: {SECRET}.\r\nTrace ID: 1"
    mine = account(server, entra(server))
    for _ in range(3):
        with pytest.raises(SignInFailed, match="AADSTS7000215") as failed:
            await ask(client, mine)
        assert SECRET not in str(failed.value)
        assert "Trace ID" in str(failed.value)
    assert not server.called
    assert len(server.asked) == 1  # the refusal counts for a while
    assert failed.value.sent is False


async def test_a_token_that_holds_outlives_a_refusal(client: UpstreamClient, server: TokenServer) -> None:
    mine = account(server, entra(server))
    now = [1000.0]
    token = HeldToken(mine.token.credential, lambda: now[0])  # type: ignore[union-attr]
    object.__setattr__(mine, "token", token)
    token.keep(Token("token-0", 1200))
    server._issued.add("token-0")
    server.status, now[0] = 500, 1180
    assert (await ask(client, mine)).status == 200
    await asyncio.sleep(0.1)
    assert token.refusal is not None
    now[0] = 1201
    with pytest.raises(SignInFailed, match="answered 500"):
        await ask(client, mine)


async def test_tokens_obey_the_egress_rules(client: UpstreamClient, server: TokenServer, settings) -> None:
    mine = account(server, kinds.entra(TENANT, CLIENT, SECRET, "http://169.254.169.254"))
    with pytest.raises(SignInFailed, match="Plain http is refused"):
        await ask(client, mine)
    assert not server.called


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"access_token": 5}', b'{"access_token": "a\\r\\nx: y"}', b'{"access_token": ""}'],
)
def test_answers_that_are_no_token(body: bytes) -> None:
    with pytest.raises(TokenRefused, match="Microsoft Entra gave no access token"):
        exchange.read(200, body, kinds.entra(TENANT, CLIENT, SECRET))


def test_how_long_a_token_holds() -> None:
    credential = kinds.entra(TENANT, CLIENT, SECRET)
    for said, lasts in ((60, 60), ("60", 60), (None, 3600), ("soon", 3600), (-5, 0)):
        body = json.dumps({"access_token": "t", "expires_in": said}).encode()
        assert exchange.read(200, body, credential, lambda: 1000).ends == 1000 + lasts


def test_outside_the_loop(server: TokenServer) -> None:
    token = held(entra(server))
    assert held(entra(server)) is token
    assert token_now(token) == token_now(token) == "token-1-of-the-account"
    [(path, _)] = server.asked
    assert path == urlsplit(token.credential.token_url).path
    token.drop("token-1-of-the-account")
    server.status, server.error = 400, "no such application"
    for _ in range(2):
        with pytest.raises(TokenRefused, match="no such application"):
            token_now(token)
    assert len(server.asked) == 2
