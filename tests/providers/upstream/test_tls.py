"""TLS: one context for both clients, which trusts what the system trusts, and here one authority made for the test."""

import datetime
import ipaddress
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from providers.upstream import aiohttp_client, pool
from providers.upstream.client import UpstreamClient
from providers.upstream.failures import ConnectFailed, Disconnected
from providers.upstream.tls import tls_context
from tests.providers.upstream.test_contract import CLOSE, OK, call
from tests.support.raw_upstream import answering, keeping, serving


def certificate(folder: Path, *names: x509.GeneralName) -> Path:
    """Write a self-signed certificate and its key into one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "upstream")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{made.serial_number}.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


HERE = (x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost"))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("tls"), *HERE)


@pytest.fixture
def trusted(good: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test's authority is one of the system's."""
    monkeypatch.setenv("SSL_CERT_FILE", str(good))
    tls_context.cache_clear()
    yield
    tls_context.cache_clear()


def server_context(path: Path, alpn: list[str] | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    context.set_alpn_protocols(alpn or ["h2", "http/1.1"])
    return context


def test_there_is_one_context() -> None:
    assert aiohttp_client.tls_context is pool.tls_context
    assert tls_context() is tls_context()
    assert tls_context().verify_mode is ssl.CERT_REQUIRED
    assert tls_context().check_hostname


async def test_a_trusted_upstream(client: UpstreamClient, trusted: None, good: Path, settings: Any) -> None:
    settings.EGRESS_ALLOW = ["127.0.0.0/8", "localhost"]
    named: list[Any] = []
    context = server_context(good)
    context.sni_callback = lambda connection, name, _: named.append(name)
    async with serving(keeping(OK), context) as server:
        for origin in (server.origin, server.origin.replace("127.0.0.1", "localhost")):
            for _ in range(3):
                assert await call(client, origin, body=bytes(300_000)) == (200, b"{}")
        assert server.connections == 2
        assert server.requests[0][1]["host"] == server.origin.removeprefix("https://")
    assert named == [None, "localhost"]


async def test_an_unknown_authority(client: UpstreamClient, good: Path) -> None:
    async with serving(keeping(OK), server_context(good)) as server:
        with pytest.raises(ConnectFailed, match="certificate or TLS was refused") as raised:
            await call(client, server.origin)
        assert not raised.value.sent
        assert not server.requests


async def test_a_certificate_of_another_name(
    client: UpstreamClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: None
) -> None:
    other = certificate(tmp_path, x509.DNSName("other.example"))
    tls_context().load_verify_locations(other)
    async with serving(keeping(OK), server_context(other)) as server:
        with pytest.raises(ConnectFailed, match="certificate or TLS was refused"):
            await call(client, server.origin)
        assert not server.requests


async def test_an_upstream_that_speaks_no_tls(client: UpstreamClient, trusted: None) -> None:
    async with serving(lambda peer: peer.send(OK)) as server:
        with pytest.raises(ConnectFailed):
            await call(client, server.origin.replace("http:", "https:"))


async def test_an_answer_that_is_cut_within_tls(client: UpstreamClient, trusted: None, good: Path) -> None:
    async with serving(answering(CLOSE + b"content-length: 9\r\n\r\nhello"), server_context(good)) as server:
        with pytest.raises(Disconnected):
            await call(client, server.origin)


async def test_a_large_answer_until_the_end(client: UpstreamClient, trusted: None, good: Path) -> None:
    async with serving(answering(CLOSE + b"\r\n" + b"x" * 5_000_000), server_context(good)) as server:
        assert await call(client, server.origin) == (200, b"x" * 5_000_000)
