"""Days of usage as files in a store of the operator's, S3 for example: each written once its day is over, and again
when its sums change, because records came late or were rated again.

What is due follows from the sums by the hour, so a round that finds nothing reads a few rows. A file is claimed while
it is written; writing one twice makes the same file. A day of which retention deleted something is not written again.
"""

import gzip
import logging
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import IO, Any, Final, cast

from django.conf import settings
from django.core.files import File
from django.core.files.storage import storages
from django.db import DatabaseError
from django.db.models import Q, Sum

from accounts.database_clock import database_now
from usage.export_formats import write
from usage.folding import sealed_until
from usage.models import ExportedFile, UsageSum
from usage.sums_table import MODELS, NEW

logger = logging.getLogger("usage")

ALIAS: Final = "exports"
WAIT: Final = timedelta(hours=1)
"""How long after a day's end it is written: what waits in a spool is in the database by then."""
CLAIM: Final = timedelta(hours=2)
STATE: Final = ("attempts", "unpriced", "input_tokens", "output_tokens", "cost_high", "cost_low")
NAMES: Final = {
    "csv": "records/day={}/records.csv.gz",
    "jsonl": "records/day={}/records.jsonl.gz",
    "focus": "focus/day={}/focus.csv.gz",
    "parquet": "records/day={}/records.parquet",
}
"""What the file of a day is called in each form; ``day=`` is what query engines find partitions by."""


def days(now: datetime) -> list[date]:
    """Return the days that are kept exported, oldest first."""
    last = (now - WAIT).astimezone(UTC).date() - timedelta(days=1)
    return [last - timedelta(days=number) for number in reversed(range(settings.EXPORT_DAYS))]


def due(now: datetime) -> Iterator[tuple[str, date, str]]:
    """Yield what is to be written: form, day, and the state of the day's sums."""
    wanted = days(now)
    known = dict(ExportedFile.objects.filter(day__in=wanted).values_list("name", "state"))
    sealed = sealed_until()
    for day in wanted:
        if sealed is not None and _began(day) < sealed:
            continue
        state = _state(day)
        for form in settings.EXPORT_FORMATS:
            before = known.get(NAMES[form].format(day), "")
            if before != state and _attempts(state) >= max(1, _attempts(before)):
                yield form, day, state


def _attempts(state: str) -> int:
    return int(state.partition("/")[0] or 0)


def failed(now: datetime) -> list[ExportedFile]:
    """Return the files of present days that could not be written last, oldest first."""
    return list(ExportedFile.objects.filter(day__gte=days(now)[0]).exclude(fault="").order_by("day", "name"))


def _state(day: date) -> str:
    """Return the sums of a day as text; empty where there was nothing."""
    began = _began(day)
    in_day = UsageSum.objects.filter(bucket__gte=began, bucket__lt=began + timedelta(days=1))
    sums = in_day.filter(part__in=(MODELS.days, NEW)).aggregate(**{name: Sum(name) for name in STATE})
    return "/".join(str(int(sums[name])) for name in STATE) if sums["attempts"] else ""


def _began(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def run(written: Callable[[ExportedFile], None] = lambda file: None) -> tuple[int, int]:
    """Write what is due; return how many files were written, and how many could not be.

    ``written`` is called with each. Raises ``django.db.Error`` when the database is unavailable.
    """
    done = faults = 0
    for form, day, state in list(due(database_now())):
        file = _claimed(form, day)
        if file is None:
            continue
        try:
            file.rows, file.size = _export(file)
            file.state, file.fault, file.exported_at = state, "", database_now()
            done += 1
        except DatabaseError:
            raise
        except Exception as error:  # each storage has errors of its own
            logger.error("%s can't be exported: %s: %s", file.name, type(error).__name__, error)
            file.fault = f"{type(error).__name__}: {error}"[:300]
            faults += 1
        file.claimed_until = None
        file.save()
        written(file)
    return done, faults


def _claimed(form: str, day: date) -> ExportedFile | None:
    """Return the row of a file, for this worker alone; ``None`` while another one writes it."""
    name, now = NAMES[form].format(day), database_now()
    ExportedFile.objects.get_or_create(name=name, defaults={"day": day, "form": form})
    free = ExportedFile.objects.filter(Q(claimed_until=None) | Q(claimed_until__lt=now), name=name)
    return ExportedFile.objects.get(name=name) if free.update(claimed_until=now + CLAIM) else None


def _export(file: ExportedFile) -> tuple[int, int]:
    """Write a file into the store; return its rows and its size. Raises whatever the store does."""
    storage, began = storages[ALIAS], _began(file.day)
    with tempfile.TemporaryFile(dir=settings.DATA_DIR) as draft:
        rows = _write(file, draft, began)
        size = draft.tell()
        draft.seek(0)
        if storage.get_available_name(file.name) != file.name:
            storage.delete(file.name)  # of storages that would keep both; others replace it at once
        storage.save(file.name, File(draft))
    return rows, size


def _write(file: ExportedFile, draft: IO[bytes], began: datetime) -> int:
    until = began + timedelta(days=1)
    if not file.name.endswith(".gz"):
        return write(file.form, draft, began, until)
    # No time and no name in it: the same records make the same file.
    with gzip.GzipFile(filename="", fileobj=draft, mode="wb", mtime=0) as packed:
        return write(file.form, cast("IO[bytes]", packed), began, until)


def forget(day: date) -> int:
    """Have a day's files written again; return how many there were."""
    return ExportedFile.objects.filter(day=day).update(state="")


def listed(limit: int) -> list[dict[str, Any]]:
    """Return the newest files, as JSON has them."""
    return [
        {
            "name": file.name,
            "day": file.day.isoformat(),
            "format": file.form,
            "rows": file.rows,
            "bytes": file.size,
            "exported_at": file.exported_at.isoformat() if file.exported_at else None,
            "fault": file.fault,
        }
        for file in ExportedFile.objects.order_by("-day", "name")[:limit]
    ]
