"""One contract that every vendor's row keeps: its address, how it signs calls, what it sends, counts and costs."""

import re
from typing import Any

import msgspec
import pytest
from genai_prices.data_snapshot import get_snapshot

from gateway.call.body import Body
from gateway.directory.accounts import account_snapshot, unlisted_model
from gateway.objects import operations
from providers import egress
from providers.credentials import kinds
from providers.dialects import DIALECTS, dialect_of
from providers.dialects import usage as usages
from providers.dialects.conversion import Ask
from providers.dialects.conversions import CONVERSIONS, counts, maker_of
from providers.dialects.neutral import Settings
from providers.discovery import PAGE_SIZES
from providers.models import ProviderAccount
from providers.probe.run import CALLS, LISTS
from providers.snapshot import Target
from providers.vendor_row import USAGE_SEMANTICS, Vendor
from providers.vendors import VENDORS, vendor_of

KEY = "sk-of-the-vendor-0123456789"
PARAMETER = re.compile(r"[a-z][a-z_]*")
every_row = pytest.mark.parametrize("row", VENDORS.values(), ids=list(VENDORS))


class Asked:
    """A chat call, as a dialect reads it."""

    method, path, query, base_url = "POST", "chat/completions", "", ""
    model_asked, stream, wants_usage, asks_usage = "acme/model", True, False, True
    forwarded: list[tuple[str, str]] = [("x-team", "blue")]

    class options:
        strict = False

    def __init__(self, **fields: Any) -> None:
        raw = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
        self.body = Body(msgspec.json.encode(fields), raw, "application/json")


def target_of(row: Vendor, model: str = "some-model") -> Target:
    base_url = f"https://models.example.com/v1{'/projects/p/locations/global' if row.vertex else ''}"
    account = ProviderAccount(name="acme", kind=row.kind, base_url="" if row.base_url else base_url)
    account.api_key = KEY
    snapshot = account_snapshot(account, [], [])
    return Target(snapshot, unlisted_model(snapshot, model))


@every_row
def test_its_address_is_public_and_ready_to_be_joined(row: Vendor) -> None:
    for address in filter(None, (row.base_url, *(url for url, _ in row.regions))):
        assert egress.url_fault(address) is None
        assert address.startswith("https://")
        assert not address.endswith("/")
    assert not row.regions or row.base_url in {url for url, _ in row.regions}
    assert row.label
    assert row.provider


@every_row
def test_its_key_goes_into_one_header(row: Vendor) -> None:
    target = target_of(row)
    headers = dialect_of(target.account).headers(target.account, [("x-team", "blue")])
    holding = {name: value for name, value in headers.items() if KEY in value}
    assert holding == {row.auth_header: f"{row.auth_prefix}{KEY}"}
    assert headers["x-team"] == "blue"
    for name, value in row.headers:
        assert headers[name] == value
    assert target.account.secrets == (KEY.encode(),)


@every_row
def test_what_signs_it_in_is_known(row: Vendor) -> None:
    assert row.auth == "key" or row.auth in kinds.TAKEN


@every_row
def test_a_chat_reaches_it(row: Vendor) -> None:
    """As it came or converted: at its address, under its model's name, with renamed and without dropped parameters."""
    target = target_of(row)
    assert counts("chat/completions", "openai", row)
    asked = Asked(
        model="acme/model", messages=[{"role": "user", "content": "hi"}], stream=True, max_completion_tokens=9
    )
    asked.asks_usage = target.account.stream_usage  # as a call asks what its account takes
    maker = maker_of("chat/completions", "openai", row)
    if maker is not None:
        conversion = maker(Ask(fields=asked.body.fields, model="acme/model", stream=True))
        written = conversion.write(Settings(model="some-model", vendor=row.kind, usage=row.usage))
        url, body = dialect_of(target.account).url(target, written.path), msgspec.json.decode(written.body)
        assert "some-model" in url + str(body.get("model"))
    else:
        request = dialect_of(target.account).request(asked, target)
        url, body = request.url, msgspec.json.decode(request.body or b"")
        assert body["model"] == "some-model"
        renamed = dict(row.renames)
        assert body[renamed.get("max_completion_tokens", "max_completion_tokens")] == 9
        assert not row.drops & body.keys()
        assert ("stream_options" in body) == row.stream_usage
    assert url.startswith(f"{target.account.url}/")


@every_row
def test_its_parameters_are_names_and_agree(row: Vendor) -> None:
    for name in (*row.drops, *(part for pair in row.renames for part in pair)):
        assert PARAMETER.fullmatch(name)
    renamed = {old for old, _ in row.renames}
    assert not renamed & row.drops
    assert len(renamed) == len(row.renames)


@every_row
def test_its_usage_is_understood(row: Vendor) -> None:
    assert row.usage in USAGE_SEMANTICS
    if row.dialect == "openai":
        counted = usages.read(b'{"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}', row.usage)
        assert counted is not None
        assert (counted.input, counted.output, counted.outside) == (5, 2, 0)


@every_row
def test_its_price_source_exists(row: Vendor) -> None:
    known = {provider.id for provider in get_snapshot().providers}
    assert not row.price_source or row.price_source in known


@every_row
def test_its_dialect_can_be_tested_and_listed(row: Vendor) -> None:
    assert row.dialect in DIALECTS
    assert row.dialect in CALLS
    assert row.dialect in LISTS
    assert row.dialect in PAGE_SIZES
    assert row.dialect == "openai" or (operations.CHAT.path, row.dialect) in CONVERSIONS


@pytest.mark.parametrize(
    ("kind", "url", "expected"),
    [
        ("google-vertex", "https://aiplatform.googleapis.com/v1/projects/p/locations/global", "google-vertex"),
        ("google-vertex", "https://us-central1-aiplatform.googleapis.com/v1/projects/p-1/locations/us-central1/", ""),
        (
            "google-vertex",
            "https://aiplatform.googleapis.com/v1/projects/p/locations/global/endpoints/openapi",
            "google-vertex-openai",
        ),
        ("google-vertex", "https://proxy.example.com/v1", "google-vertex-openai"),
        ("google-gemini", "https://generativelanguage.googleapis.com/v1beta/openai", "google-gemini-openai"),
        ("google-gemini", "https://generativelanguage.googleapis.com/v1beta", ""),
        ("openai", "https://proxy.example.com/v1/projects/p/locations/global", ""),
    ],
)
def test_an_address_says_which_of_googles_dialects_an_account_has(kind: str, url: str, expected: str) -> None:
    assert vendor_of(kind, url) is VENDORS[expected or kind]
