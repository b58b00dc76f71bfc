"""Every list of the console on a common screen: nothing has to be moved sideways, and numbers end at the right."""

from collections.abc import Iterator
from itertools import islice

from django.contrib import admin
from django.urls import reverse
from playwright.sync_api import Page

from accounts.models import User
from tests.console.conftest import PASSWORD, seed
from tests.console.test_browser import page  # noqa: F401

LONG = "production-department-of-applied-research"
SCREEN = {"width": 1440, "height": 900}
OVER = """() => [document.body, ...document.querySelectorAll("table")]
  .map((each) => Math.max(each.getBoundingClientRect().left + each.scrollWidth, document.documentElement.scrollWidth))
  .filter((right) => right > innerWidth)"""
# Columns of which every cell that has something is a number, perhaps with a unit, and that do not end at the right; or
# whose head does not.
LEFT = r"""() => [...document.querySelectorAll("table")].flatMap((table) => {
  const rows = [...table.querySelectorAll("tbody tr")].map((row) => [...row.children]);
  const number = /^[~≈]?-?\$?\d[\d,.]*\s?(B|kB|KB|MB|GB|K|M|ms|s|%|of \d+|errors in 1 h)?$/;
  return [...table.querySelectorAll("thead th")].flatMap((head, index) => {
    if (/status/i.test(head.innerText)) return [];  // a code, no quantity
    const cells = rows.map((row) => row[index]).filter((cell) => cell && /\d/.test(cell.innerText));
    if (!cells.length || !cells.every((cell) => number.test(cell.innerText.trim()))) return [];
    const right = (each) => ["right", "end"].includes(getComputedStyle(each).textAlign);
    return cells.every(right) && right(head) ? [] : [head.innerText.trim() || cells[0].className];
  });
})"""
# Panes that are closed and shown all the same, over what is below them.
PANES = """() => [...document.querySelectorAll("dialog:not([open])")]
  .filter((each) => getComputedStyle(each).display !== "none").map((each) => each.className)"""
PAGES = ("/admin/", "/admin/requests/live/", "/admin/models/", "/admin/tokens/", "/admin/spend/")
TABS = 6


def at_once(page: Page, addresses: dict[str, str]) -> Iterator[tuple[str, Page]]:  # noqa: F811
    """Yield what each address shows once it rests, with its label; several rest at the same time."""
    tabs = [page, *(page.context.new_page() for _ in range(TABS - 1))]
    for tab in tabs:
        tab.set_viewport_size(SCREEN)
    waiting = iter(addresses.items())
    while group := list(zip(tabs, islice(waiting, TABS), strict=False)):
        for tab, (_, address) in group:
            tab.goto(address, wait_until="load")
        for tab, (label, _) in group:
            tab.wait_for_load_state("networkidle")
            yield label, tab
    for tab in tabs[1:]:
        tab.close()


def test_lists_fit_a_screen(page):  # noqa: F811
    someone = User.objects.create_user(f"{LONG[:20]}.somebody@example.com", PASSWORD)
    seed(LONG, None, someone)
    over, left = {}, {}
    lists = {
        model._meta.label: reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for model in admin.site._registry
    }
    for label, shown in at_once(page, lists):
        if found := shown.evaluate(OVER) + shown.evaluate(PANES):
            over[label] = found
        if found := shown.evaluate(LEFT):
            left[label] = found
    for address in PAGES:
        page.goto(address)
        page.wait_for_load_state("load")  # the page of live requests never rests
        if found := page.evaluate(LEFT) + page.evaluate(PANES):
            left[address] = found
    assert (over, left) == ({}, {})
    page.goto("/admin/providers/model/")
    page.add_style_tag(content="td { min-width: 400px !important }")
    assert page.evaluate(OVER), "a list that is too wide is seen"
    page.goto("/admin/accounts/team/")
    page.add_style_tag(content="#result_list td, #result_list th { text-align: left !important }")
    assert page.evaluate(LEFT), "numbers at the left are seen"
