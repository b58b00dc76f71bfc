"""Every list of the console on a common screen: nothing has to be moved sideways, long names and all columns shown."""

from django.contrib import admin
from django.urls import reverse

from accounts.models import User
from tests.console.conftest import PASSWORD, seed
from tests.console.test_browser import page  # noqa: F401

LONG = "production-department-of-applied-research"
SCREEN = {"width": 1440, "height": 900}
OVER = """() => [document.body, ...document.querySelectorAll("table")]
  .map((each) => Math.max(each.getBoundingClientRect().left + each.scrollWidth, document.documentElement.scrollWidth))
  .filter((right) => right > innerWidth)"""


def test_lists_fit_a_screen(page):  # noqa: F811
    someone = User.objects.create_user(f"{LONG[:20]}.somebody@example.com", PASSWORD)
    seed(LONG, None, someone)
    page.set_viewport_size(SCREEN)
    over = {}
    for model in admin.site._registry:
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        page.goto(address)
        page.wait_for_load_state("networkidle")
        if found := page.evaluate(OVER):
            over[model._meta.label] = found
    assert over == {}
    page.goto("/admin/providers/model/")
    page.add_style_tag(content="td { min-width: 400px }")
    assert page.evaluate(OVER), "a list that is too wide is seen"
