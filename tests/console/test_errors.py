"""Error pages, the root, and what a foreign host is answered."""

import logging

import pytest
from django.test import Client, RequestFactory

from console import errors


def test_the_root_leads_to_the_console(client):
    response = client.get("/")
    assert (response.status_code, response["location"]) == (302, "/admin/")


def test_a_foreign_host_gets_the_setting_that_allows_it(settings):
    settings.ALLOWED_HOSTS = ["localhost"]
    response = Client().get("/admin/", headers={"host": "ai.corp.example:8443"})
    page = response.content.decode()
    assert response.status_code == 400
    assert "ai.corp.example" in page
    assert "GATEHOUSE_ALLOWED_HOSTS=ai.corp.example," in page
    hostile = Client().get("/admin/", headers={"host": "<script>alert(1)</script>"}).content.decode()
    assert "<script>alert" not in hostile


@pytest.mark.parametrize(
    ("path", "host", "says"),
    [
        ("/admin/", "ai.corp.example", "'ai.corp.example'"),
        ("/admin/providers/provideraccount/?credentials__startswith=g", "localhost", "credentials__startswith"),
        ("/admin/providers/model/?account__credentials__startswith=g%0AERROR", "localhost", "account__credentials"),
        ("/admin/providers/model/?e=1&id__exact=%C2%B2", "localhost", "make no sense"),
    ],
)
def test_a_client_s_mistake_is_a_line_and_no_error(as_root, settings, caplog, path, host, says):
    settings.ALLOWED_HOSTS = ["localhost"]
    assert as_root.get(path, headers={"host": host}).status_code == 400
    (line,) = caplog.records
    assert (line.levelno, line.exc_info) == (logging.WARNING, None)
    assert says in line.getMessage()
    assert "\n" not in line.getMessage()


@pytest.mark.parametrize(
    ("status", "answer", "says"),
    [
        (400, errors.bad_request, "can&#x27;t be understood"),
        (403, errors.forbidden, "Ask an administrator"),
        (403, errors.csrf_failure, "form has expired"),
        (404, errors.not_found, "nothing at this address"),
        (500, errors.failed, "went wrong on our side"),
    ],
)
def test_error_pages_have_the_console_s_look(status, answer, says):
    response = answer(RequestFactory().get("/admin/"))
    page = response.content.decode()
    assert response.status_code == status
    assert says in page
    assert "console/errors.css" in page
    assert "<style" not in page


def test_pages_answer_with_them(installation, as_mia, as_root, settings):
    settings.DEBUG = False
    assert "nothing at this address" in as_root.get("/admin/accounts/team/999/change/").content.decode()
    assert "Ask an administrator" in as_mia.get("/admin/accounts/user/").content.decode()
    strict = Client(enforce_csrf_checks=True)
    assert "form has expired" in strict.post("/admin/login/", {"username": "x"}).content.decode()
