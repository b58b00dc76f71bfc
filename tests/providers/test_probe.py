"""Testing credentials against real local servers: what is told apart, what is sent, and what never shows."""

import contextlib
import datetime
import io
import ipaddress
import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection

from providers.checked_client import CheckedClient, Unreachable
from providers.models import Model, ProviderAccount
from providers.probe import probe_account

KEY = "sk-test-0123456789abcdef"
GOOD = {
    "/v1/chat/completions": {"choices": []},
    "/v1/responses": {"output": []},
    "/v1/completions": {"choices": []},
    "/v1/embeddings": {"data": []},
    "/v1/moderations": {"results": []},
    "/v1/models": {"data": [{"id": "gpt-image-1"}, {"id": "vllm/llama"}]},
    "/v1/models/gpt-image-1": {"id": "gpt-image-1"},
}


class Upstream(ThreadingHTTPServer):
    """A server that answers each path as it is told: ``(status, content type, body)``, and remembers what it was asked."""

    daemon_threads = True
    block_on_close = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked = []
        self.answers = {path: (200, "application/json", json.dumps(body).encode()) for path, body in GOOD.items()}
        self.headers = {}
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def error(self, path, status, message, code=None, kind="invalid_request_error"):
        body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
        self.answers[path] = (status, "application/json", json.dumps(body).encode())


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def respond(self):
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append((self.command, self.path, dict(self.headers), json.loads(body) if body else None))
        answer = self.server.answers.get(self.path, (404, "text/html", b"<h1>Not Found</h1>"))
        if callable(answer):
            answer = answer(self, self.server.asked[-1])
        if answer is None:
            return
        status, content_type, content = answer
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(content)))
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = respond

    def log_message(self, *args):
        pass


@pytest.fixture(autouse=True)
def listed(settings):
    settings.EGRESS_ALLOW = ["127.0.0.1"]


@pytest.fixture
def upstream():
    server = Upstream()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def account_at(url, **fields):
    account = ProviderAccount(name="openai-main", base_url=url, read_timeout=5, connect_timeout=2, **fields)
    account.api_key = KEY
    return account


def model(*types, name="gpt-4o-mini", upstream_id=""):
    return Model(name=name, upstream_id=upstream_id, model_types=list(types))


def probe(upstream, *types, **fields):
    [result] = probe_account(account_at(upstream.url), [model(*types, **fields)])
    return result


# --- the calls that are made ---


@pytest.mark.parametrize(
    ("types", "path", "body"),
    [
        (["chat", "responses"], "chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}),
        (["responses", "batch"], "responses", {"input": "Hi", "max_output_tokens": 16, "store": False}),
        (["completion"], "completions", {"prompt": "Hi", "max_tokens": 1}),
        (["embedding"], "embeddings", {"input": "Hi"}),
        (["moderation"], "moderations", {"input": "Hi"}),
    ],
)
def test_the_cheapest_call_of_a_model_type(upstream, types, path, body):
    result = probe(upstream, *types, upstream_id="up-1")
    assert (result.state, result.ok, result.via, result.status) == ("works", True, "call", 200)
    assert result.model == "openai-main/gpt-4o-mini"
    assert result.detail == f"works in {result.milliseconds} ms"
    [(method, asked, headers, sent)] = upstream.asked
    assert (method, asked) == ("POST", f"/v1/{path}")
    assert sent == {"model": "up-1", **body}
    assert headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("types", [["image"], ["audio_transcription"], ["text_to_speech"], ["realtime"], ["rerank"]])
def test_others_are_looked_up_and_say_so(upstream, types):
    result = probe(upstream, *types, name="pictures", upstream_id="gpt-image-1")
    assert (result.state, result.ok, result.via) == ("works", True, "list")
    assert "no call was made" in result.detail
    assert [(method, path) for method, path, _, _ in upstream.asked] == [("GET", "/v1/models/gpt-image-1")]


def test_a_server_that_only_lists_all_models(upstream):
    result = probe(upstream, "image", upstream_id="vllm/llama")
    assert (result.state, result.call) == ("works", "GET /models")
    result = probe(upstream, "image", upstream_id="dall-e-9")
    assert (result.state, result.ok) == ("no_access", False)
    assert "'dall-e-9' is not among the 2 models" in result.detail


def test_an_account_without_models_is_tested_by_its_list(upstream):
    [result] = probe_account(account_at(upstream.url), [])
    assert (result.model, result.state, result.detail) == ("openai-main", "works", "lists 2 models for this key")


def test_reasoning_models_get_the_other_parameter(upstream):
    def answer(handler, asked):
        if "max_tokens" in asked[3]:
            message = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
            body = {"error": {"message": message, "code": "unsupported_parameter", "param": "max_tokens"}}
            return 400, "application/json", json.dumps(body).encode()
        return 200, "application/json", b'{"choices": []}'

    upstream.answers["/v1/chat/completions"] = answer
    assert probe(upstream, "chat").state == "works"
    assert upstream.asked[1][3]["max_completion_tokens"] == 16
    assert "max_tokens" not in upstream.asked[1][3]


def test_organisation_project_and_extra_headers_go_along(upstream):
    account = account_at(upstream.url, organization="org-1", project="proj_1")
    account.extra_headers = {"X-Team": "blue-team"}
    probe_account(account, [model("embedding")])
    headers = upstream.asked[0][2]
    assert (headers["openai-organization"], headers["openai-project"]) == ("org-1", "proj_1")
    assert headers["x-team"] == "blue-team"


# --- what is told apart ---

OPENAI_KEY = "Incorrect API key provided: sk-test***cdef. You can find your API key at …"
OPENAI_MODEL = "The model `gpt-4o-mini` does not exist or you do not have access to it."
# status, message, code -> state
ANSWERS = [
    (401, OPENAI_KEY, "invalid_api_key", "bad_key"),
    (401, "You didn't provide an API key.", None, "bad_key"),
    (400, "API key not valid. Please pass a valid API key.", 400, "bad_key"),
    (403, "Invalid API key", "forbidden", "bad_key"),
    (404, OPENAI_MODEL, "model_not_found", "no_access"),
    (404, "The model `x` does not exist.", 404, "no_access"),
    (404, "models/x is not found for API version v1main", 404, "no_access"),
    (403, "Project `proj_1` does not have access to model `gpt-4o-mini`", "model_not_found", "no_access"),
    (403, "Country, region, or territory not supported", "unsupported_country_region_territory", "no_access"),
    (400, "Invalid model: gpt-4o-mini", 1500, "no_access"),
    (404, "Invalid URL (POST /v1/v1/chat/completions)", None, "wrong_url"),
    (404, "Not Found", None, "wrong_url"),
    (405, "Method Not Allowed", None, "wrong_url"),
    (429, "Rate limit reached for gpt-4o-mini in organization org-x on requests per min", "rate_limit_exceeded", "rate_limited"),
    (429, "You exceeded your current quota, please check your plan", "insufficient_quota", "no_quota"),
    (402, "Insufficient Balance", "invalid_request_error", "no_quota"),
    (500, "The server had an error", None, "failed"),
    (503, "Overloaded", None, "failed"),
    (400, "Could not finish the message because max_tokens or model output limit was reached.", None, "works"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "message", "code", "state"), ANSWERS)
def test_errors_in_openais_shape(upstream, status, message, code, state):
    upstream.error("/v1/chat/completions", status, message, code)
    del upstream.answers["/v1/models"]
    result = probe(upstream, "chat")
    assert result.state == state
    assert result.ok == (state in {"works", "rate_limited"})
    if not result.ok:
        assert f"{status}: " in result.detail


@pytest.mark.parametrize(
    ("status", "content_type", "body", "state"),
    [
        (200, "text/html", b"<html>Welcome</html>", "wrong_url"),
        (200, "application/json", b'{"hello": "world"}', "wrong_url"),
        (200, "application/json", b"[]", "wrong_url"),
        (200, "application/json", b'{"choices": ', "wrong_url"),
        (200, "application/json", b"", "wrong_url"),
        (404, "text/html", b"<h1>Not Found</h1>", "wrong_url"),
        (404, "application/json", b'{"detail":"Not Found"}', "wrong_url"),
        (403, "text/html", b"<h1>Forbidden</h1>", "wrong_url"),
        (400, "text/plain", b"Client sent an HTTP request to an HTTPS server.", "wrong_url"),
        (401, "text/plain", b"Unauthorized", "bad_key"),
        (400, "application/json", b'[{"error": {"code": 400, "message": "API key expired"}}]', "bad_key"),
        (404, "application/json", b'{"object":"error","message":"The model `x` does not exist.","code":404}', "no_access"),
        (502, "text/html", b"<h1>Bad Gateway</h1>", "failed"),
    ],
)  # fmt: skip
def test_answers_in_other_shapes(upstream, status, content_type, body, state):
    upstream.answers["/v1/chat/completions"] = (status, content_type, body)
    del upstream.answers["/v1/models"]
    assert probe(upstream, "chat").state == state


def test_a_redirect_is_named_and_not_followed(upstream):
    upstream.answers["/v1/chat/completions"] = (307, "text/plain", b"")
    upstream.headers = {"location": "https://evil.example/steal?x=1"}
    result = probe(upstream, "chat")
    assert result.state == "wrong_url"
    assert "https://evil.example;" in result.detail
    assert len(upstream.asked) == 1


def test_a_call_that_needs_more_than_text_is_looked_up_after_its_refusal(upstream):
    upstream.error("/v1/chat/completions", 400, "This model requires that input content contain audio.")
    result = probe(upstream, "chat", upstream_id="gpt-image-1")
    assert (result.state, result.ok, result.via) == ("works", True, "list")
    assert "is listed for this key; the test call itself was refused: 400: This model requires" in result.detail
    result = probe(upstream, "chat", upstream_id="unlisted")
    assert (result.state, result.ok) == ("refused", False)


def test_a_model_of_another_type_says_so(upstream):
    upstream.error("/v1/chat/completions", 404, "This is not a chat model. Did you mean to use v1/completions?")
    result = probe(upstream, "chat", upstream_id="unlisted")
    assert result.state == "refused"
    assert "check its model types" in result.detail


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
    assert "no whole HTTP answer" in result.detail


# --- which address is dialled ---


def test_a_name_that_turns_private_is_not_dialled(upstream, settings):
    """The rebinding attack: the address was public when the account was saved, and is ours when it is called."""
    settings.EGRESS_ALLOW = ["rebind.example"]  # so that plain http is fine; its metadata addresses stay refused
    account = account_at(f"http://rebind.example:{upstream.server_address[1]}/v1")
    [result] = probe_account(account, [model("chat")], resolve=lambda host, port: ["127.0.0.1"])
    assert result.state == "works"
    [result] = probe_account(account, [model("chat")], resolve=lambda host, port: ["169.254.169.254"])
    assert (result.state, result.ok) == ("egress_refused", False)
    settings.EGRESS_ALLOW = []
    for addresses in (["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"]):
        [result] = probe_account(account, [model("chat")], resolve=lambda host, port, found=addresses: found)
        assert result.state == "egress_refused"
        assert "GATEHOUSE_EGRESS_ALLOW" in result.detail
    assert len(upstream.asked) == 1


def test_the_name_is_resolved_once_and_the_judged_address_dialled(upstream, settings):
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


# --- TLS: the certificate must be the name's, though an address is dialled ---


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


# --- the key never shows, and is not sent when it can't be right ---


def test_an_upstream_that_repeats_the_key_does_not_show_it(upstream):
    upstream.error("/v1/chat/completions", 401, f"bad key {KEY}\x1b[31m\nsee https://x/?k={KEY}", "invalid_api_key")
    result = probe(upstream, "chat")
    assert KEY not in json.dumps(result.as_dict())
    assert result.detail == "the upstream refuses the key (401: bad key [key] [31m see https://x/?k=[key])"


def test_without_a_key_nothing_is_sent(upstream):
    account = account_at(upstream.url)
    account.api_key = ""
    [result] = probe_account(account, [model("chat")])
    assert (result.state, result.via) == ("bad_key", "nothing")
    assert "no key is stored" in result.detail
    account.kind = "self-hosted-model"
    [result] = probe_account(account, [model("chat")])
    assert result.state == "works"
    assert "authorization" not in upstream.asked[0][2]
    assert len(upstream.asked) == 1


@pytest.mark.parametrize("key", ["sk-abc\ndef", "sk-ключ", "sk\x00"])
def test_a_key_that_no_header_can_carry(upstream, key):
    account = account_at(upstream.url)
    account.api_key = key
    [result] = probe_account(account, [model("chat")])
    assert (result.state, result.via) == ("bad_key", "nothing")
    assert upstream.asked == []


# --- the command ---


@pytest.fixture
def saved(db, upstream):
    account = account_at(upstream.url)
    account.save()
    Model.objects.create(account=account, name="gpt-4o-mini", model_types=["chat"])
    Model.objects.create(account=account, name="pictures", upstream_id="gpt-image-1", model_types=["image"])
    Model.objects.create(account=account, name="off", model_types=["chat"], enabled=False)
    return account


def run(*args):
    out = io.StringIO()
    try:
        call_command("test_credentials", *args, stdout=out)
    except CommandError as error:
        return out.getvalue(), str(error)
    return out.getvalue(), None


def test_the_command_tests_all_enabled_models(saved):
    out, error = run("openai-main")
    assert error is None
    first, second = out.splitlines()
    assert first.startswith("ok   openai-main/gpt-4o-mini: works in ")
    assert second == "ok   openai-main/pictures: works: is listed for this key; no call was made"


def test_the_command_fails_when_one_does_not_work(saved, upstream):
    upstream.error("/v1/chat/completions", 401, OPENAI_KEY)
    out, error = run("openai-main", "--json")
    assert error == "1 of 2 do not work."
    rows = json.loads(out)
    assert [(row["model"], row["state"], row["ok"]) for row in rows] == [
        ("openai-main/gpt-4o-mini", "bad_key", False),
        ("openai-main/pictures", "works", True),
    ]
    out, _ = run("openai-main", "--model", "openai-main/gpt-4o-mini")
    assert "FAIL openai-main/gpt-4o-mini: bad key: the upstream refuses the key (401: Incorrect API key" in out
    assert KEY not in out


def test_the_command_names_what_is_there(saved, upstream):
    assert "There is: gpt-4o-mini" in run("openai-main", "--model", "gpt-4o-mni")[1]
    assert "There is: openai-main" in run("openai-mian")[1]
    assert upstream.asked == []
    saved.any_model = True
    saved.save()
    assert run("openai-main", "--model", "gpt-4o")[1] is None
    assert upstream.asked[0][3]["model"] == "gpt-4o"


def test_the_command_says_when_the_stored_key_can_not_be_read(saved):
    with connection.cursor() as cursor:
        cursor.execute("UPDATE providers_provideraccount SET credentials = %s", [b"gAAAAAbroken"])
    assert "encrypted with another encryption key" in run("openai-main")[1]
