"""The tokens of the directory, and the callers behind them."""

from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.caller import Caller
from accounts.models import ApiToken

DEAD_TOKEN_DAYS = 90


def _token_rows() -> QuerySet[ApiToken]:
    forgotten = timezone.now() - timedelta(days=DEAD_TOKEN_DAYS)
    rows = ApiToken.objects.filter(Q(revoked_at=None) | Q(revoked_at__gt=forgotten))
    rows = rows.select_related("user", "virtual_account", "virtual_account__team")
    return rows.prefetch_related("user__memberships__team")


def caller_of(token: ApiToken) -> Caller:
    """Return the snapshot of a token's holder. Expects user, virtual account and memberships to be fetched."""
    state = "revoked" if token.revoked_at else "active"
    expires_at = token.expires_at.timestamp() if token.expires_at else None
    common: dict[str, Any] = {
        "token_id": token.pk,
        "prefix": token.prefix,
        "limits": frozenset(token.limits) or None,
        "expires_at": expires_at,
    }
    if token.user is not None:
        memberships = list(token.user.memberships.all())
        return Caller(
            subject_type="user",
            subject_id=token.user.pk,
            subject_name=token.user.email,
            principals=frozenset({f"user:{token.user.pk}", "everyone", *(f"team:{m.team_id}" for m in memberships)}),
            is_superuser=token.user.is_superuser,
            teams=tuple(sorted(m.team.name for m in memberships)),
            team_keys=tuple(sorted(f"team:{m.team_id}" for m in memberships)),
            tags={},
            state=state if token.user.is_active else "disabled",
            **common,
        )
    virtual_account = token.virtual_account
    assert virtual_account is not None  # the table's constraint: a token belongs to one of the two
    team = virtual_account.team
    return Caller(
        subject_type="virtualaccount",
        subject_id=virtual_account.pk,
        subject_name=virtual_account.name,
        principals=frozenset({f"virtualaccount:{virtual_account.pk}"}),
        is_superuser=False,
        teams=(team.name,) if team else (),
        team_keys=(f"team:{team.pk}",) if team else (),
        tags=virtual_account.tags,
        state=state if virtual_account.enabled else "disabled",
        **common,
    )
