"""Who may see and change which provider accounts: object-level rules for the admin and the commands.

Calls are decided by the directory's snapshot; this is the same rule for pages that work on the tables.
"""

from django.db.models import Q, QuerySet

from accounts.models import User
from providers.models import Grant, ProviderAccount


def accounts_managed_by(user: User) -> "QuerySet[ProviderAccount]":
    """Return the accounts that ``user`` may edit: all for superusers, else those granted as manager.

    The role may be given to the user, to one of the user's teams, or to everyone. An inactive user manages nothing.
    """
    if not user.is_active:
        return ProviderAccount.objects.none()
    if user.is_superuser:
        return ProviderAccount.objects.all()
    return ProviderAccount.objects.filter(pk__in=_manager_grants(user).values("account_id"))


def _manager_grants(user: User) -> "QuerySet[Grant]":
    mine = Q(user=user) | Q(team__in=user.teams.all()) | Q(everyone=True)
    return Grant.objects.filter(mine, role=Grant.Role.MANAGER)
