"""Which addresses may be connected to: every spelling that a resolver or a client could read differently than we do."""

import asyncio
import ipaddress
import socket

import pytest
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from providers import egress
from providers.models import ProviderAccount
from providers.upstream.guard import Guard


@pytest.fixture(autouse=True)
def nothing_listed(settings):
    settings.EGRESS_ALLOW = []


GOOD_URLS = [
    "https://api.openai.com/v1",
    "https://api.openai.com./v1",
    "https://API.OpenAI.com",
    "https://eu.api.openai.com:8443/v1/",
    "https://my_host.example.com/v1",
    "https://xn--bcher-kva.example/v1",
    "https://1.1.1.1/v1",
    "https://[2606:4700:4700::1111]/v1",
    "https://[::ffff:8.8.8.8]/v1",
    "https://[64:ff9b::8.8.8.8]/v1",
    "https://127.0.0.1.example.com/v1",
    "https://0xdead.example.com/v1",
]


@pytest.mark.parametrize("url", GOOD_URLS)
def test_public_addresses_are_fine(url):
    assert egress.url_fault(url) is None


# (address, a word of the reason)
BAD_URLS = [
    # not an address at all
    ("", "begins with https"),
    ("api.openai.com", "begins with https"),
    ("//api.openai.com", "begins with https"),
    ("https://", "begins with https"),
    ("https:///v1", "begins with https"),
    ("ftp://api.openai.com", "begins with https"),
    ("file:///etc/passwd", "begins with https"),
    ("unix:///var/run/docker.sock", "begins with https"),
    ("https://api.openai.com:99999", "not a web address"),
    ("https://api.openai.com:http", "not a web address"),
    ("https://[::1", "not a web address"),
    ("https://api.openai.com:0/v1", "Port 0"),
    ("https://api..openai.com", "not a host name"),
    ("https://-api.openai.com", "not a host name"),
    ("https://" + "a" * 70 + ".com", "not a host name"),
    ("https://" + "a." * 130 + "com", "not a host name"),
    # keys and parts that don't belong there
    ("https://key@api.openai.com", "credentials"),
    ("https://user:key@api.openai.com", "credentials"),
    ("https://@api.openai.com", "credentials"),
    ("https://:@api.openai.com", "credentials"),
    ("https://api.openai.com/v1?key=1", "'?'"),
    ("https://api.openai.com/v1?", "'?'"),
    ("https://api.openai.com/v1#x", "'#'"),
    ("https://api.openai.com/v1#", "'#'"),
    # characters that clients drop, decode or read as a slash
    ("https://127.0.0.1\t.example.com", "spaces"),
    ("https://exam\nple.com", "spaces"),
    (" https://api.openai.com", "spaces"),
    ("https://api.openai.com ", "spaces"),
    ("\x00https://api.openai.com", "spaces"),
    ("https://127.0.0.1\\.example.com", "spaces"),
    ("https://api.openai.com\\@127.0.0.1", "spaces"),
    ("https://%31%32%37.0.0.1", "not a host name"),
    ("https://8.8.8.8%.example.com", "not a host name"),
    ("https://127.0.0.1%2f.example.com", "not a host name"),
    # letters beyond ASCII, which become others
    ("https://①②⑦.⓪.⓪.①", "ASCII form: 127.0.0.1"),
    ("https://127。0。0。1", "ASCII form: 127.0.0.1"),
    ("https://ｌｏｃａｌｈｏｓｔ", "ASCII form: localhost"),
    ("https://bücher.example", "ASCII form: xn--bcher-kva.example"),
    # plain http
    ("http://api.openai.com/v1", "Plain http"),
    ("HTTP://api.openai.com/v1", "Plain http"),
    # this machine
    ("https://localhost", "this machine"),
    ("https://LOCALHOST.:8443", "this machine"),
    ("https://api.localhost", "this machine"),
    ("https://ip6-localhost", "this machine"),
    ("https://127.0.0.1", "loopback"),
    ("https://127.8.9.10", "loopback"),
    ("https://[::1]", "loopback"),
    ("https://[0:0:0:0:0:0:0:1]", "loopback"),
    ("https://[::ffff:127.0.0.1]", "loopback"),
    ("https://[::ffff:7f00:1]", "loopback"),
    ("https://[64:ff9b::127.0.0.1]", "loopback"),
    ("https://0.0.0.0", "unspecified"),
    ("https://[::]", "unspecified"),
    ("https://[::ffff:0.0.0.0]", "unspecified"),
    # numbers that resolvers read as addresses
    ("https://2130706433", "odd spelling"),
    ("https://0x7f000001", "odd spelling"),
    ("https://0X7F.1", "odd spelling"),
    ("https://0x7f.0x0.0x0.0x1", "odd spelling"),
    ("https://0177.0.0.1", "odd spelling"),
    ("https://017700000001", "odd spelling"),
    ("https://127.1", "odd spelling"),
    ("https://127.0.1", "odd spelling"),
    ("https://127.0.0.1.", "odd spelling"),
    ("https://127.0.0.01", "odd spelling"),
    ("https://0x", "odd spelling"),
    ("https://256.256.256.256", "odd spelling"),
    ("https://example.com.0x7f", "odd spelling"),
    # private, tunnelled and reserved networks
    ("https://10.1.2.3", "private"),
    ("https://172.31.255.255", "private"),
    ("https://192.168.0.1", "private"),
    ("https://100.64.0.1", "carrier"),
    ("https://198.18.0.1", "benchmarks"),
    ("https://192.0.2.1", "documentation"),
    ("https://224.0.0.1", "multicast"),
    ("https://255.255.255.255", "reserved"),
    ("https://[fc00::1]", "private"),
    ("https://[fdff::1]", "private"),
    ("https://[fec0::1]", "site-local"),
    ("https://[ff02::1]", "multicast"),
    ("https://[::127.0.0.1]", "reserved"),
    ("https://[::ffff:0:127.0.0.1]", "reserved"),
    ("https://[64:ff9b:1::7f00:1]", "reserved"),
    ("https://[2002:7f00:1::]", "6to4"),
    ("https://[2001:0:4136:e378:8000:63bf:3fff:fdd2]", "tunnelled"),
    ("https://[2001:db8::1]", "documentation"),
    ("https://[100::1]", "reserved"),
    # metadata services, by number and by name
    ("https://169.254.169.254", "link-local"),
    ("https://[::ffff:169.254.169.254]", "link-local"),
    ("https://[::ffff:a9fe:a9fe]", "link-local"),
    ("https://[64:ff9b::a9fe:a9fe]", "link-local"),
    ("https://[fe80::1]", "link-local"),
    ("https://[fe80::1%25eth0]", "link-local"),
    ("https://168.63.129.16", "Azure"),
    ("https://100.100.100.200", "Alibaba"),
    ("https://192.0.0.192", "Oracle"),
    ("https://[fd00:ec2::254]", "AWS"),
    ("https://[fd20:ce::254]", "Google"),
    ("https://metadata.google.internal", "metadata"),
    ("https://Metadata.Google.Internal.", "metadata"),
    ("https://metadata", "metadata"),
]


@pytest.mark.parametrize(("url", "word"), BAD_URLS)
def test_addresses_that_may_not_be_stored(url, word):
    fault = egress.url_fault(url)
    assert fault is not None
    assert word.lower() in fault.lower()


@pytest.mark.parametrize("url", ["https://u:s3cret@h:99999", "https://u:s3cret@h\n", "https://u:s3cret@h"])
def test_a_fault_never_repeats_a_password(url):
    assert "s3cret" not in (egress.url_fault(url) or "s3cret")


@pytest.mark.django_db  # it looks for routings that name the account
def test_an_account_with_such_an_address_is_refused():
    with pytest.raises(ValidationError, match="loopback"):
        ProviderAccount(name="a", base_url="https://127.0.0.1").clean()


# --- what a name resolved to, when it is connected to ---


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "0.0.0.0",
        "::",
        "::1",
        "::1%lo",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "not-an-address",
        "",
        "0177.0.0.1",
    ],
)
def test_a_public_name_at_such_an_address_is_not_connected_to(address):
    with pytest.raises(egress.EgressDenied):
        egress.check_address("api.openai.com", address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_a_public_address_is_connected_to(address):
    egress.check_address("api.openai.com", address)


def test_a_connected_socket_notices_a_vanished_upstream():
    async def dial() -> socket.socket:
        return Guard().socket((socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("1.1.1.1", 443)))

    with asyncio.run(dial()) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert made.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 60


@given(st.ip_addresses(v=4))
def test_we_refuse_everything_that_python_calls_special(address):
    """Our own table must be at least as strict as the standard library's, whose table changed between releases."""
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert egress.address_fault("api.openai.com", str(address))


@given(st.ip_addresses(v=6))
def test_the_same_for_ipv6(address):
    nat64 = address in ipaddress.ip_network("64:ff9b::/96")
    if not nat64 and not address.ipv4_mapped and (not address.is_global or address.is_multicast or address.is_reserved):
        assert egress.address_fault("api.openai.com", str(address))


@given(st.ip_addresses(v=4))
def test_an_embedded_address_is_judged_like_the_bare_one(address):
    bare = egress.address_fault("h", str(address)) is None
    for form in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert (egress.address_fault("h", form) is None) == bare


# --- what the operator lists ---


def test_a_listed_name_opens_http_and_private_addresses_for_itself_only(settings):
    settings.EGRESS_ALLOW = ["VLLM.internal.", "localhost"]
    assert egress.url_fault("http://vllm.internal:8000/v1") is None
    assert egress.url_fault("http://vllm.INTERNAL.:8000/v1") is None
    assert egress.url_fault("http://localhost:11434") is None
    egress.check_address("vllm.internal", "10.0.0.7")
    egress.check_address("VLLM.internal.", "10.0.0.7")
    assert egress.url_fault("http://other.internal") is not None
    assert egress.url_fault("http://sub.vllm.internal") is not None
    with pytest.raises(egress.EgressDenied, match=r"list other\.internal"):
        egress.check_address("other.internal", "10.0.0.7")


def test_a_listed_name_does_not_open_the_metadata_service(settings):
    settings.EGRESS_ALLOW = ["vllm.internal"]
    for address in ("169.254.169.254", "fd00:ec2::254", "168.63.129.16", "::ffff:169.254.169.254"):
        with pytest.raises(egress.EgressDenied, match="list "):
            egress.check_address("vllm.internal", address)
    settings.EGRESS_ALLOW = ["vllm.internal", "169.254.169.254"]
    egress.check_address("vllm.internal", "169.254.169.254")


def wrapped(address: ipaddress.IPv4Address) -> list[str]:
    """Every IPv6 form that a translator or a tunnel delivers to an IPv4 address."""
    number = int(address)
    return [
        f"::ffff:{address}",
        f"::{address}",
        f"::ffff:0:{address}",
        f"64:ff9b::{address}",
        f"64:ff9b:1::{address}",
        f"64:ff9b:1:abcd:ef:0:{address}",
        str(ipaddress.IPv6Address((0x64FF9B0001 << 80) | (number >> 16 << 64) | ((number & 0xFFFF) << 40))),  # /48
        str(ipaddress.IPv6Address((0x64FF9B000100 << 72) | (number >> 24 << 64) | ((number & 0xFFFFFF) << 32))),  # /56
        str(ipaddress.IPv6Address((0x64FF9B00010000 << 64) | (number << 24))),  # /64
        str(ipaddress.IPv6Address((0x2002 << 112) | (number << 80) | 1)),
        str(ipaddress.IPv6Address((0x20010000 << 96) | (number << 64) | 1)),
        str(ipaddress.IPv6Address((0x20010000 << 96) | (number ^ 0xFFFFFFFF))),
        f"2001:470:1:2:0:5efe:{address}",
        f"fd12::200:5efe:{address}",
    ]


@pytest.mark.parametrize("metadata", ["169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192"])
def test_no_wrapping_reaches_a_metadata_service_under_a_listed_name(settings, metadata):
    for networks in ([], ["2000::/3", "::/16", "64:ff9b::/32", "fd00::/8"]):
        settings.EGRESS_ALLOW = ["vllm.internal", *networks]
        forms = wrapped(ipaddress.IPv4Address(metadata))
        assert len(forms) == 14
        for form in forms:
            with pytest.raises(egress.EgressDenied, match="list "):
                egress.check_address("vllm.internal", form)
            with pytest.raises(egress.EgressDenied):
                egress.check_address("api.openai.com", form)


@given(st.ip_addresses(v=4), st.integers(0, 13), st.booleans())
def test_a_wrapped_address_is_never_let_in_where_the_bare_one_is_not(address, form, named):
    """In a listed network, under a listed name and under any other."""
    host = "vllm.internal" if named else "api.openai.com"
    with override_settings(EGRESS_ALLOW=["vllm.internal", "10.0.0.0/8", "169.254.7.0/24"]):
        if egress.address_fault(host, str(address)):
            assert egress.address_fault(host, wrapped(address)[form])


def test_a_listed_network_opens_what_is_wrapped_around_its_addresses(settings):
    settings.EGRESS_ALLOW = ["10.0.0.0/8"]
    for form in ("::ffff:10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::1", "::ffff:0:10.1.2.3", "::10.1.2.3"):
        egress.check_address("vllm.internal", form)
    with pytest.raises(egress.EgressDenied):  # where the operator's prefix ends can't be known
        egress.check_address("vllm.internal", "64:ff9b:1:a01:2:300::")


def test_a_listed_network_opens_its_addresses_and_no_others(settings):
    settings.EGRESS_ALLOW = ["10.0.0.0/8", "fd00::/8", "[::1]", "127.0.0.1"]
    assert egress.url_fault("http://10.1.2.3:8000") is None
    assert egress.url_fault("http://127.0.0.1:8000") is None
    assert egress.url_fault("http://[::1]:8000") is None
    assert egress.url_fault("http://[fd12::1]") is None
    egress.check_address("vllm.internal", "10.9.9.9")
    egress.check_address("vllm.internal", "::ffff:10.9.9.9")
    assert egress.url_fault("http://vllm.internal") is not None  # http needs the name itself
    assert egress.url_fault("http://127.0.0.2") is not None
    with pytest.raises(egress.EgressDenied):
        egress.check_address("vllm.internal", "192.168.0.1")


def test_an_odd_spelling_stays_refused_beside_a_listed_network(settings):
    settings.EGRESS_ALLOW = ["127.0.0.0/8"]
    for url in ("https://2130706433", "https://127.1", "https://0x7f.1"):
        assert "odd spelling" in egress.url_fault(url)


@pytest.mark.parametrize(
    "entry",
    [
        "https://vllm.internal",
        "vllm.internal:8000",
        "10.0.0.0/33",
        "*.internal",
        ".internal",
        "",
        "a b",
        "10.0.0.256",
        "127.1",
        "user@host",
        "host/path",
        "0x7f000001",
    ],
)
def test_a_bad_entry_is_named(entry):
    with pytest.raises(ImproperlyConfigured, match="GATEHOUSE_EGRESS_ALLOW: "):
        egress.parse_allow_list([entry])


SPELLINGS = [
    lambda number: str(number),
    lambda number: hex(number),
    lambda number: oct(number).replace("0o", "0"),
    lambda number: ".".join(hex(byte) for byte in number.to_bytes(4, "big")),
    lambda number: ".".join(f"{byte:04o}" for byte in number.to_bytes(4, "big")),
    lambda number: f"{number >> 24}.{number & 0xFFFFFF}",
    lambda number: f"0x{number >> 24:x}.0{number >> 16 & 0xFF:o}.{number & 0xFFFF}",
    lambda number: ".".join(map(str, number.to_bytes(4, "big"))) + ".",
]


@given(st.ip_addresses(v=4), st.sampled_from(SPELLINGS), st.booleans())
def test_no_spelling_of_an_address_leads_where_the_plain_one_does_not(address, spell, upper):
    """What the resolver of this machine takes for an address is judged as one, or refused as odd."""
    host = spell(int(address))
    host = host.upper() if upper else host
    try:
        meant = socket.inet_ntoa(socket.inet_aton(host.removesuffix(".")))
    except OSError:
        return
    assert meant == str(address)
    if egress.url_fault(f"https://{address}/v1"):
        assert egress.url_fault(f"https://{host}/v1"), host


@given(st.text(st.characters(codec="ascii"), max_size=30) | st.text(max_size=12))
def test_any_url_is_judged(text):
    for url in (text, f"https://{text}", f"https://{text}/v1", f"https://a@{text}"):
        fault = egress.url_fault(url)
        assert fault is None or fault
