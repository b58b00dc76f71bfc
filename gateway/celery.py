"""The Celery application: work that finishes later. Its schedule is here, its tasks are in the apps' ``tasks`` modules.

Without a broker of its own it runs inside ``manage.py serve`` (``gateway.server.embedded_celery``); with Redis or
RabbitMQ run ``celery -A gateway worker`` and ``celery -A gateway beat``.
"""

import os

from celery import Celery
from celery.schedules import crontab
from django.conf import settings

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")

HOUR_SECONDS = 3600.0
DAY_SECONDS = 86_400.0
BACKGROUND_SECONDS = 5.0
OFFERS_SECONDS = 60.0
QUEUE = "gatehouse"
EMBEDDED = settings.CELERY_BROKER_URL.startswith("memory:")

app = Celery("gatehouse")
app.conf.update(
    broker_url=settings.CELERY_BROKER_URL,
    broker_connection_retry_on_startup=True,
    broker_transport_options={"polling_interval": 0.2} if EMBEDDED else {},
    task_default_queue=QUEUE,
    task_ignore_result=True,
    task_serializer="json",
    accept_content=["json"],
    timezone="UTC",
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    worker_enable_remote_control=False,
    worker_prefetch_multiplier=1,
    # Every entry runs at short intervals or at a time of day, so nothing needs to be remembered between starts.
    beat_scheduler="gateway.jobs.clock:Clock",
    # Nothing expires: that would compare the clock's host with the worker's. What piled up is skipped
    # (``batches.tasks``).
    beat_schedule={
        "sweep": {"task": "batches.sweep", "schedule": settings.JOB_SWEEP_SECONDS},
        "notify": {"task": "batches.notify", "schedule": settings.JOB_SWEEP_SECONDS},
        "alerts": {"task": "alerts.evaluate", "schedule": settings.ALERT_SECONDS},
        "exports": {"task": "batches.exports", "schedule": HOUR_SECONDS},
        "offers": {"task": "batches.offers", "schedule": OFFERS_SECONDS},
        "tidy": {"task": "batches.tidy", "schedule": HOUR_SECONDS},
        "budgets": {"task": "batches.check_budgets", "schedule": crontab(hour="3", minute="20")},
    },
)
if not EMBEDDED:  # the server looks after these itself (``gateway.jobs.table.poller``)
    app.conf.beat_schedule["background"] = {"task": "batches.background", "schedule": BACKGROUND_SECONDS}
app.autodiscover_tasks()
