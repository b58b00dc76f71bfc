"""Users and teams in the console."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import reverse

from accounts.changes import Change
from accounts.models import Team, User
from tests.admin.conftest import PASSWORD, form_data

LIST = "/admin/accounts/user/"


def test_a_user_is_added_by_email_with_or_without_a_password(house, as_root, client):
    data = {"email": "New@Example.com", "usable_password": "true", "password1": PASSWORD, "password2": PASSWORD}
    assert as_root.post(f"{LIST}add/", data).status_code == 302
    assert User.objects.get(email="new@example.com").check_password(PASSWORD)
    assert as_root.post(f"{LIST}add/", {"email": "sso@example.com", "usable_password": "false"}).status_code == 302
    assert not User.objects.get(email="sso@example.com").has_usable_password()


def test_an_address_is_taken_once_whatever_its_case(house, as_root):
    data = {"email": "MIA@example.com", "usable_password": "false"}
    response = as_root.post(f"{LIST}add/", data)
    assert "email" in response.context["adminform"].form.errors


def test_no_page_shows_anything_of_a_password(house, as_root):
    page = as_root.get(f"{LIST}{house.mia.pk}/change/").content.decode()
    assert house.mia.password.split("$")[1] not in page
    assert "../password/" in page
    assert as_root.get(LIST, {"password__startswith": "m"}).status_code == 400


def test_a_password_is_changed_by_a_superuser(house, as_root):
    address = reverse("admin:auth_user_password_change", args=[house.paul.pk])
    changed = "another-Long-word-9"
    data = {"password1": changed, "password2": changed, "usable_password": "true"}
    assert as_root.post(address, data).status_code == 302
    house.paul.refresh_from_db()
    assert house.paul.check_password(changed)


def test_people_change_their_own_password(house, as_mia):
    changed = "another-Long-word-9"
    data = {"old_password": PASSWORD, "new_password1": changed, "new_password2": changed}
    assert as_mia.post(reverse("admin:password_change"), data).status_code == 302
    house.mia.refresh_from_db()
    assert house.mia.check_password(changed)


@pytest.mark.parametrize("field", ["is_superuser", "is_active"])
def test_the_last_superuser_stays(house, as_root, field):
    address = f"{LIST}{house.root.pk}/change/"
    data = form_data(as_root.get(address))
    del data[field]
    response = as_root.post(address, data)
    assert "last active superuser" in str(response.context["adminform"].form.errors)
    User.objects.create_superuser("second@example.com", PASSWORD)
    assert as_root.post(address, data).status_code == 302


def test_nobody_deletes_themselves(house, as_root):
    as_root.post(f"{LIST}{house.root.pk}/delete/", {"post": "yes"})
    selected = {
        "action": "delete_selected",
        "_selected_action": [house.root.pk, house.paul.pk],
        "post": "yes",
        "index": 0,
    }
    as_root.post(LIST, selected)
    assert set(User.objects.values_list("email", flat=True)) >= {"root@example.com", "paul@example.com"}
    assert as_root.post(f"{LIST}{house.paul.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not User.objects.filter(pk=house.paul.pk).exists()


def test_switching_a_user_off_reaches_the_workers(house, as_root):
    Change.objects.all().delete()
    address = f"{LIST}{house.paul.pk}/change/"
    data = form_data(as_root.get(address))
    del data["is_active"]
    assert as_root.post(address, data).status_code == 302
    assert Change.objects.filter(kind="accounts.user", object_id=house.paul.pk).exists()


def test_everyone_is_no_team_name(house, as_root):
    data = {"name": "everyone", "memberships-TOTAL_FORMS": 0, "memberships-INITIAL_FORMS": 0}
    response = as_root.post("/admin/accounts/team/add/", data)
    assert "already means all users" in str(response.context["adminform"].form.errors)
    assert as_root.post("/admin/accounts/team/add/", data | {"name": "research"}).status_code == 302
    assert Team.objects.filter(name="research").exists()


def test_a_member_is_in_a_team_once(house, as_root):
    address = f"/admin/accounts/team/{house.mine['team'].pk}/change/"
    data = form_data(as_root.get(address))
    total = int(data["memberships-TOTAL_FORMS"])
    again = {f"memberships-{total}-user": house.paul.pk, f"memberships-{total}-role": "member"}
    response = as_root.post(address, data | {"memberships-TOTAL_FORMS": total + 1} | again)
    assert response.status_code == 200
    assert "duplicate" in response.content.decode()


def test_the_log_tells_superusers_who_changed_what(house, as_root, as_mia):
    address = reverse("admin:accounts_team_change", args=[house.mine["team"].pk])
    as_mia.post(address, form_data(as_mia.get(address)) | {"display_name": "Mine"})
    page = as_root.get(reverse("admin:admin_logentry_changelist")).content.decode()
    assert "mia@example.com" in page
    assert "Changed Display name" in page


def test_groups_are_not_there():
    assert not admin.site.is_registered(Group)


def test_a_page_that_is_not_there_is_a_404(house, as_root):
    response = as_root.get("/admin/accounts/team/99999/change/")
    assert response.status_code == 404
