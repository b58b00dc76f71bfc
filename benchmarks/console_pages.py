"""Measures the console's pages over very many usage records: ``python -m benchmarks.console_pages``.

It starts a PostgreSQL of its own (the tests', from a wheel), or makes a SQLite file, fills it with made-up records,
makes their sums, and asks for pages several times, as a superuser, as the manager of two accounts and as a member. It
prints the least CPU time of each, the database's included. Nothing of an installation is touched; the data goes when it
ends, unless ``--folder`` says where it stays and is found again.

The made-up site: 1,000 callers of skewed activity in 40 teams, 60 models of 8 accounts of skewed popularity, calls
evenly over 90 days, two in a hundred failed, one in fifty a line of a batch.
"""

import argparse
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import django

from tests.support.servers import PostgresServer

LIMIT_MS: Final = 300
POSTGRES: Final = {
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "maintenance_work_mem": "512MB",
    "max_parallel_workers_per_gather": "0",
}
"""The server's settings beside the tests', which do not wait for the disk. One process answers a query, so its time is
the page's."""


def main() -> None:
    """Fill, measure, print."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.console_pages", description=__doc__.partition("\n")[0])
    asked.add_argument("--records", type=int, nargs="+", default=[1_000_000], help="how many, rising (1000000)")
    asked.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    asked.add_argument("--folder", type=Path, help="where the data stays; else a temporary one")
    options = asked.parse_args()
    with _folder(options.folder) as folder, _database(options.database, folder) as url:
        os.environ |= {"GATEHOUSE_DATA_DIR": str(folder / "gatehouse"), "GATEHOUSE_USAGE_METADATA_KEYS": "project"}
        os.environ |= {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "gateway.settings"}
        (folder / "gatehouse").mkdir(exist_ok=True)
        django.setup()
        from benchmarks.page_times import step  # needs Django set up

        steps = [step(count) for count in options.records]
        _print(options.records, steps)


@contextmanager
def _folder(given: Path | None) -> Iterator[Path]:
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="gatehouse-pages-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL runs as another user
        yield Path(folder)


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[str]:
    if kind == "sqlite":
        yield ""
        return
    server = PostgresServer(folder / "postgresql", **POSTGRES)
    server.start()
    try:
        yield f"{server.url}/postgres"
    finally:
        server.stop()


def _print(counts: list[int], steps: list[dict[tuple[str, str], float]]) -> None:
    """Print a table in Markdown: a column for each step, and what two steps come to at ten times as many."""
    print(f"| who | page | {' | '.join(f'{count:,}' for count in counts)} |")
    print(f"|---|---|{'---:|' * len(counts)}")
    for key in steps[0]:
        taken = [step[key] for step in steps]
        cells = " | ".join(f"**{took:.0f} ms**" if took > LIMIT_MS else f"{took:.0f} ms" for took in taken)
        print(f"| {key[0]} | `{key[1]}` | {cells} |")


if __name__ == "__main__":
    main()
