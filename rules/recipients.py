"""Whom a team's manager may notify of a budget: people of this installation. Only superusers name channels."""

from collections.abc import Iterator
from typing import Any

from accounts.models import User


def others_among(alerts: Any, before: Any) -> Iterator[str]:
    """Yield what is wrong with targets of a budget's ``alerts`` for one who is no superuser: a named channel, and an
    address that is no active user's. What a target named ``before``, when a superuser set it, may stay.
    """
    kept_channels, kept_addresses = _named(before)
    channels, addresses = _named(alerts)
    channels -= kept_channels
    if channels:
        yield (
            f"Only superusers send notices to channels: {', '.join(sorted(channels))}. "
            "Ask one to add the channel, or name people by 'to_emails'."
        )
    addresses -= kept_addresses
    there = User.objects.filter(is_active=True, email__in={form for one in addresses for form in (one, one.lower())})
    known = {email.lower() for email in there.values_list("email", flat=True)}
    unknown = sorted(address for address in addresses if address.lower() not in known)
    if unknown:
        yield (
            f"These addresses are no active user's here: {', '.join(unknown)}. Name people of this installation, or "
            "ask a superuser to add the address."
        )


def _named(alerts: Any) -> tuple[set[str], set[str]]:
    """Return the channels and the addresses that targets of alerts name, however they are written."""
    targets = alerts.get("notification_target") if isinstance(alerts, dict) else None
    found = [target for target in targets if isinstance(target, dict)] if isinstance(targets, list) else []
    channels = {str(target["notification_channel"]) for target in found if target.get("notification_channel")}
    lists = [target["to_emails"] for target in found if isinstance(target.get("to_emails"), list)]
    return channels, {str(address) for addresses in lists for address in addresses}
