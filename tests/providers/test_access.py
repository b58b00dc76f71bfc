"""Who may edit an account: through a grant of one's own, of a team, of everyone, or as a superuser."""

import pytest
from django.contrib.auth.models import AnonymousUser

from accounts.models import Membership, Team, User, VirtualAccount
from providers.models import Grant, ProviderAccount
from providers.permissions import accounts_managed_by

pytestmark = pytest.mark.django_db


@pytest.fixture
def account():
    return ProviderAccount.objects.create(name="openai-main")


@pytest.fixture
def user():
    return User.objects.create_user("ana@example.com")


def managed(user):
    return [account.name for account in accounts_managed_by(user)]


def test_nobody_manages_without_a_grant(account, user):
    assert managed(user) == []


def test_a_grant_of_ones_own(account, user):
    ProviderAccount.objects.create(name="other")
    Grant.objects.create(account=account, user=user, role=Grant.Role.MANAGER)
    assert managed(user) == ["openai-main"]
    assert managed(User.objects.create_user("bo@example.com")) == []


def test_a_grant_through_a_team_ends_with_the_membership(account, user):
    team = Team.objects.create(name="eng")
    Grant.objects.create(account=account, team=team, role=Grant.Role.MANAGER)
    assert managed(user) == []
    membership = Membership.objects.create(team=team, user=user)
    assert managed(user) == ["openai-main"]
    membership.delete()
    assert managed(user) == []


def test_a_grant_for_everyone(account, user):
    Grant.objects.create(account=account, everyone=True, role=Grant.Role.MANAGER)
    assert managed(user) == ["openai-main"]


def test_callers_and_virtual_accounts_do_not_manage(account, user):
    Grant.objects.create(account=account, user=user, role=Grant.Role.USER)
    Grant.objects.create(account=account, everyone=True, role=Grant.Role.USER)
    Grant.objects.create(
        account=account, virtual_account=VirtualAccount.objects.create(name="app"), role=Grant.Role.MANAGER
    )
    assert managed(user) == []


def test_an_account_is_listed_once_however_many_grants_lead_to_it(account, user):
    team = Team.objects.create(name="eng")
    Membership.objects.create(team=team, user=user)
    for subject in ({"user": user}, {"team": team}, {"everyone": True}):
        Grant.objects.create(account=account, role=Grant.Role.MANAGER, **subject)
    assert managed(user) == ["openai-main"]


def test_superusers_manage_all_unless_inactive(account):
    root = User.objects.create_superuser("root@example.com")
    assert managed(root) == ["openai-main"]
    root.is_active = False
    assert managed(root) == []


def test_a_visitor_who_has_not_signed_in_manages_nothing(account):
    assert managed(AnonymousUser()) == []


def test_an_inactive_user_manages_nothing(account, user):
    Grant.objects.create(account=account, user=user, role=Grant.Role.MANAGER)
    user.is_active = False
    assert managed(user) == []


def test_the_question_costs_one_query(account, user, django_assert_num_queries):
    with django_assert_num_queries(1):
        managed(user)
