"""No list is over 150 kB of HTML, however many rows there are; and what is typed keeps its whitespace."""

from time import process_time

import pytest
from django.http import HttpResponse
from django.test import RequestFactory
from django.urls import reverse

from console.slim import Slim
from tests.console.test_speed import LISTS, seed

MOST_BYTES = 150_000
ROWS = 55
"""More than a page of a list."""


def test_no_list_is_too_large(installation, as_root, monkeypatch) -> None:
    monkeypatch.setattr("django.test.client.store_rendered_templates", lambda *args, **kwargs: None)
    seed(ROWS, installation, start=0)
    pages = [*(f"/admin/{name}" for name in LISTS), "/admin/", "/admin/models/", "/admin/tokens/", "/admin/spend/"]
    pages += ["/admin/requests/live/", "/admin/tokens/new/", "/admin/rules/budget/", "/admin/batches/job/"]
    sizes = {page: len(as_root.get(page).content) for page in pages}
    assert {page: size for page, size in sizes.items() if size > MOST_BYTES} == {}


@pytest.mark.parametrize("text", ["one\n    two\n\n  three", "  first"])
def test_what_was_typed_keeps_its_whitespace(installation, as_root, text) -> None:
    team = installation.mine["team"]
    team.description = text
    team.save()
    page = as_root.get(reverse("admin:accounts_team_change", args=[team.pk])).content.decode()
    assert f">{text}</textarea>" in page


def test_much_whitespace_takes_no_long_time() -> None:
    page = HttpResponse(b"<p>" + b" " * 1_000_000 + b"</p>")
    began = process_time()
    assert len(Slim(lambda request: None).process_response(RequestFactory().get("/"), page).content) == 1_000_007
    assert process_time() - began < 5


def test_other_answers_stay_as_they_are() -> None:
    body = b"a\n   b"
    for kind in ("text/csv", "application/json", "text/plain; charset=utf-8"):
        answer = Slim(lambda request: None).process_response(
            RequestFactory().get("/"), HttpResponse(body, content_type=kind)
        )
        assert answer.content == body
    page = HttpResponse(b"<p>\n    a\n  </p><pre>\n   b\n</pre>\n\n<p>")
    assert Slim(lambda request: None).process_response(RequestFactory().get("/"), page).content == (
        b"<p>\na\n</p><pre>\n   b\n</pre>\n<p>"
    )
