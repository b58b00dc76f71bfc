"""The CPU time of rate limits and budgets alone: ``python -m benchmarks.limits [REDIS_URL]``. Microseconds a call.

A call is admitted, settled and released, as in the pipeline, with everything that comes before and after left out. The
rows: no rule; three limits and two budgets; the same among 10,000 rules for others. With an address of Redis, the same
there, with the time that the round trip takes.
"""

import asyncio
import os
import sys
import tempfile

import django


def main() -> None:
    """Measure and print."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "gateway.settings")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["GATEHOUSE_DATA_DIR"] = folder
        django.setup()
        from benchmarks.limit_calls import measure  # needs Django set up

        asyncio.run(measure(sys.argv[1] if len(sys.argv) > 1 else ""))


if __name__ == "__main__":
    main()
