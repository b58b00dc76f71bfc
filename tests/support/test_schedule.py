"""The tests' own schedule."""

from pathlib import Path

from tests.support.schedule import BY_DATABASE, LONGEST, share

TESTS = Path(__file__).resolve().parents[1]


def test_it_names_files_that_are_there() -> None:
    assert [file for file in (*LONGEST, *BY_DATABASE) if not (TESTS / file).is_file()] == []
    assert set(BY_DATABASE) <= set(LONGEST)
    assert len(set(LONGEST)) == len(LONGEST)


def test_a_worker_gets_a_file_or_its_tests_on_one_database() -> None:
    assert share("tests/test_roles.py::test_a[sqlite-member]") == "tests/test_roles.py on sqlite"
    assert share("tests/test_roles.py::test_a[postgresql]") == "tests/test_roles.py on postgresql"
    assert share("tests/test_roles.py::test_every_place_has_a_row") == "tests/test_roles.py"
    assert share("tests/usage/test_report.py::test_a[sqlite]") == "tests/usage/test_report.py"
