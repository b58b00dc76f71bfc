"""Connections lead to the origin that an account's secrets are for, whatever address a call has."""

import aiohttp
import pytest
from multidict import CIMultiDict

from providers.origins import Origin, origin
from providers.upstream.aiohttp_client import AiohttpClient
from providers.upstream.client import UpstreamClient
from providers.upstream.failures import SecretsMisbound
from providers.upstream.socket import open_socket
from providers.upstream.sync_client import CheckedClient, Unreachable
from tests.support.raw_upstream import account, keeping, request, serving

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://api.example.com/v1", "https://API.example.com.:443/v2", True),
        ("http://api.example.com", "http://api.example.com:80/", True),
        ("https://api.example.com", "http://api.example.com:443", False),
        ("https://api.example.com", "https://api.example.com:8443", False),
        ("https://api.example.com", "https://api.example.com.evil.test", False),
        ("https://api.example.com", "https://evil.test/https://api.example.com", False),
        ("https://[2001:db8::1]/v1", "https://[2001:DB8::1]:443", True),
    ],
)
def test_what_is_the_same_origin(one: str, other: str, same: bool) -> None:
    assert (origin(one) == origin(other)) is same
    assert (str(origin(one)) == str(origin(other))) is same


async def test_a_call_to_another_host_is_not_sent(client: UpstreamClient) -> None:
    async with serving(keeping(OK)) as ours, serving(keeping(OK)) as other:
        bound = account(ours.origin, bound_to=origin(ours.origin))
        answer = await client.send(bound, request(ours.origin))
        assert await answer.read(100) == b"{}"
        answer.close()
        for address in (other.origin, ours.origin.replace("127.0.0.1", "127.0.0.2")):
            with pytest.raises(SecretsMisbound, match="nothing was sent") as raised:
                await client.send(bound, request(address))
            assert not raised.value.sent
        assert other.requests == []
        assert len(ours.requests) == 1


async def test_an_account_with_a_fault_is_not_called(client: UpstreamClient) -> None:
    async with serving(keeping(OK)) as server:
        with pytest.raises(SecretsMisbound, match="its key is another's"):
            await client.send(account(server.origin, fault="its key is another's"), request(server.origin))
        assert server.connections == 0


async def test_an_account_without_secrets_may_go_anywhere(client: UpstreamClient) -> None:
    async with serving(keeping(OK)) as server:
        answer = await client.send(account("http://127.0.0.1:9"), request(server.origin))
        assert answer.status == 200
        answer.close()


async def test_a_socket_to_another_host_is_not_opened(dialable: None) -> None:
    client = AiohttpClient()
    async with serving(keeping(OK)) as ours, serving(keeping(OK)) as other:
        bound = account(ours.origin, bound_to=origin(ours.origin))
        headers: CIMultiDict[str] = CIMultiDict()
        with pytest.raises(SecretsMisbound):
            await open_socket(client, bound, f"{other.origin}/realtime", headers)
        assert other.connections == 0
        with pytest.raises(Exception, match="did not open a socket") as raised:
            await open_socket(client, bound, f"{ours.origin}/realtime", headers)
        assert not isinstance(raised.value, SecretsMisbound | aiohttp.ClientError)
    await client.close()


def test_the_synchronous_client_keeps_to_its_host(upstream, dialable) -> None:
    """Paths come from records and from providers: a whole address among them would take the key along."""
    with CheckedClient(upstream.url + "/", {"authorization": "Bearer sk-1"}) as client:
        assert client.call("GET", "models").status == 200
        with pytest.raises(Unreachable, match="not the host that this client's key is for"):
            client.call("GET", upstream.url.replace("127.0.0.1", "127.0.0.2") + "/models")
        assert client.call("GET", "//127.0.0.2/models").status == 200, "a path, however it begins"
    assert [path for _, path, _, _ in upstream.asked] == ["/v1/models"] * 2
    assert Origin("http", "127.0.0.1", 80) != origin(upstream.url)
