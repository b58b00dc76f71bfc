"""Announces deletions and records them in the audit log, cascades included.

Django sends ``pre_delete`` for each row, inside the deleting transaction and before the first row goes: who a grant was
for can still be looked up then, which it can't in ``post_delete`` of a grant that goes with its user.
"""

from typing import Any

from django.db.models.signals import pre_delete
from django.dispatch import receiver

from accounts import audit
from accounts.changes import Announced


@receiver(pre_delete, dispatch_uid="gatehouse_announce_deletion")
def announce_deletion(sender: type[Any], instance: Any, using: str, **kwargs: Any) -> None:
    """Write a deletion of an announced model into the feed."""
    if issubclass(sender, Announced):
        instance.announce(using)
        origin = kwargs.get("origin")
        cascaded = origin is not instance and getattr(origin, "model", None) is not sender
        if sender.audited_in_cascades or not cascaded:
            audit.removed(instance, using)
