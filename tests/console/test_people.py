"""Users and teams in the console."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import reverse

from accounts.changes import Change
from accounts.models import Team, User
from tests.console.conftest import PASSWORD, form_data

LIST = "/admin/accounts/user/"


def test_a_user_is_added_by_email_with_or_without_a_password(installation, as_root, client):
    data = {"email": "New@Example.com", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert as_root.post(f"{LIST}add/", data).status_code == 302
    assert User.objects.get(email="new@example.com").check_password(PASSWORD)
    assert as_root.post(f"{LIST}add/", {"email": "sso@example.com", "usable_password": "false"}).status_code == 302
    assert not User.objects.get(email="sso@example.com").has_usable_password()


def test_an_address_is_taken_once_whatever_its_case(installation, as_root):
    data = {"email": "MIA@example.com", "usable_password": "false"}
    response = as_root.post(f"{LIST}add/", data)
    assert "email" in response.context["adminform"].form.errors


def test_no_page_shows_anything_of_a_password(installation, as_root):
    page = as_root.get(f"{LIST}{installation.mia.pk}/change/").content.decode()
    assert installation.mia.password.split("$")[1] not in page
    assert "../password/" in page
    assert as_root.get(LIST, {"password__startswith": "m"}).status_code == 400


def test_a_password_is_changed_by_a_superuser(installation, as_root):
    address = reverse("admin:auth_user_password_change", args=[installation.paul.pk])
    changed = "another-Long-word-9"
    data = {"password1": changed, "password2": changed, "usable_password": "true"}
    assert as_root.post(address, data).status_code == 302
    installation.paul.refresh_from_db()
    assert installation.paul.check_password(changed)


def test_people_change_their_own_password(installation, as_mia):
    changed = "another-Long-word-9"
    data = {"old_password": PASSWORD, "new_password1": changed, "new_password2": changed}
    assert as_mia.post(reverse("admin:password_change"), data).status_code == 302
    installation.mia.refresh_from_db()
    assert installation.mia.check_password(changed)


@pytest.mark.parametrize("field", ["is_superuser", "is_active"])
def test_the_last_superuser_stays(installation, as_root, field):
    address = f"{LIST}{installation.root.pk}/change/"
    data = form_data(as_root.get(address))
    del data[field]
    response = as_root.post(address, data)
    assert "last active superuser" in str(response.context["adminform"].form.errors)
    User.objects.create_superuser("second@example.com", PASSWORD)
    assert as_root.post(address, data).status_code == 302


def test_nobody_deletes_themselves(installation, as_root):
    as_root.post(f"{LIST}{installation.root.pk}/delete/", {"post": "yes"})
    selected = {
        "action": "delete_selected",
        "_selected_action": [installation.root.pk, installation.paul.pk],
        "post": "yes",
        "index": 0,
    }
    as_root.post(LIST, selected)
    assert set(User.objects.values_list("email", flat=True)) >= {"root@example.com", "paul@example.com"}
    assert as_root.post(f"{LIST}{installation.paul.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=installation.paul.pk).exists()


def test_switching_a_user_off_reaches_the_workers(installation, as_root):
    Change.objects.all().delete()
    address = f"{LIST}{installation.paul.pk}/change/"
    data = form_data(as_root.get(address))
    del data["is_active"]
    assert as_root.post(address, data).status_code == 302
    assert Change.objects.filter(kind="accounts.user", object_id=installation.paul.pk).exists()


def test_everyone_is_no_team_name(installation, as_root):
    data = {"name": "everyone", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    response = as_root.post("/admin/accounts/team/add/", data)
    assert "already means all users" in str(response.context["adminform"].form.errors)
    assert as_root.post("/admin/accounts/team/add/", data | {"name": "research"}).status_code == 302
    assert Team.objects.filter(name="research").exists()


def test_a_member_is_in_a_team_once(installation, as_root):
    address = f"/admin/accounts/team/{installation.mine['team'].pk}/change/"
    data = form_data(as_root.get(address))
    total = int(data["memberships-TOTAL_FORMS"])
    again = {f"memberships-{total}-user": installation.paul.pk, f"memberships-{total}-role": "member"}
    response = as_root.post(address, data | {"memberships-TOTAL_FORMS": total + 1} | again)
    assert response.status_code == 200
    assert "duplicate" in response.content.decode()


def test_the_log_tells_superusers_who_changed_what(installation, as_root, as_mia):
    address = reverse("admin:accounts_team_change", args=[installation.mine["team"].pk])
    as_mia.post(address, form_data(as_mia.get(address)) | {"display_name": "Mine"})
    page = as_root.get(reverse("admin:accounts_auditentry_changelist")).content.decode()
    assert "mia@example.com" in page
    assert "mia@example.com changed team mine-team: display name: Mine" in page


def test_groups_are_not_there():
    assert not admin.site.is_registered(Group)


def test_a_page_that_is_not_there_is_a_404(installation, as_root):
    response = as_root.get("/admin/accounts/team/99999/change/")
    assert response.status_code == 404
