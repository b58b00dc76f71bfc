"""What a change elsewhere means for jobs."""

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from gateway.jobs.pauses import resume_account
from providers.models import ProviderAccount


@receiver(post_save, sender=ProviderAccount)
def resume(instance: ProviderAccount, **kwargs: Any) -> None:
    """Let jobs go on that waited for a change of the saved account."""
    resume_account(instance.name)
