"""What a user, a team, a virtual account or a token may call, as their pages show it."""

from typing import Any

from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.safestring import SafeString

from accounts.models import ApiToken, Team, User, VirtualAccount
from providers.access import Reach, principals_of, reach

SHOWN_MODELS = 12
SHOWN_ACCOUNTS = 40
GRANT_FIELDS = {User: "user", Team: "team", VirtualAccount: "virtual_account"}


def access_of(owner: Any) -> SafeString:
    """Return what ``owner`` may call and through what, with the reason where a team's access does not reach them."""
    found = reach(principals_of(owner))
    context = {
        "rows": [_row(entry) for entry in found[:SHOWN_ACCOUNTS]],
        "more": max(0, len(found) - SHOWN_ACCOUNTS),
        "notes": _notes(owner),
        "grant_link": _grant_link(owner),
    }
    return SafeString(render_to_string("console/access.html", context))


def example_of(owner: Any) -> dict[str, str]:
    """Return the ``model`` that an example for ``owner`` calls, and its ``types``: a chat model where they may call
    one; empty where they may call nothing.
    """
    models = [
        (f"{entry.account.name}/{model.name}", model) for entry in reach(principals_of(owner)) for model in entry.models
    ]
    chats = [row for row in models if "chat" in row[1].model_types]
    small = [row for row in chats if "mini" in row[0]]
    name, model = next(iter(small or chats or models), ("", None))
    return {"model": name, "types": " ".join(model.model_types) if model else ""}


def _row(entry: Reach) -> dict[str, Any]:
    names = [model.name for model in entry.models]
    return {
        "account": entry.account,
        "through": ", ".join(entry.through),
        "models": names[:SHOWN_MODELS],
        "more": max(0, len(names) - SHOWN_MODELS),
        "any": entry.account.any_model,
        "narrowed": entry.narrowed,
    }


def _grant_link(owner: Any) -> str:
    field = GRANT_FIELDS.get(type(owner))
    return f"{reverse('admin:providers_grant_add')}?{urlencode({field: owner.pk})}" if field else ""


def _notes(owner: Any) -> list[str]:
    if isinstance(owner, User) and not owner.is_active:
        return ["The user is inactive: every call is refused, whatever is granted."]
    if isinstance(owner, VirtualAccount):
        return _application_notes(owner)
    if isinstance(owner, Team):
        bots = list(owner.virtual_accounts.values_list("name", flat=True)[:SHOWN_MODELS])
        if bots:
            return [
                f"A team's access is for its people. Its virtual accounts ({', '.join(bots)}) are granted access one "
                f"by one, "
                "so that an application's key never opens more than the application needs."
            ]
    if isinstance(owner, ApiToken):
        notes = _application_notes(owner.virtual_account) if owner.virtual_account else []
        if owner.state != "active":
            notes.insert(0, f"The token is {owner.state}: every call with it is refused.")
        if owner.limits:
            notes.append(f"Narrowed by the token's limits: {', '.join(owner.limits)}.")
        return notes
    return []


def _application_notes(account: VirtualAccount) -> list[str]:
    notes = [] if account.enabled else ["It is disabled: every call is refused, whatever is granted."]
    team = account.team
    if team is not None:
        own = {entry.account.name for entry in reach(principals_of(account))}
        missing = [entry.account.name for entry in reach(principals_of(team)) if entry.account.name not in own]
        if missing:
            notes.append(
                f"Its team {team} may call {', '.join(missing)}, but that is for the team's people: virtual accounts "
                f"are granted "
                "access one by one."
            )
    return notes
