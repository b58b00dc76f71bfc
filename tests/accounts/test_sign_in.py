"""Bounds on wrong passwords, in front of a real server, on both databases; and what they leave alone."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import servers
from tests.support.console_session import LOGIN, ConsoleSession
from tests.support.installation import ROOT, Gateway, Installation, migrated_postgres_url

PASSWORD = "an-Obvious-password-7"
WRONG = "not-the-password-7"
MIA, PAUL = "mia@example.com", "paul@example.com"
TRIES = 2
ENV = {
    "GATEHOUSE_SIGN_IN_TRIES": str(TRIES),
    "GATEHOUSE_TRUSTED_PROXIES": "127.0.0.0/8",
    "GATEHOUSE_BACKGROUND_POLL_SECONDS": "0",
}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def running(request, tmp_path_factory, migrated_data: Path) -> Iterator[Gateway]:
    postgres = request.param == "postgresql"
    env = {"REDIS_URL": servers.redis_url(), **({"DATABASE_URL": migrated_postgres_url()} if postgres else {})}
    folder = tmp_path_factory.mktemp("sign-in") / "data"
    with Installation(folder, None if postgres else migrated_data, ENV | env) as installation:
        for email in (MIA, PAUL):
            installation.do("person", email, PASSWORD, is_staff=True)
        yield installation.gateway("--workers", "2")


@pytest.fixture
def gateway(running: Gateway) -> Gateway:
    """The module's server, with nothing counted."""
    running.installation.do("manage", "unlock", "--all")
    return running


def tries(
    gateway: Gateway, password: str, email: str = MIA, address: str = "198.51.100.1", count: int = 1
) -> list[int]:
    """Return the statuses of so many sign-ins from an address: 302 in, 200 wrong, 429 refused."""
    with ConsoleSession(gateway.origin, headers={"x-forwarded-for": address}) as session:
        return [session.sign_in(email, password).status_code for _ in range(count)]


def test_after_some_wrong_passwords_the_right_one_has_to_wait(gateway: Gateway) -> None:
    assert tries(gateway, WRONG, count=TRIES + 2) == [200] * TRIES + [429] * 2
    assert tries(gateway, PASSWORD) == [429]
    with ConsoleSession(gateway.origin, headers={"x-forwarded-for": "198.51.100.1"}) as session:
        page = session.sign_in(MIA, PASSWORD)
    assert page.headers["retry-after"] == "900"
    assert "Too many wrong passwords or codes" in page.text
    assert "manage.py unlock" in page.text
    assert "errors.css" in page.text
    assert "Content-Security-Policy" in page.headers
    assert tries(gateway, PASSWORD, email=MIA.upper() + " ") == [429], "the same person in other letters"
    assert tries(gateway, PASSWORD, address="198.51.100.2") == [302], "someone else's tries lock no one out"
    assert tries(gateway, PASSWORD, email=PAUL) == [302]
    log = gateway.log
    assert f"{TRIES} failed sign-ins for one person from 198.51.100.1" in log
    assert not any(secret in log for secret in (WRONG, PASSWORD, MIA))


def test_the_right_password_forgets_the_wrong_ones(gateway: Gateway) -> None:
    for _ in range(2):
        assert tries(gateway, WRONG, count=TRIES - 1) == [200] * (TRIES - 1)
        assert tries(gateway, PASSWORD) == [302]


def test_many_at_once_are_no_more_tries(gateway: Gateway) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: tries(gateway, WRONG)[0], range(12)))
    assert sorted(answers) == [200] * TRIES + [429] * (12 - TRIES)


def test_an_address_is_bounded_over_all_people(gateway: Gateway) -> None:
    answers = [tries(gateway, WRONG, email=f"none-{number}@example.com")[0] for number in range(6 * TRIES + 1)]
    assert answers == [200] * (6 * TRIES) + [429]
    assert tries(gateway, PASSWORD) == [429]
    assert tries(gateway, PASSWORD, address="198.51.100.2") == [302]


def test_a_network_of_addresses_is_one(gateway: Gateway) -> None:
    answers = [tries(gateway, WRONG, address=f"2001:db8::{number}")[0] for number in range(1, TRIES + 2)]
    assert answers == [200] * TRIES + [429]
    assert tries(gateway, PASSWORD, address="2001:db8:0:1::1") == [302]


def test_a_person_is_bounded_over_all_addresses(gateway: Gateway) -> None:
    gateway.installation.do("wrong_passwords", MIA, "198.51.100.0/24", 20 * TRIES)
    assert tries(gateway, WRONG, address="203.0.113.1") == [429]
    assert tries(gateway, PASSWORD, email=PAUL, address="203.0.113.1") == [302]


def test_an_operator_ends_the_wait(gateway: Gateway) -> None:
    assert tries(gateway, WRONG, count=TRIES + 1)[-1] == 429
    installation = gateway.installation
    assert installation.do("manage", "unlock", PAUL) == "nothing to do: no failed sign-in is remembered\n"
    assert installation.do("manage", "unlock", MIA.upper()) == "unlocked\n"
    assert tries(gateway, PASSWORD) == [302]
    assert tries(gateway, WRONG, address="2001:db8::7", count=TRIES + 1)[-1] == 429
    assert installation.do("manage", "unlock", "--address", "2001:db8::9") == "unlocked\n"
    assert tries(gateway, PASSWORD, address="2001:db8::7") == [302]
    none, wrong = installation.command("unlock"), installation.command("unlock", "--address", "here")
    assert (none.returncode, wrong.returncode) == (2, 2)
    assert "'here' is not an IP address" in wrong.stderr


def test_the_old_password_is_asked_for_under_the_same_bounds(gateway: Gateway) -> None:
    page, address = "/admin/password_change/", {"x-forwarded-for": "198.51.100.1"}

    def change(session: ConsoleSession, old: str) -> int:
        fresh = {"new_password1": PASSWORD, "new_password2": PASSWORD}
        return session.post(page, session.form(page) | fresh | {"old_password": old}).status_code

    with ConsoleSession(gateway.origin, MIA, PASSWORD, headers=address) as session:
        for _ in range(2):  # the right one forgets the wrong ones
            assert [change(session, old) for old in (*[WRONG] * (TRIES - 1), PASSWORD)] == [200] * (TRIES - 1) + [302]
        assert [change(session, WRONG) for _ in range(TRIES + 1)] == [200] * TRIES + [429]
        assert change(session, PASSWORD) == 429
        assert tries(gateway, PASSWORD) == [429], "they are tries like those to sign in"
        gateway.installation.do("manage", "unlock", MIA)
        assert tries(gateway, WRONG, count=TRIES)[-1] == 200
        assert change(session, PASSWORD) == 429
        gateway.installation.do("manage", "unlock", MIA)
        assert change(session, PASSWORD) == 302
    assert tries(gateway, PASSWORD) == [302]


def test_no_page_looks_at_a_password_by_itself() -> None:
    """Whatever asks for one asks ``accounts.sign_in``, which counts the tries. A command's operator may do anything."""
    packages = ("accounts", "batches", "console", "gateway", "providers", "rules", "usage")
    files = [path for package in packages for path in (ROOT / package).rglob("*.py")]
    found = [path for path in files if "check_password(" in path.read_text() and "commands" not in path.parts]
    assert len(files) > 300
    assert found == []


def test_tokens_and_sessions_go_on(gateway: Gateway) -> None:
    token = gateway.token("mia", user=MIA)
    with ConsoleSession(gateway.origin, MIA, PASSWORD, headers={"x-forwarded-for": "198.51.100.1"}) as session:
        assert tries(gateway, WRONG, count=TRIES + 1)[-1] == 429
        assert session.get("/admin/").status_code == 200
    assert gateway.get(token, "/v1/models").status_code == 200
    assert gateway.get("gh-wrong-token", "/v1/models").status_code == 401
    assert gateway.get(token, "/v1/models").status_code == 200


def test_little_is_kept_however_many_try(gateway: Gateway) -> None:
    rows = gateway.installation.do("fill_sign_ins", 12_000)
    assert rows >= 12_000
    assert tries(gateway, WRONG) == [200]
    assert gateway.installation.do("sign_in_rows") == 10_000
    gateway.installation.do("age_sign_ins", 20)
    assert tries(gateway, WRONG, email="x" * 5000, address="198.51.100.9") == [200]
    assert gateway.installation.do("sign_in_rows") == 1


def test_what_odd_clients_send_is_answered(gateway: Gateway) -> None:
    for email, password in (("\0", "\0"), ("a\0b", "x"), ("😀" * 200, "\ud800".encode("utf-8", "replace").decode())):
        assert tries(gateway, password, email=email)[0] in (200, 400)
    with ConsoleSession(gateway.origin, headers={"user-agent": "x" * 5000, "x-forwarded-for": "," * 5000}) as session:
        session.get(LOGIN)
        assert session.post(LOGIN, {}).status_code == 200


def test_sign_ins_wait_for_each_other_not_for_calls(gateway: Gateway) -> None:
    """A dozen people who try all the time: a call is answered as before, and too many at once have to wait."""
    gateway.installation.do("manage", "unlock", "--all")
    token = gateway.token("quiet", user=PAUL)
    until = time.monotonic() + 4

    def guess(number: int) -> set[int]:
        found = set()
        with ConsoleSession(gateway.origin, headers={"x-forwarded-for": f"203.0.113.{number}"}) as session:
            while time.monotonic() < until:
                found.add(session.sign_in(f"{time.monotonic()}@example.com", WRONG).status_code)
        return found

    took = []
    with ThreadPoolExecutor(12) as pool:
        loops = [pool.submit(guess, number) for number in range(12)]
        time.sleep(0.5)
        while time.monotonic() < until:
            started = time.monotonic()
            assert gateway.get(token, "/v1/models").status_code == 200
            took.append(time.monotonic() - started)
            time.sleep(0.01)
        statuses = set().union(*(loop.result() for loop in loops))
    assert statuses <= {200, 429, 503}
    took.sort()
    assert took[len(took) * 9 // 10] < 0.1, (took[len(took) // 2], took[-1])
