"""One word for a thing: the side bar, the list's title, the tab and the breadcrumbs say the same."""

import re

import pytest
from django.contrib import admin
from django.urls import reverse

from console.site import NAVIGATION
from tests.console.conftest import PASSWORD

LISTS = [(section, title, name) for section, pages in NAVIGATION for title, _, name in pages if "." in name]


@pytest.mark.django_db
@pytest.mark.parametrize(("section", "title", "name"), LISTS)
def test_a_list_is_called_as_the_side_bar_calls_it(client, django_user_model, section, title, name):
    client.force_login(django_user_model.objects.create_superuser("root@example.com", PASSWORD))
    page = client.get(reverse(f"admin:{name.replace('.', '_')}_changelist")).content.decode()
    assert re.search(r"<title>\s*(.*?)\s*</title>", page, re.S)[1] == f"{title} | Gatehouse"
    assert re.search(rf"{section}\s*</span\s*>.*?chevron_right.*?{title}\s*</a\s*>", page, re.S)
    assert "to change" not in page


def test_every_list_has_an_entry_or_is_beside_one():
    listed = {name for _, _, name in LISTS} | {"accounts.apitoken", "providers.model", "rules.teambudget"}
    assert {model._meta.label_lower for model in admin.site._registry} <= listed
