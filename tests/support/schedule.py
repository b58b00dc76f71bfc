"""How ``make test`` shares the tests out to its workers: the longest files first, and each file to one worker.

pytest-xdist begins with the files of most tests; those of few tests that take long would then keep one worker busy
while the others have nothing left to do.
"""

import re

import pytest
from xdist.scheduler import LoadFileScheduling

LONGEST = (
    "test_roles.py",
    "gateway/policies/test_limits.py",
    "test_canary.py",
    "providers/test_key_races.py",
    "gateway/server/test_operations.py",
    "accounts/test_sign_in.py",
    "batches/test_own_files.py",
    "gateway/telemetry/test_exporter.py",
    "batches/test_managed.py",
    "gateway/server/test_start_and_stop.py",
    "gateway/management/test_demo.py",
    "gateway/routing/test_virtual_models.py",
    "gateway/directory/test_changes.py",
    "gateway/telemetry/test_traces.py",
    "batches/test_crashes.py",
    "gateway/server/test_outages.py",
    "gateway/doctor/test_doctor.py",
    "gateway/pipeline/test_answer_kinds.py",
    "gateway/policies/test_limits_outage.py",
    "gateway/objects/test_cross_tenant.py",
    "gateway/endpoints/test_idempotency.py",
    "batches/test_batches.py",
    "gateway/pipeline/test_usage_records.py",
    "console/test_accessibility.py",
    "console/test_provider_accounts.py",
    "gateway/objects/test_responses_ownership.py",
    "usage/test_request_log.py",
    "gateway/pipeline/test_left_calls.py",
    "gateway/realtime/test_calls.py",
    "console/test_out_of_range_queries.py",
    "usage/test_sums_races.py",
    "usage/test_sums.py",
    "usage/test_spend.py",
    "usage/test_partitioning.py",
    "gateway/endpoints/test_codex.py",
    "console/test_browser.py",
    "console/test_speed.py",
    "test_clients_page.py",
    "batches/test_refused_keys.py",
    "batches/test_clocks.py",
    "gateway/pipeline/test_sign_in.py",
    "gateway/pipeline/test_errors_upstream.py",
    "gateway/realtime/test_records.py",
    "gateway/realtime/test_limits.py",
    "gateway/call/test_errors_request.py",
    "gateway/realtime/test_responses_socket.py",
    "gateway/access/test_aliases.py",
    "gateway/jobs/test_responses_background.py",
    "gateway/server/test_placement.py",
    "gateway/server/test_time_bounds.py",
    "gateway/directory/test_many_changes.py",
    "gateway/telemetry/test_prometheus.py",
)
"""The files under ``tests/`` that take twenty seconds or more, about in this order (``--durations`` says)."""

# Their fixtures make an installation for each of the two databases: two workers may have one each.
BY_DATABASE = (
    "test_roles.py",
    "test_canary.py",
    "providers/test_key_races.py",
    "accounts/test_sign_in.py",
    "gateway/directory/test_changes.py",
    "gateway/endpoints/test_idempotency.py",
)
DATABASE = re.compile(r"\[(sqlite|postgresql)\b")


class LongestFirst(LoadFileScheduling):
    """Keeps the order that :func:`in_order` made, and gives a file's two databases to any two workers."""

    def _split_scope(self, nodeid: str) -> str:
        return share(nodeid)


def share(nodeid: str) -> str:
    """Return the name of what a worker gets whole: a file, or a file's tests on one database."""
    file = nodeid.partition("::")[0]
    database = DATABASE.search(nodeid)
    return f"{file} on {database[1]}" if database and file.removeprefix("tests/") in BY_DATABASE else file


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Return the tests with the longest files first, otherwise as they were."""
    place = {f"tests/{file}": number for number, file in enumerate(LONGEST)}
    return sorted(items, key=lambda item: place.get(item.nodeid.partition("::")[0], len(LONGEST)))
