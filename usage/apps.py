from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class UsageConfig(AppConfig):
    name = "usage"
    verbose_name = "Observe"

    def ready(self) -> None:
        connection_created.connect(add_percentiles, dispatch_uid="usage.percentiles")


def add_percentiles(connection: Any, **kwargs: Any) -> None:
    """Give a new connection to SQLite the aggregate that PostgreSQL has."""
    if connection.vendor == "sqlite":
        from usage.metric_query import SqlitePercentile  # models can't be imported before all apps are there

        connection.connection.create_aggregate("PERCENTILE", 2, SqlitePercentile)
