"""Accounts of Anthropic and Google on the shared gateway, whose upstream answers as they document: ``vendor``."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.installation import Gateway
from tests.support.manifests import provider
from tests.support.servers import wait_until
from tests.support.vendor_upstream import CLAUDE, GEMINI, KEY, VendorUpstream

CLAUDE_PATH = "/messages"
GEMINI_PATH, GEMINI_STREAM = f"/models/{GEMINI}:generateContent", f"/models/{GEMINI}:streamGenerateContent"
ACCOUNTS = {"anthropic": ("claude-main", CLAUDE), "google-gemini": ("internal-google", GEMINI)}
EMBEDDER, PAINTER, SPEAKER = "gemini-embedding-001", "gemini-2.5-flash-image", "gemini-2.5-flash-preview-tts"
OTHERS = {EMBEDDER: "embedding", PAINTER: "image", SPEAKER: "text_to_speech"}


def vendor_account(kind: str, url: str) -> dict[str, Any]:
    """The manifest of an account of one of the two vendors."""
    name, model = ACCOUNTS[kind]
    rows: list[dict[str, Any]] = [{"name": model, "model_types": ["chat"], "max_output_tokens": 64_000}]
    if kind == "google-gemini":
        rows += [{"name": other, "model_types": [types]} for other, types in OTHERS.items()]
    typed = [{"type": f"integration/model/{kind}", **row} for row in rows]
    return provider(name, url, models=typed, key=KEY, type=f"provider-account/{kind}")


def model_of(kind: str) -> str:
    """The public name of an account's chat model."""
    return "/".join(ACCOUNTS[kind])


@pytest.fixture(scope="session")
def running_vendor(running_gateway: Gateway, user_token: str) -> Iterator[VendorUpstream]:
    with VendorUpstream() as vendor:
        running_gateway.installation.apply(*(vendor_account(kind, vendor.url) for kind in ACCOUNTS))
        for name, model in ACCOUNTS.values():
            path = f"/v1/models/{name}/{model}"
            wait_until(lambda path=path: running_gateway.get(user_token, path).status_code == 200)
        yield vendor


@pytest.fixture
def vendor(running_vendor: VendorUpstream) -> VendorUpstream:
    """The vendors' upstream, with nothing asked yet."""
    running_vendor.clear()
    return running_vendor
