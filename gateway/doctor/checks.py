"""The checks of ``manage.py doctor``, in order: each yields findings, with what to do about them.

A check reads; it changes nothing and calls no model. What it needs and can't reach is a finding of its own.
"""

from collections.abc import Collection, Iterator
from typing import Final

import redis
from django.db import DatabaseError

from gateway.doctor import account_checks, server_checks, usage_checks
from gateway.doctor.findings import ERROR, OK, Check, Finding

CHECKS: Final[tuple[tuple[str, Check], ...]] = (
    ("settings", server_checks.check_settings),
    ("database", server_checks.check_database),
    ("clock", server_checks.check_clock),
    ("redis", server_checks.check_redis),
    ("disk", server_checks.check_disk),
    ("keys", account_checks.check_keys),
    ("egress", account_checks.check_egress),
    ("rules", account_checks.check_rules),
    ("prices", account_checks.check_prices),
    ("models", account_checks.check_models),
    ("offers", account_checks.check_offers),
    ("exports", usage_checks.check_exports),
    ("sums", usage_checks.check_sums),
    ("partitions", usage_checks.check_partitions),
    ("narrowed models", account_checks.check_narrowed),
    ("targets", account_checks.check_targets),
)
NEEDS_DATABASE: Final = frozenset(
    {
        *("database", "clock", "keys", "egress", "rules", "prices", "models", "offers"),
        *("exports", "sums", "partitions", "narrowed models", "targets"),
    }
)


def examine(leave_out: Collection[str] = ()) -> Iterator[Finding]:
    """Run the checks in order, without some by name; one that is well yields one finding that says so."""
    without_database = False
    for name, check in CHECKS:
        if name in leave_out or (without_database and name in NEEDS_DATABASE):
            continue
        try:
            found = list(check())
        except DatabaseError as error:
            without_database = True
            found = [
                Finding(
                    name,
                    ERROR,
                    f"The database can't be used ({type(error).__name__}).",
                    "Check DATABASE_URL, or the folder of GATEHOUSE_DATA_DIR; run manage.py migrate.",
                )
            ]
        except (redis.RedisError, OSError) as error:
            found = [Finding(name, ERROR, f"It can't be reached ({type(error).__name__}).", "Check REDIS_URL.")]
        yield from found or [Finding(name, OK, "All is well.")]
