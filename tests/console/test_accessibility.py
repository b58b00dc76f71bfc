"""Every page of the console under axe-core, in light and dark: nothing serious is wrong for those who can't see it, or
use a keyboard."""

import json
from typing import Any

import pytest
from django.contrib import admin
from django.urls import reverse
from playwright.sync_api import Page

from accounts.models import User
from alerts.models import Alert, Channel, Incident
from tests.console.conftest import seed
from tests.console.test_browser import page  # noqa: F401
from tests.support.node_package import node_with

SERIOUS = ("serious", "critical")
JUDGE = """async (only) => {
    const rules = only ? { type: "rule", values: only } : ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"];
    const { violations } = await axe.run(document, { resultTypes: ["violations"], iframes: false, runOnly: rules });
    const shown = (nodes) => nodes.slice(0, 3).map((each) => each.html.slice(0, 200));
    return violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: shown(nodes) }));
}"""
DARK = "document.documentElement.classList.add('dark')"
PLAIN = (
    "index",
    "playground",
    "models",
    "tokens",
    "token_new",
    "spend",
    "system_health",
    "requests_live",
    "wizard",
    "invite",
    "two_factor",
    "password_change",
)


def faults(page: Page, only: list[str] | None = None) -> list[str]:  # noqa: F811
    found = page.evaluate(JUDGE, only)
    return [f"{each['id']}: {each['nodes']}" for each in found if each["impact"] in SERIOUS]


def addresses() -> list[str]:
    """Return every kind of page: those of the console's own, and each model's list, form and row."""
    found = [reverse(f"admin:{name}") for name in PLAIN]
    for model, shown in admin.site._registry.items():
        base = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found.append(reverse(f"{base}_changelist"))
        rows = model._default_manager.all()
        row = (rows.filter(kind__in=shown.kinds) if hasattr(shown, "kinds") else rows).first()
        if row is not None:
            found.append(reverse(f"{base}_change", args=[row.pk]))
        elif "add" in shown.superuser_rights:
            found.append(reverse(f"{base}_add"))
    found.append(reverse("admin:model_drawer", args=["acme-openai/gpt-4o-mini"]))
    found.append(reverse("admin:request", args=["req-of-acme"]))
    return found


@pytest.mark.timeout(600)  # some fifty pages, each looked at twice
def test_no_page_has_a_serious_fault(page) -> None:  # noqa: F811
    bo = User.objects.create_user("bo@example.com")
    seed("acme", None, bo)
    Channel.objects.create(name="ops", kind="email", channel_address="ops@example.com")
    Incident.objects.create(alert=Alert.objects.create(name="spool", kind="spool", threshold=1), subject="x", value=1)
    source = (node_with("axe-core")[1] / "axe-core" / "axe.min.js").read_text()
    wrong: dict[str, Any] = {}
    # The pages' server here is Django's alone; the playground asks the gateway for its models.
    page.route("**/v1/models", lambda route: route.fulfill(json={"object": "list", "data": []}))
    for address in addresses():
        answer = page.goto(address, wait_until="load")
        assert answer.status == 200, address
        page.evaluate(source)
        found = faults(page)
        page.evaluate(DARK)
        found += [f"dark {fault}" for fault in faults(page, ["color-contrast"])]
        if found:
            wrong[address] = found
    assert not wrong, json.dumps(wrong, indent=1)
