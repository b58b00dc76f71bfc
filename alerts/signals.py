"""What the end of an alert means for its incidents."""

from typing import Any

from django.db.models.signals import pre_delete
from django.dispatch import receiver

from accounts.database_clock import database_now
from alerts import rounds
from alerts.models import Alert


@receiver(pre_delete, sender=Alert)
def end_incidents(instance: Alert, **kwargs: Any) -> None:
    """Announce the ends of what was announced as open, before it goes with its alert."""
    now = database_now()
    for incident in instance.incidents.filter(ended_at=None):
        rounds.end(instance, incident, now)
