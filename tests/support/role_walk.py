"""Every place of the console and beside it, and who asks: what the walk over roles needs.

A place is a method and a route as the URL map writes it. Where a route names an object there are two of it: ``mine``,
which the manager manages, and ``other``, which they don't.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver

from gateway.addresses import BELOW, GOOGLE_PREFIX
from gateway.urls import api
from tests.support.console_session import LOGIN, ConsoleSession

TABLE = Path(__file__).with_name("role_table.txt")
ROLES = ("anonymous", "member", "manager", "auditor", "superuser", "application")
PEOPLE = {
    "member": "paul@example.com",
    "manager": "mia@example.com",
    "auditor": "ada@example.com",
    "superuser": "root@example.com",
}
PASSWORD = "an-Obvious-password-7"
SIGN_IN = "in"
"""How the table writes a redirect to the sign-in page."""
ASKS = "asks"
"""How the table writes the page that asks whether to delete what was selected."""
PARAMETER = re.compile(r"<[^>]+>|\(\?P<\w+>[^)]*\)")
KEYS = {
    "providers/provideraccount": "account",
    "providers/model": "model",
    "providers/grant": "grant",
    "accounts/team": "team",
    "accounts/virtualaccount": "bot",
    "accounts/apitoken": "token",
    "accounts/user": "user",
    "accounts/auditentry": "audit",
    "usage/usagerecord": "usage",
    "rules/budget": "budget",
    "rules/ratelimit": "limit",
    "rules/routingrule": "routing",
    "alerts/alert": "alert",
    "alerts/channel": "channel",
    "alerts/incident": "incident",
    "batches/job": "job",
    "batches/storedfile": "file",
    "providers/<int:pk>": "account",
    "requests/<path:request_id>": "request",
    "models/<path:name>": "model_name",
    "models/<model:name>": "model_name",
}
FILLED = {
    "(?P<app_label>": "accounts",
    "(?P<url>": "nothing-is-here",
    "<path:content_type_id>": "1",
    "<path:extra>": "nothing",
}


@dataclass(frozen=True)
class Place:
    """A method and a route; ``key`` says what object it names, empty: none."""

    method: str
    route: str
    key: str = ""

    def __str__(self) -> str:
        return f"{self.method} /{self.route}"

    def path(self, object_id: Any) -> str:
        """Return the address with an object's id in it."""
        route = self.route.replace(GOOGLE_PREFIX, "v1beta/").replace(BELOW, "")
        for beginning, value in FILLED.items():
            start = route.find(beginning)
            if start >= 0:
                end = re.search(r"\)\$?|>", route[start:])
                assert end is not None
                route = route[:start] + value + route[start + end.end() :]
        return "/" + PARAMETER.sub(str(object_id), route).strip("^$")


def routes() -> Iterator[str]:
    """Yield every route that is not the API's."""
    yield from _routes(get_resolver().url_patterns, "")


def _routes(patterns: Any, before: str) -> Iterator[str]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if pattern.url_patterns is not api:
                yield from _routes(pattern.url_patterns, route)
        elif isinstance(pattern, URLPattern):
            yield route.replace("\\Z", "")


def places() -> list[Place]:
    """Return every place: each route to look at and to send to, and each action of a list."""
    found = []
    for route in routes():
        key = next((key for part, key in KEYS.items() if f"/{part}" in route and PARAMETER.search(route)), "")
        found += [Place("GET", route, key), Place("POST", route, key)]
    for model, page in admin.site._registry.items():
        name = model._meta.label_lower.replace(".", "/")
        actions = [action if isinstance(action, str) else action.__name__ for action in page.actions or ()]
        found += [Place(f"ACTION:{action}", f"admin/{name}/", KEYS[name]) for action in ("delete_selected", *actions)]
    return found


def table() -> dict[str, tuple[str, ...]]:
    """Return the table: what each role gets at each place: ``200``, ``302``, ``in``, or two, for mine and other."""
    rows = {}
    for line in TABLE.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            place, *cells = line.rsplit(None, len(ROLES))
            rows[place] = tuple(cells)
    return rows


class Walker:
    """One role: a browser, or an application's token without one."""

    def __init__(self, origin: str, role: str, token: str, objects: dict[str, dict[str, Any]]) -> None:
        self.objects = objects
        headers = {"authorization": f"Bearer {token}"} if role == "application" else None
        self.console = ConsoleSession(origin, PEOPLE.get(role, ""), PASSWORD, headers)
        self.console.get(LOGIN)  # for the mark against forged forms, which must not be all that stops anybody

    def cell(self, place: Place) -> str:
        """Return what the role gets at a place."""
        if not place.key:
            return self._ask(place, "")
        mine, other = (self._ask(place, self.objects[which][place.key]) for which in ("mine", "other"))
        return f"{mine}/{other}"

    def _ask(self, place: Place, object_id: Any) -> str:
        if place.method == "GET":
            answer = self.console.get(place.path(object_id))
        elif place.method == "POST":
            answer = self.console.post(place.path(object_id), {"post": "yes"} if "delete" in place.route else {})
        else:
            action = place.method.removeprefix("ACTION:")
            data = {"action": action, "_selected_action": object_id, "index": "0"}  # what deletes asks first
            answer = self.console.post(f"/{place.route}", data)
        return _said(answer)


def _said(answer: httpx.Response) -> str:
    to_login = answer.status_code == 302 and LOGIN in answer.headers["location"]
    asks = re.search(r'name="post"\s+value="yes"', answer.text)
    return SIGN_IN if to_login else ASKS if asks and answer.request.method == "POST" else str(answer.status_code)


def in_order(found: list[Place]) -> list[Place]:
    """Return the places so that none takes away what a later one needs: what deletes or signs out comes last."""
    whole = ("accounts/team", "accounts/user", "providers/provideraccount")
    last = ("revoke", "delete/", *(f"{name}/<path:object_id>/delete/" for name in whole), "logout")
    return sorted(found, key=lambda place: max((n + 1 for n, word in enumerate(last) if word in str(place)), default=0))
