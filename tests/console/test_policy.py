"""What the console's pages may load and run: said to the browser on every page, and kept by the pages themselves."""

import re

from django.test import Client
from django.urls import reverse

from console.middleware import POLICY
from console.pages.routes import ROUTES

DATA_BLOCK = re.compile(r'<script id="[\w-]+" type="application/json">')
WITH_SOURCE = re.compile(r"<script[^>]*\ssrc=")
HANDLER = re.compile(r"<[^>]*\son[a-z]+=", re.I)


def addresses(installation):
    names = (
        "index",
        "providers_provideraccount_add",
        "accounts_apitoken_add",
        "token_new",
        "accounts_apitoken_changelist",
    )
    yield from (reverse(f"admin:{name}") for name in names)
    yield reverse("admin:usage_usagerecord_changelist")
    yield reverse("admin:providers_provideraccount_change", args=[installation.mine["account"].pk])
    yield reverse("admin:providers_provideraccount_test_credentials", args=[installation.mine["account"].pk])
    yield reverse("admin:model_drawer", args=["mine-openai/gpt-4o-mini"])
    yield from (f"/admin/{route}" for route, _, _ in ROUTES if "<" not in route)


def test_pages_carry_the_policy_and_no_script_in_their_markup(installation, as_root):
    every = list(addresses(installation))
    assert len(every) > len(ROUTES) / 2
    for address in every:
        response = as_root.get(address)
        assert response["Content-Security-Policy"] == POLICY, address
        page = response.content.decode()
        assert not HANDLER.search(page), address
        for tag in re.findall(r"<script[^>]*>", page):
            assert WITH_SOURCE.match(tag) or DATA_BLOCK.fullmatch(tag), (address, tag)
        assert not re.search(r'(?:src|href)="(?:https?:)?//', page.replace("http://testserver", "")), address


def test_errors_and_strangers_get_it_too(installation, client):
    for address in ("/admin/", "/admin/login/", "/nowhere", "/"):
        assert client.get(address)["Content-Security-Policy"] == POLICY
    assert Client().get("/admin/", headers={"host": "elsewhere.example"})["Content-Security-Policy"] == POLICY


def test_it_allows_nothing_from_elsewhere_and_nothing_inline():
    rules = dict(rule.split(" ", 1) for rule in POLICY.split("; "))
    assert rules["script-src"] == "'self' 'unsafe-eval'"
    assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
    assert not re.search(r"https?:|\*", POLICY)
