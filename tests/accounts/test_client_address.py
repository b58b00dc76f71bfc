"""Whose tries are counted together: addresses, behind proxies that are trusted and others."""

import pytest
from django.test import RequestFactory

from accounts.client_address import UNKNOWN, client_address
from gateway.config.env import networks

PROXIES = "10.0.0.0/8,2001:db8:ffff::/48"


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("203.0.113.7", "", "203.0.113.7"),
        ("203.0.113.7", "198.51.100.1", "203.0.113.7"),  # a client may write what it likes
        ("10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "", "10.1.2.3"),
        ("10.1.2.3", "made-up, 198.51.100.1", "198.51.100.1"),
        ("10.1.2.3", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # a client's own line before the proxy's
        ("10.1.2.3", "198.51.100.1, 10.9.9.9", "198.51.100.1"),  # two proxies
        ("10.1.2.3", "198.51.100.1, nonsense", "10.1.2.3"),
        ("10.1.2.3", "198.51.100.1:4711", "198.51.100.1"),
        ("10.1.2.3", "10.0.0.5", "10.0.0.5"),
        ("::ffff:203.0.113.7", "", "203.0.113.7"),
        ("::ffff:10.1.2.3", "198.51.100.1", "198.51.100.1"),
        ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::"),
        ("2001:db8:1:2:aaaa::1", "", "2001:db8:1:2::"),
        ("2001:db8:ffff::1", "[2001:db8:1:3::9]:443", "2001:db8:1:3::"),
        ("fe80::1%eth0", "", "fe80::"),
        ("10.1.2.3", ", ".join(["6.6.6.6"] * 1000 + ["198.51.100.1"]), "198.51.100.1"),
        ("10.1.2.3", ", ".join(["10.0.0.1"] * 1000), "10.0.0.1"),
        ("", "198.51.100.1", UNKNOWN),
        ("testclient", "198.51.100.1", UNKNOWN),
    ],
)
def test_the_address_is_that_of_the_first_who_is_not_ours(monkeypatch, settings, peer, forwarded, counted) -> None:
    monkeypatch.setenv("PROXIES", PROXIES)
    settings.TRUSTED_PROXIES = networks("PROXIES")
    headers = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=peer, **headers)) == counted


def test_nobody_is_believed_unless_it_is_configured() -> None:
    request = RequestFactory().get("/", REMOTE_ADDR="10.1.2.3", HTTP_X_FORWARDED_FOR="198.51.100.1")
    assert client_address(request) == "10.1.2.3"
