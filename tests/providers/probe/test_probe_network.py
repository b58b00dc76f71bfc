"""Testing credentials where no answer comes: names, addresses, time and TLS, against real sockets."""

import contextlib
import datetime
import ipaddress
import socket
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from providers.probe.run import probe_account
from providers.upstream.sync_client import CheckedClient, Unreachable
from tests.support.scripted_provider import account_at, model, probe


@pytest.fixture(autouse=True)
def listed(settings):
    settings.EGRESS_ALLOW = ["127.0.0.1"]


# --- no answer at all ---


def closed_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_nobody_listens():
    [result] = probe_account(account_at(f"http://127.0.0.1:{closed_port()}/v1"), [model("chat")])
    assert (result.state, result.ok, result.status, result.milliseconds) == ("no_network", False, None, None)
    assert "refused" in result.detail


def test_no_such_name():
    def not_found(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    [result] = probe_account(account_at("https://no-such-host.example"), [model("chat")], resolve=not_found)
    assert result.state == "no_network"
    assert "not found" in result.detail


def test_a_silent_server_times_out(upstream):
    done = threading.Event()
    upstream.answers["/v1/chat/completions"] = lambda handler, asked: done.wait(10) and None
    account = account_at(upstream.url)
    account.read_timeout = 0.2
    [result] = probe_account(account, [model("chat")])
    done.set()
    assert result.state == "no_network"
    assert "within the read timeout" in result.detail


def test_an_answer_without_end_is_cut_short(upstream):
    def drip(handler, asked):
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            while not stop.wait(0.02):
                handler.wfile.write(b" ")
        handler.close_connection = True

    stop = threading.Event()
    upstream.answers["/v1/chat/completions"] = drip
    account = account_at(upstream.url)
    account.read_timeout, account.connect_timeout = 0.3, 0.2
    [result] = probe_account(account, [model("chat")])
    stop.set()
    assert result.state == "no_network"
    assert "did not end within 0.5 s" in result.detail


def test_a_huge_answer_is_not_read_to_its_end(upstream):
    upstream.answers["/v1/chat/completions"] = (200, "application/json", b'{"choices": "' + b"x" * 2**22 + b'"}')
    assert probe(upstream, "chat").state == "wrong_url"


@pytest.mark.parametrize("hello", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc", b""])
def test_a_server_that_speaks_no_http(hello):
    def serve():
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(hello)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        [result] = probe_account(account_at(f"http://127.0.0.1:{server.getsockname()[1]}"), [model("chat")])
        thread.join(5)
    assert result.state == "no_network"
    assert "not a whole HTTP answer" in result.detail


# --- which address is connected to ---


def test_a_name_that_turns_private_is_not_connected_to(upstream, settings):
    """The rebinding attack: the address was public when the account was saved, and is ours when it is called."""
    settings.EGRESS_ALLOW = ["rebind.example"]  # so that plain http is fine; its metadata addresses stay refused
    account = account_at(f"http://rebind.example:{upstream.server_address[1]}/v1")
    [result] = probe_account(account, [model("chat")], resolve=lambda host, port: ["127.0.0.1"])
    assert result.state == "works"
    [result] = probe_account(account, [model("chat")], resolve=lambda host, port: ["169.254.169.254"])
    assert (result.state, result.ok) == ("egress_refused", False)
    settings.EGRESS_ALLOW = []
    account.base_url = f"https://rebind.example:{upstream.server_address[1]}/v1"
    for addresses in (["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"]):
        [result] = probe_account(account, [model("chat")], resolve=lambda host, port, found=addresses: found)
        assert result.state == "egress_refused"
        assert "GATEHOUSE_EGRESS_ALLOW" in result.detail
    assert len(upstream.asked) == 1


def test_an_address_that_may_no_longer_be_stored_is_not_connected_to(upstream, settings):
    account = account_at(upstream.url)
    settings.EGRESS_ALLOW = []
    [result] = probe_account(account, [model("chat")])
    assert (result.state, result.via) == ("egress_refused", "nothing")
    account.kind, account.base_url = "self-hosted-model", ""
    [result] = probe_account(account, [model("chat")])
    assert result.state == "wrong_url"
    assert upstream.asked == []


def test_the_name_is_resolved_once_and_the_judged_address_connected_to(upstream, settings):
    settings.EGRESS_ALLOW = ["rebind.example"]
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    account = account_at(f"http://rebind.example:{upstream.server_address[1]}/v1")
    [result] = probe_account(account, [model("chat")], resolve=lambda host, port: next(answers))
    assert result.state == "works"
    assert next(answers) == ["127.0.0.2"]
    assert upstream.asked[0][2]["Host"] == f"rebind.example:{upstream.server_address[1]}"


def test_the_next_address_is_tried_when_one_refuses(upstream, settings):
    settings.EGRESS_ALLOW = ["two.example"]
    account = account_at(f"http://two.example:{upstream.server_address[1]}/v1")
    [result] = probe_account(account, [model("chat")], resolve=lambda host, port: ["127.0.0.9", "127.0.0.1"])
    assert result.state == "works"


def test_a_proxy_of_the_environment_is_not_used(upstream, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    assert probe(upstream, "chat").state == "works"


# --- TLS: the certificate must be the name's, though an address is connected to ---


def certificate(names):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    made = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return made.public_bytes(serialization.Encoding.PEM), private


def _general(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@pytest.fixture
def tls(upstream, tmp_path, settings):
    """The upstream behind TLS with a certificate of its own for ``api.example`` and ``127.0.0.1``."""
    settings.EGRESS_ALLOW = ["127.0.0.1", "api.example", "other.example"]
    public, private = certificate(["api.example", "127.0.0.1"])
    path = tmp_path / "both.pem"
    path.write_bytes(public + private)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    upstream.socket = context.wrap_socket(upstream.socket, server_side=True)
    trust = ssl.create_default_context(cadata=public.decode())
    return f":{upstream.server_address[1]}/v1/", trust


def call_tls(rest, trust, host):
    with CheckedClient(f"https://{host}{rest}", {}, resolve=lambda host, port: ["127.0.0.1"], verify=trust) as client:
        return client.call("GET", "models")


def test_the_certificate_is_checked_for_the_name_not_the_address(tls):
    assert call_tls(*tls, "api.example").status == 200
    assert call_tls(*tls, "127.0.0.1").status == 200
    with pytest.raises(Unreachable, match=r"not valid for 'other\.example'") as caught:
        call_tls(*tls, "other.example")
    assert caught.value.reason == "tls"


def test_an_unknown_certificate_is_told(tls):
    [result] = probe_account(account_at(f"https://127.0.0.1{tls[0]}"), [model("chat")])
    assert result.state == "no_network"
    assert "certificate is not valid" in result.detail


def test_https_to_a_server_of_plain_http(upstream):
    [result] = probe_account(account_at(upstream.url.replace("http:", "https:")), [model("chat")])
    assert result.state == "no_network"
    assert "may not speak https" in result.detail
