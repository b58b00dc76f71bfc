"""Leases: of many processes one gets a job, whatever their clocks say, on both databases."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.fixtures import USER
from tests.support.installation import Installation, migrated_postgres_url
from tests.support.skewed import skewed

JOBS = 5
SKEW = 120.0


@pytest.fixture(params=["sqlite", "postgres"])
def installation(request: pytest.FixtureRequest, tmp_path: Path, migrated_data: Path) -> Iterator[Installation]:
    """An installation without a server, with some jobs that are due."""
    if request.param == "sqlite":
        made = Installation(tmp_path / "installation", migrated_data)
    else:
        made = Installation(tmp_path / "installation", None, {"DATABASE_URL": migrated_postgres_url()})
    with made:
        for number in range(JOBS):
            made.do("own", f"batch_{number}", "batch", "openai-main", USER)
            made.do("due_in", f"batch_{number}")
        yield made


def test_of_many_processes_one_gets_a_job(installation: Installation) -> None:
    """Also of those whose clocks are minutes ahead or behind: they neither take what is not due, nor what another
    has."""
    hosts = [installation, *(installation.elsewhere(skewed(seconds)) for seconds in (SKEW, -SKEW))]
    assert [round(host.do("times")["ahead"] / SKEW) for host in hosts] == [0, 1, -1]
    installation.do("due_in", "batch_0", SKEW / 2)
    with ThreadPoolExecutor(len(hosts)) as pool:
        claims = [pk for found in pool.map(lambda host: host.do("claim_together", 3), hosts) for pk in found]
    assert Counter(claims) == dict.fromkeys(set(claims), 1)
    assert len(claims) == JOBS - 1
    assert [host.do("claim_together", 2) for host in hosts] == [[], [], []]


def test_a_claim_that_ran_out_is_worth_nothing(installation: Installation) -> None:
    assert installation.do("steal_a_claim") == {"late": False, "renewed": "LeaseLost", "released": False}
