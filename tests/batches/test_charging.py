"""Lines of a batch are charged once, also when the provider says another end of the batch the next time."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from batches import charging
from gateway.models import OwnedObject
from tests.support.usage_factory import attempt
from usage import rows
from usage.models import UsageRecord
from usage.records import AttemptRecord


@pytest.mark.django_db
def test_what_is_stored_is_not_handed_over_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two times of one id might be in two partitions of the records, whose keys know nothing of each other."""
    made = datetime(2026, 11, 1, tzinfo=UTC)
    row = OwnedObject(account_name="openai-main", object_id="batch_1", created_at=made, data={})
    lines = [
        attempt(attempt_id=charging.line_id(row, str(number)), started_at=int(made.timestamp() * 10**6))
        for number in range(3)
    ]
    charging._store(row, lines[:2])
    given, stored = list[AttemptRecord](), rows.store

    def store(encoded: list[bytes], *args: Any) -> list[bytes]:
        given.extend(msgspec.json.decode(line, type=AttemptRecord) for line in encoded)
        return stored(encoded, *args)

    monkeypatch.setattr(charging.rows, "store", store)
    charging._store(row, [msgspec.structs.replace(line, started_at=line.started_at + 86_400 * 10**6) for line in lines])
    assert [record.attempt_id for record in given] == [lines[2].attempt_id]
    assert UsageRecord.objects.count() == 3
