"""Invitations by link: made by superusers, opened once, within a week."""

from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.invitations import Invitation, accept, invite, open_invitation
from accounts.models import AuditEntry, Membership, User
from tests.console.conftest import PASSWORD

NEW = "/admin/people/invite/"
OPEN = "/admin/sign-in/invitation/"
CHOSEN = "a-Chosen-password-9"
FORM = {"first_name": "Nia", "last_name": "New", "new_password1": CHOSEN, "new_password2": CHOSEN}


def made(client: Client, **data: str) -> str:
    page = client.post(NEW, {"email": "Nia@Example.com", **data})
    assert "no-store" in page["cache-control"]
    link = urlsplit(page.context["link"])
    return f"{link.path}?{link.query}"


def test_a_person_is_invited_and_comes_in(installation, as_root) -> None:
    link = made(as_root, team="mine-team", role="manager")
    person = User.objects.get(email="nia@example.com")
    assert not person.has_usable_password()
    assert Membership.objects.get(user=person).role == "manager"
    client = Client()
    assert "nia@example.com" in client.get(link).content.decode()
    assert client.post(link, FORM).headers["location"] == "/admin/"
    assert client.get("/admin/tokens/").status_code == 200
    person.refresh_from_db()
    assert person.check_password(CHOSEN)
    assert person.get_full_name() == "Nia New"
    notes = AuditEntry.objects.filter(object_type="accounts.user", object_id=str(person.pk)).values_list(
        "note", "actor"
    )
    assert ("accepted the invitation", "nia@example.com") in notes
    assert any(note.startswith("made an invitation link") and who == "root@example.com" for note, who in notes)


def test_a_link_works_once_and_the_newest_only(installation, as_root) -> None:
    first, second = made(as_root), made(as_root)
    assert Client().post(first, FORM).status_code == 404
    assert Client().post(second, FORM).status_code == 302
    assert Client().post(second, FORM).status_code == 404
    assert not Invitation.objects.exists()


def test_what_was_changed_since_the_page_was_opened_stays(installation):
    found = open_invitation(invite(installation.paul))
    User.objects.filter(pk=installation.paul.pk).update(is_active=False, is_staff=True)
    assert accept(found, CHOSEN, first_name="Nia")
    person = User.objects.get(pk=installation.paul.pk)
    assert (person.is_active, person.is_staff, person.first_name) == (False, True, "Nia")


def test_no_transaction_waits_for_a_hash(installation, monkeypatch):
    found, depths = open_invitation(invite(installation.paul)), []
    before = len(connection.savepoint_ids)
    monkeypatch.setattr(User, "set_password", lambda person, password: depths.append(len(connection.savepoint_ids)))
    assert accept(found, CHOSEN)
    assert depths == [before]


@pytest.mark.parametrize("end", ["expired", "inactive"])
def test_a_link_that_ended_is_closed(installation, end) -> None:
    key = invite(installation.paul)
    if end == "expired":
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        User.objects.filter(pk=installation.paul.pk).update(is_active=False)
    assert open_invitation(key) is None
    assert Client().post(f"{OPEN}?key={key}", FORM).status_code == 404
    assert User.objects.get(pk=installation.paul.pk).check_password(PASSWORD)


def test_only_the_hash_is_stored(installation, as_root) -> None:
    key = made(as_root).partition("key=")[2]
    assert key not in str(list(Invitation.objects.values()))
    assert not AuditEntry.objects.filter(note__contains=key).exists()


def test_a_weak_password_is_refused_in_place(installation, as_root) -> None:
    link = made(as_root)
    page = Client().post(link, FORM | {"new_password1": "12345", "new_password2": "12345"})
    assert "too short" in page.content.decode()
    assert Client().post(link, FORM).status_code == 302


def test_only_superusers_invite(installation, as_mia) -> None:
    assert as_mia.get(NEW).status_code == 403
    assert as_mia.post(NEW, {"email": "nia@example.com"}).status_code == 403
    assert not User.objects.filter(email="nia@example.com").exists()


@pytest.mark.parametrize("email", ["", "nobody", "gone@example.com"])
def test_what_can_not_be_invited_is_said(installation, as_root, email) -> None:
    User.objects.create_user("gone@example.com", is_active=False)
    assert as_root.post(NEW, {"email": email}).context["errors"]["email"]
    assert not Invitation.objects.exists()


def test_guesses_are_bounded(installation, settings) -> None:
    settings.SIGN_IN_TRIES = 1
    client = Client()
    assert [client.get(f"{OPEN}?key=guess-{n}").status_code for n in range(8)] == [404] * 6 + [429] * 2
