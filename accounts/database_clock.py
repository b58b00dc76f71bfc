"""The database's clock: the one that all processes share.

A moment that one process stores and another compares with the present comes from here. Hosts' own clocks differ, by
minutes where one has lost its time server.
"""

from datetime import UTC, datetime

from django.db import DEFAULT_DB_ALIAS, connections

QUERIES = {
    "postgresql": "SELECT STATEMENT_TIMESTAMP()",
    "sqlite": "SELECT STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW')",
}


def database_now(using: str = DEFAULT_DB_ALIAS) -> datetime:
    """Return the present by the database's clock, in UTC. Raises ``django.db.Error`` when it is unavailable."""
    connection = connections[using]
    with connection.cursor() as cursor:
        cursor.execute(QUERIES[connection.vendor])
        (now,) = cursor.fetchone()
    return now.astimezone(UTC) if isinstance(now, datetime) else datetime.fromisoformat(now).replace(tzinfo=UTC)
