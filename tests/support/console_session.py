"""A person at the console of a real server: signed in over HTTP, reading pages and sending their forms."""

from html.parser import HTMLParser
from types import TracebackType
from typing import Any, Self

import httpx

LOGIN = "/admin/login/"


class ConsoleSession:
    """A browser's cookies and forms. Without an e-mail address no one is signed in."""

    def __init__(self, origin: str, email: str = "", password: str = "", headers: dict[str, str] | None = None) -> None:
        self.http = httpx.Client(base_url=origin, timeout=60, trust_env=False, headers=headers)
        if email:
            answer = self.sign_in(email, password)
            assert answer.status_code == 302, answer.text[:2000]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()

    def sign_in(self, email: str, password: str) -> httpx.Response:
        """Send the sign-in form and return its answer: a redirect when it was right."""
        self.http.get(LOGIN)
        return self.post(LOGIN, {"username": email, "password": password})

    def get(self, path: str) -> httpx.Response:
        return self.http.get(path)

    def form(self, path: str) -> dict[str, Any]:
        """Return what a browser would send for the form that changes something on this page, unchanged."""
        page = self.get(path)
        assert page.status_code == 200, (path, page.status_code)
        return fields_of(page.text)

    def post(self, path: str, data: dict[str, Any]) -> httpx.Response:
        """Send a form with the mark that the server gave this browser."""
        token = self.http.cookies.get("csrftoken", "")
        return self.http.post(path, data={**data, "csrfmiddlewaretoken": token})


def fields_of(page: str) -> dict[str, Any]:
    """Return the fields of the page's forms that are sent by POST, with their values."""
    reader = _Forms()
    reader.feed(page)
    return reader.fields


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, Any] = {}
        self._posts = False
        self._text = ""
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        name = given.get("name", "")
        if tag == "form":
            self._posts = given.get("method", "").lower() == "post"
        elif not self._posts:
            return
        elif tag == "input" and name and given.get("type") not in ("submit", "button", "file"):
            if given.get("type") in ("checkbox", "radio"):
                if "checked" in given:
                    self._add(name, given.get("value", "on"))
            else:
                self._add(name, given.get("value", ""))
        elif tag == "select":
            self._select = name
        elif tag == "option" and self._select and "selected" in given:
            self._add(self._select, given.get("value", ""))
        elif tag == "textarea":
            self._text = name
            self.fields[name] = ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._posts = False
        elif tag == "select":
            self._select = ""
        elif tag == "textarea":
            self.fields[self._text] = self.fields[self._text].removeprefix("\n")
            self._text = ""

    def handle_data(self, data: str) -> None:
        if self._text:
            self.fields[self._text] += data

    def _add(self, name: str, value: str) -> None:
        held = self.fields.get(name)
        self.fields[name] = value if held is None else [*(held if isinstance(held, list) else [held]), value]
