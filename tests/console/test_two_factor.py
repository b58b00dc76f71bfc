"""Two-factor sign-in: turned on with an app's code, asked for behind every way in, and off again."""

import re
import time

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from axes.models import AccessAttempt
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts import two_factor
from accounts.models import AuditEntry, User
from tests.console.conftest import PASSWORD

LOGIN = "/admin/login/"
CODE = "/admin/sign-in/code/"
OWN = "/admin/two-factor/"


def code_now(seed: str, step: int = 0) -> str:
    return format_hotp_value(hotp_value(seed, int(time.time()) // 30 + step))


@pytest.fixture
def paul(installation) -> User:
    cache.clear()
    AccessAttempt.objects.all().delete()
    return installation.paul


def turned_on(person: User) -> tuple[str, list[str]]:
    seed = two_factor.new_seed()
    codes = two_factor.turn_on(person, seed, code_now(seed))
    assert codes is not None
    return seed, codes


def signed_in_by_password(person: User) -> Client:
    client = Client()
    answer = client.post(LOGIN, {"username": person.email, "password": PASSWORD})
    assert answer.status_code == 302
    return client


def is_in(client: Client) -> bool:
    return client.get("/admin/tokens/").status_code == 200


def test_a_person_turns_it_on_in_the_browser(paul) -> None:
    client = signed_in_by_password(paul)
    assert is_in(client)
    assert "not your password" in client.post(OWN, {"step": "begin", "password": "wrong"}).content.decode()
    page = client.post(OWN, {"step": "begin", "password": PASSWORD})
    seed, sealed = page.context["seed"], page.context["sealed"]
    assert "<svg" in page.content.decode()
    assert seed not in sealed
    wrong = client.post(OWN, {"step": "confirm", "sealed": sealed, "code": "000000"})
    assert "not right" in wrong.content.decode()
    assert not two_factor.is_on(paul)
    done = client.post(OWN, {"step": "confirm", "sealed": sealed, "code": code_now(seed)})
    assert len(done.context["codes"]) == 10
    assert "no-store" in done["cache-control"]
    assert two_factor.is_on(paul)
    assert AuditEntry.objects.filter(note="turned two-factor sign-in on", actor=paul.email).exists()


def test_a_setup_of_someone_else_turns_nothing_on(paul, installation) -> None:
    page = signed_in_by_password(installation.mia).post(OWN, {"step": "begin", "password": PASSWORD})
    data = {"step": "confirm", "sealed": page.context["sealed"], "code": code_now(page.context["seed"])}
    assert "Begin again" in signed_in_by_password(paul).post(OWN, data).content.decode()
    assert not two_factor.is_on(paul)


def test_seeds_are_stored_encrypted(paul) -> None:
    seed, codes = turned_on(paul)
    stored = str(list(Authenticator.objects.values_list("data", flat=True)))
    assert seed not in stored
    assert not any(code in stored for code in codes)


def test_a_password_alone_does_not_let_in(paul) -> None:
    seed, _ = turned_on(paul)
    client = signed_in_by_password(paul)
    assert not is_in(client)
    assert "not right" in client.post(CODE, {"code": "000000"}).content.decode()
    assert not is_in(client)
    answer = client.post(CODE, {"code": code_now(seed)})
    assert answer.headers["location"] == "/admin/"
    assert is_in(client)
    assert not AccessAttempt.objects.exists()
    assert AuditEntry.objects.filter(note="signed in with a code", actor=paul.email).exists()


def test_a_code_works_once(paul) -> None:
    seed, codes = turned_on(paul)
    for code in (code_now(seed), codes[3]):
        first, second = signed_in_by_password(paul), signed_in_by_password(paul)
        assert first.post(CODE, {"code": code}).status_code == 302
        assert second.post(CODE, {"code": code}).status_code == 200
        assert is_in(first)
        assert not is_in(second)


def test_the_code_page_is_of_no_use_without_the_password(paul) -> None:
    seed, _ = turned_on(paul)
    client = Client()
    assert client.get(CODE).headers["location"] == "/admin/"
    assert client.post(CODE, {"code": code_now(seed)}).headers["location"] == "/admin/"
    assert not is_in(client)


def test_wrong_codes_are_bounded_like_wrong_passwords(paul, settings) -> None:
    seed, _ = turned_on(paul)
    settings.SIGN_IN_TRIES = 4
    client = signed_in_by_password(paul)
    assert [client.post(CODE, {"code": "000000"}).status_code for _ in range(3)] == [200] * 3
    assert client.post(CODE, {"code": code_now(seed)}).status_code == 429
    assert client.post(LOGIN, {"username": paul.email, "password": PASSWORD}).status_code == 429
    assert not is_in(client)


def test_someone_who_was_made_inactive_meanwhile_does_not_come_in(paul) -> None:
    seed, _ = turned_on(paul)
    client = signed_in_by_password(paul)
    User.objects.filter(pk=paul.pk).update(is_active=False)
    client.post(CODE, {"code": code_now(seed)})
    assert not is_in(client)


@pytest.mark.parametrize("step", ["off", "codes"])
def test_only_a_code_changes_it(paul, step) -> None:
    seed, codes = turned_on(paul)
    client = signed_in_by_password(paul)
    client.post(CODE, {"code": codes[0]})
    assert "not right" in client.post(OWN, {"step": step, "code": "000000"}).content.decode()
    assert two_factor.is_on(paul)
    assert two_factor.codes_left(paul) == 9
    page = client.post(OWN, {"step": step, "code": code_now(seed)})
    assert two_factor.is_on(paul) == (step == "codes")
    if step == "codes":
        assert len(set(page.context["codes"]) - set(codes)) == 10
        assert two_factor.check(paul, codes[1]) == ""


def test_a_superuser_turns_it_off_for_who_lost_it(paul, as_root, as_mia) -> None:
    turned_on(paul)
    page = reverse("admin:accounts_user_reset_two_factor", args=[paul.pk])
    assert as_mia.post(page).status_code in (403, 404)
    assert two_factor.is_on(paul)
    assert "lost their phone" in as_root.get(page).content.decode()
    assert as_root.post(page).status_code == 302
    assert not two_factor.is_on(paul)
    assert AuditEntry.objects.filter(note="turned two-factor sign-in off", actor="root@example.com").exists()
    assert is_in(signed_in_by_password(paul))


def test_a_command_turns_it_off(paul, capsys) -> None:
    turned_on(paul)
    call_command("reset_two_factor", paul.email)
    call_command("reset_two_factor", paul.email)
    assert capsys.readouterr().out.splitlines() == ["off", "nothing to do: it is off"]
    with pytest.raises(CommandError, match="No one has the address"):
        call_command("reset_two_factor", "nobody@example.com")
    assert AuditEntry.objects.filter(note="turned two-factor sign-in off", source="command").count() == 1


def test_what_another_key_encrypted_lets_no_one_in(paul, monkeypatch) -> None:
    seed, codes = turned_on(paul)
    for kept in Authenticator.objects.all():
        kept.data = {
            name: re.sub("^gAAAA....", "gAAAAAAAA", str(value)) if name != "used_mask" else value
            for name, value in kept.data.items()
        }
        kept.save()
    assert two_factor.check(paul, code_now(seed)) == ""
    assert two_factor.check(paul, codes[0]) == ""
    assert two_factor.codes_left(paul) == 0
