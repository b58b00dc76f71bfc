"""The page of promises names tests that there are."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text()


def test_every_named_test_is_there() -> None:
    named = set(re.findall(r"`(tests/[^`]+)`", PAGE))
    assert len(named) > 30
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_promise_names_a_test() -> None:
    promises = [row for row in PAGE.splitlines() if row.startswith("| ") and not row.startswith("| promise")]
    secrets = PAGE.index("Where secrets meet"), PAGE.index("## Who may do what")
    rows = [row for row in promises if not secrets[0] < PAGE.index(row) < secrets[1]]
    assert len(rows) >= 15
    assert [row for row in rows if "`tests/" not in row] == []
