"""The Celery task that looks at all alerts. Running it twice does no harm."""

from celery import shared_task

from alerts import rounds


@shared_task(name="alerts.evaluate")
def evaluate() -> int:
    """Look at every alert, unless another process has done so just before."""
    return rounds.evaluate()
