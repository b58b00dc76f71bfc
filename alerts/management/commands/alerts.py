"""``manage.py alerts``: what is watched, and what is wrong now."""

import json
from argparse import ArgumentParser
from typing import Any

from accounts.command import GatehouseCommand
from accounts.printable import printable
from alerts.models import Alert, Channel, Incident
from rules.models import BUDGET_FORMS, Rule
from rules.shape import is_delivered


class Command(GatehouseCommand):
    help = "List the alerts with their open incidents. The exit status is 0 whether there are any or not."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        for who, channel in _missing():
            self.stderr.write(f"{printable(who)} names the channel {printable(channel)}, which is not there.")
        found: dict[int, list[Incident]] = {}
        for incident in Incident.objects.filter(ended_at=None).order_by("id"):
            found.setdefault(incident.alert_id, []).append(incident)
        rows = [_row(alert, found.get(alert.pk, [])) for alert in Alert.objects.all()]
        if options["json"]:
            self.stdout.write(json.dumps(rows, ensure_ascii=False, indent=2))
            return
        for row in rows:
            silent = f", silent until {row['silenced_until']}" if row["silenced_until"] else ""
            off = "" if row["enabled"] else ", disabled"
            state = f"{len(row['incidents'])} open" if row["incidents"] else "fine"
            self.stdout.write(f"{row['name']} ({row['kind']}, {row['threshold']:g}): {state}{off}{silent}")
            for incident in row["incidents"]:
                self.stdout.write(f"  since {incident['opened_at']}: {printable(incident['said'])}")


def _missing() -> list[tuple[str, str]]:
    """Return which alerts and budgets name channels that are not there."""
    named = [(f"The alert {alert}", name) for alert in Alert.objects.all() for name in alert.channels]
    for rule in Rule.objects.filter(form__in=BUDGET_FORMS, effect__has_key="alerts"):
        targets = rule.effect["alerts"].get("notification_target", [])
        names = (target.get("notification_channel") for target in targets if is_delivered(target))
        named += [(f"The budget {rule}", name) for name in names if name]
    there = set(Channel.objects.values_list("name", flat=True))
    return [(who, name) for who, name in named if name not in there]


def _row(alert: Alert, incidents: list[Incident]) -> dict[str, Any]:
    return {
        "name": alert.name,
        "kind": alert.kind,
        "threshold": alert.threshold,
        "channels": alert.channels,
        "enabled": alert.enabled,
        "silenced_until": alert.silenced_until.isoformat() if alert.silenced_until else None,
        "incidents": [
            {
                "subject": incident.subject,
                "value": incident.value,
                "said": incident.said,
                "opened_at": incident.opened_at.isoformat(),
                "announced": incident.announced_at is not None,
            }
            for incident in incidents
        ],
    }
