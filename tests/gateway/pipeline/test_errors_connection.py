"""No connection to the upstream: no server, none that accepts, a forbidden address, no free connection."""

import re

import pytest

from tests.support.added import add_account
from tests.support.calls import CHAT_PATH, assert_ours, chat
from tests.support.installation import Gateway, within
from tests.support.sandbox_process import SandboxProcess
from tests.support.scripted import deaf_port
from tests.support.servers import free_port, wait_until


def test_nobody_listens(gateway: Gateway, token: str) -> None:
    model = add_account(gateway, token, "nobody", f"http://127.0.0.1:{free_port()}/v1")
    error = assert_ours(gateway.post(token, CHAT_PATH, chat(model=model)), 502, "upstream_unreachable")
    assert "127.0.0.1" in error["message"]


def test_no_tls(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    model = add_account(gateway, token, "no-tls", upstream.url.replace("http://", "https://"))
    assert_ours(gateway.post(token, CHAT_PATH, chat(model=model)), 502, "upstream_unreachable")


def test_no_such_name(gateway: Gateway, token: str) -> None:
    model = add_account(gateway, token, "no-name", "https://no-such-host.invalid/v1", connect_timeout=5)
    error = assert_ours(gateway.post(token, CHAT_PATH, chat(model=model)), 502, "upstream_unreachable")
    assert "no-such-host.invalid" in error["message"]


def test_nobody_accepts(gateway: Gateway, token: str) -> None:
    with deaf_port() as port:
        model = add_account(gateway, token, "deaf", f"http://127.0.0.1:{port}/v1", connect_timeout=0.4)
        with within(3, "a connect timeout of 0.4 s"):
            assert_ours(gateway.post(token, CHAT_PATH, chat(model=model)), 504, "upstream_connect_timeout")


def test_every_connection_is_busy(gateway: Gateway, token: str, upstream: SandboxProcess) -> None:
    model = add_account(gateway, token, "narrow", upstream.url, connection_limit=1, connect_timeout=0.4)
    body = chat("hi [[sandbox: endless token-delay=20]]", model=model, stream=True)
    headers = {"authorization": f"Bearer {token}"}
    with gateway.http.stream("POST", f"{gateway.origin}{CHAT_PATH}", json=body, headers=headers) as held:
        pieces = held.iter_raw()  # kept: without it the client would close the stream
        assert next(pieces)
        with within(3, "a wait of 0.4 s"):
            error = assert_ours(gateway.post(token, CHAT_PATH, chat(model=model)), 503, "connections_busy")
        assert "All connections (1)" in error["message"]
        assert "narrow" in error["message"]
    wait_until(lambda: gateway.post(token, CHAT_PATH, chat(model=model)).status_code == 200, 5)


@pytest.mark.parametrize("address", ["https://10.11.12.13/v1", "http://169.254.169.254/latest", "http://[::1]:9/v1"])
def test_an_address_that_may_not_be_connected_to(
    gateway: Gateway, token: str, upstream: SandboxProcess, address: str
) -> None:
    """As when a name that was allowed resolves to such an address later."""
    name = "moved-" + re.sub("[^a-z0-9]", "", address)
    model = add_account(gateway, token, name, upstream.url)
    gateway.installation.do("move_account", name, address)
    wait_until(lambda: gateway.post(token, CHAT_PATH, chat(model=model)).status_code == 502)

    with within(1, "refusing an address"):
        response = gateway.post(token, CHAT_PATH, chat(model=model))
    error = assert_ours(response, 502, "upstream_address_refused")
    assert "GATEHOUSE_EGRESS_ALLOW" in error["message"]
