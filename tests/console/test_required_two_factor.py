"""A second factor that everyone needs, sign-in without passwords, and the ways back in when either goes wrong."""

from urllib.parse import urlsplit

import pytest
from axes.models import AccessAttempt
from django.core import signing
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts import two_factor
from accounts.models import AuditEntry, Invitation, User
from accounts.recovery import LIFETIME
from gateway.config.openid import password_sign_in
from tests.console.conftest import PASSWORD, signed_in
from tests.console.test_two_factor import CODE, LOGIN, OWN, code_now, is_in, signed_in_by_password, turned_on

INVITE = "/admin/people/invite/"
CHANGE_PASSWORD = "/admin/password_change/"


@pytest.fixture(autouse=True)
def no_tries(db) -> None:
    cache.clear()
    AccessAttempt.objects.all().delete()


@pytest.fixture
def required(settings) -> None:
    settings.REQUIRE_TWO_FACTOR = True


@pytest.fixture
def no_passwords(settings) -> None:
    settings.PASSWORD_SIGN_IN = False
    settings.OIDC_PROVIDER, settings.OIDC_NAME = "openid-test", "Example ID"


def set_up(client: Client, data: dict[str, str] | None = None) -> str:
    """Set a second factor up with an app, and return its seed."""
    page = client.post(OWN, {"step": "begin", "password": PASSWORD, **(data or {})})
    seed, sealed = page.context["seed"], page.context["sealed"]
    done = client.post(OWN, {"step": "confirm", "sealed": sealed, "code": code_now(seed)})
    assert len(done.context["codes"]) == 10
    return str(seed)


@pytest.mark.parametrize("who", ["root", "mia", "paul"])
def test_everything_waits_for_the_second_factor(installation, required, who) -> None:
    client = signed_in_by_password(getattr(installation, who))
    for page in ("/admin/", "/admin/tokens/", "/admin/accounts/apitoken/", "/admin/search/?s=ab", "/admin/models/"):
        assert client.get(page).headers["location"] == OWN, page
    assert client.post("/admin/playground/token/").status_code == 403
    assert client.post("/admin/tokens/new/", {"name": "x", "expiry": "30"}).status_code == 403
    assert "Everyone here needs a second factor" in client.get(OWN).content.decode()
    assert client.get(CHANGE_PASSWORD).status_code == 200
    set_up(client)
    assert is_in(client)


def test_a_session_from_before_the_setting_waits_too(installation, settings, as_mia) -> None:
    assert is_in(as_mia)
    settings.REQUIRE_TWO_FACTOR = True
    assert not is_in(as_mia)


def test_no_one_turns_it_off_for_themselves_where_it_is_required(installation, required) -> None:
    client = signed_in_by_password(installation.paul)
    set_up(client)
    codes = two_factor.renew_codes(installation.paul)
    assert "Turn off" not in client.get(OWN).content.decode()
    assert "another app instead" in client.post(OWN, {"step": "off", "code": codes[0]}).content.decode()
    assert two_factor.is_on(installation.paul)


def test_who_was_helped_sets_it_up_again(installation, required, capsys) -> None:
    client = signed_in_by_password(installation.paul)
    set_up(client)
    call_command("reset_two_factor", installation.paul.email)
    assert client.get("/admin/").headers["location"] == OWN
    set_up(client)
    assert is_in(client)


@pytest.mark.parametrize("with_what", ["code", "recovery code"])
def test_another_app_takes_the_place_of_the_first(installation, with_what) -> None:
    paul = installation.paul
    seed, codes = turned_on(paul)
    client = signed_in(paul)
    assert "seed" not in client.post(OWN, {"step": "move", "code": "000000"}).context
    page = client.post(OWN, {"step": "move", "code": code_now(seed) if with_what == "code" else codes[0]})
    new, sealed = page.context["seed"], page.context["sealed"]
    assert two_factor.is_on(paul)
    assert client.post(OWN, {"step": "confirm", "sealed": sealed, "code": code_now(new)}).context["codes"]
    assert two_factor.check(paul, code_now(seed)) == ""
    assert two_factor.check(paul, codes[1]) == ""
    assert two_factor.check(paul, code_now(new)) == "code"


def test_a_password_replaces_no_factor_that_was_set_up_meanwhile(installation) -> None:
    paul = installation.paul
    client = signed_in(paul)
    page = client.post(OWN, {"step": "begin", "password": PASSWORD})
    seed, _ = turned_on(paul)
    data = {"step": "confirm", "sealed": page.context["sealed"], "code": code_now(page.context["seed"])}
    assert "Begin again" in client.post(OWN, data).content.decode()
    assert two_factor.check(paul, code_now(seed)) == "code"


def test_wrong_codes_are_called_so(installation, settings) -> None:
    turned_on(installation.paul)
    settings.SIGN_IN_TRIES = 2
    client = signed_in_by_password(installation.paul)
    pages = [client.post(CODE, {"code": "000000"}) for _ in range(2)]
    assert (pages[1].status_code, "Too many wrong codes" in pages[1].content.decode()) == (429, True)
    again = client.post(LOGIN, {"username": installation.paul.email, "password": PASSWORD}).content.decode()
    assert "Too many wrong passwords or codes" in again
    assert AuditEntry.objects.filter(note__contains="2 failed sign-ins").exists()


def test_passwords_need_another_way_in_to_be_off() -> None:
    assert password_sign_in(False, "openid-x") is False
    assert password_sign_in(True, "") is True
    with pytest.raises(Exception, match="GATEHOUSE_PASSWORD_SIGN_IN: is off, and no other sign-in is configured"):
        password_sign_in(False, "")


def test_both_ways_are_offered_where_both_are_on(installation, no_passwords, settings) -> None:
    settings.PASSWORD_SIGN_IN = True
    page = Client().get(LOGIN).content.decode()
    assert "Sign in with Example ID" in page
    assert 'type="password"' in page


def test_no_password_lets_in_where_they_are_off(installation, no_passwords) -> None:
    client = Client()
    page = client.get(LOGIN).content.decode()
    assert "Sign in with Example ID" in page
    assert 'type="password"' not in page
    refused = client.post(LOGIN, {"username": "root@example.com", "password": PASSWORD})
    assert (refused.status_code, "Sign in with Example ID" in refused.content.decode()) == (403, True)
    assert not is_in(client)
    assert client.post("/admin/sign-in/invitation/?key=x").status_code == 403


def test_pages_speak_of_no_password_where_they_are_off(installation, no_passwords, as_root, as_mia) -> None:
    assert CHANGE_PASSWORD not in as_root.get("/admin/").content.decode()
    assert as_root.get(CHANGE_PASSWORD).status_code == 403
    person = as_root.get(reverse("admin:accounts_user_change", args=[installation.paul.pk])).content.decode()
    assert "people sign in with Example ID" in person
    set_up(as_mia, {"password": ""})
    assert two_factor.is_on(installation.mia)


def test_people_are_added_without_a_link_where_passwords_are_off(installation, no_passwords, as_root) -> None:
    page = as_root.post(INVITE, {"email": "nia@example.com", "team": "mine-team", "role": "member"})
    assert page.context["link"].endswith(LOGIN)
    assert User.objects.get(email="nia@example.com").teams.get().name == "mine-team"
    assert not Invitation.objects.exists()


def test_a_team_that_is_not_there_is_no_silence(installation, as_root) -> None:
    page = as_root.post(INVITE, {"email": "nia@example.com", "team": "no-team"})
    assert "The team no-team does not exist" in page.content.decode()
    assert not User.objects.filter(email="nia@example.com").exists()


def made_link(capsys, email: str = "root@example.com") -> str:
    call_command("sign_in_link", email)
    link = urlsplit(capsys.readouterr().out.strip())
    assert link.scheme == "http"
    return f"{link.path}?{link.query}"


def test_a_link_lets_a_superuser_in_once(installation, no_passwords, capsys) -> None:
    link, client, late = made_link(capsys), Client(), Client()
    assert "Sign in as root@example.com" in client.get(link).content.decode()
    assert not is_in(client)
    assert client.post(link).headers["location"] == "/admin/"
    assert is_in(client)
    assert late.post(link).status_code == 404
    assert not is_in(late)
    notes = AuditEntry.objects.filter(object_id=str(installation.root.pk)).values_list("note", "source")
    assert {("made a sign-in link for 15 minutes", "command"), ("signed in with a link", "console")} <= set(notes)


def test_a_link_ends_and_can_not_be_made_up(installation, capsys, monkeypatch) -> None:
    link = made_link(capsys)
    assert Client().post(f"{link}x").status_code == 404
    assert Client().post("/admin/sign-in/link/").status_code == 404
    User.objects.filter(pk=installation.root.pk).update(is_superuser=False)
    assert Client().post(link).status_code == 404
    User.objects.filter(pk=installation.root.pk).update(is_superuser=True)
    later = signing.time.time() + LIFETIME.total_seconds() + 1
    monkeypatch.setattr("django.core.signing.time.time", lambda: later)
    assert Client().post(link).status_code == 404


def test_a_second_factor_is_asked_for_behind_a_link(installation, required, capsys) -> None:
    _, codes = turned_on(installation.root)
    client = Client()
    assert client.post(made_link(capsys)).headers["location"] == CODE
    assert not is_in(client)
    client.post(CODE, {"code": codes[0]})
    assert is_in(client)


def test_links_are_for_superusers(installation) -> None:
    for email in ("mia@example.com", "nobody@example.com"):
        with pytest.raises(CommandError, match="No active superuser"):
            call_command("sign_in_link", email)
