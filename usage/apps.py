from bisect import bisect_right
from functools import partial
from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class UsageConfig(AppConfig):
    name = "usage"
    verbose_name = "Observe"

    def ready(self) -> None:
        connection_created.connect(add_percentiles, dispatch_uid="usage.percentiles")


def add_percentiles(connection: Any, **kwargs: Any) -> None:
    """Give a new connection to SQLite the functions that PostgreSQL has."""
    if connection.vendor == "sqlite":
        from usage.metric_query import SqlitePercentile  # models can't be imported before all apps are there
        from usage.rollups import BOUNDS

        connection.connection.create_aggregate("PERCENTILE", 2, SqlitePercentile)
        connection.connection.create_function("DURATION_SLOT", 1, partial(bisect_right, BOUNDS), deterministic=True)
