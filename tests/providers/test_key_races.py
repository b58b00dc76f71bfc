"""A key never ends beside another host's address, however many forms are saved at once: real servers, two workers."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from tests.support import servers
from tests.support.console_session import ConsoleSession
from tests.support.installation import Gateway, Installation, migrated_postgres_url
from tests.support.manifests import provider
from tests.support.scripted_provider import Upstream
from tests.support.servers import wait_until

PASSWORD = "an-Obvious-password-7"
ROOT, MIA = "root@example.com", "mia@example.com"
NAME = "main"
KEYS = ("sk-key-of-the-first-host-0001", "sk-key-of-the-other-host-0002")
ROUNDS = 8
AT_ONCE = 4


@dataclass
class Scene:
    """The servers, the account's page, the two hosts, and a token that may call the account."""

    gateway: Gateway
    page: str
    hosts: tuple[Upstream, Upstream]
    token: str

    def stored(self) -> tuple[str, str]:
        address, key = self.gateway.installation.do("stored_address", NAME)
        return address, key

    def sent(self, host: int) -> set[str]:
        """Return the keys that a host was sent."""
        found = {headers.get("authorization", "") for _, _, headers, _ in lower(self.hosts[host].asked)}
        return {value.removeprefix("Bearer ") for value in found}

    def call(self) -> int:
        body = {"model": f"{NAME}/gpt-4o-mini", "messages": [{"role": "user", "content": "Hi."}]}
        return self.gateway.post(self.token, "/v1/chat/completions", body).status_code


def lower(asked: list[Any]) -> Iterator[Any]:
    for method, path, headers, body in list(asked):
        yield method, path, {name.lower(): value for name, value in headers.items()}, body


@contextmanager
def two_hosts() -> Iterator[tuple[Upstream, Upstream]]:
    hosts = (Upstream(), Upstream())
    for host in hosts:
        Thread(target=host.serve_forever, daemon=True).start()
    yield hosts
    for host in hosts:
        host.shutdown()
        host.server_close()


@pytest.fixture(scope="module", params=["postgresql", "sqlite"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, migrated_data: Path
) -> Iterator[Scene]:
    postgres = request.param == "postgresql"
    env = {"REDIS_URL": servers.redis_url(), **({"DATABASE_URL": migrated_postgres_url()} if postgres else {})}
    data = tmp_path_factory.mktemp("races") / "data"
    with two_hosts() as hosts, Installation(data, None if postgres else migrated_data, env) as installation:
        installation.apply(provider(NAME, hosts[0].url, models=["gpt-4o-mini"], key=KEYS[0]))
        installation.do("person", ROOT, PASSWORD, is_staff=True, is_superuser=True)
        installation.do("person", MIA, PASSWORD)
        gateway = installation.gateway("--workers", "2")
        page = f"/admin/providers/provideraccount/{installation.do('account_key', NAME)}/change/"
        yield Scene(gateway, page, hosts, gateway.token("mia", user=MIA))


@pytest.fixture
def scene(running: Scene) -> Scene:
    """The module's scene with the account at the first host, and no host asked yet."""
    running.gateway.installation.apply(provider(NAME, running.hosts[0].url, models=["gpt-4o-mini"], key=KEYS[0]))
    running.gateway.installation.do("grant", NAME, f"user:{MIA}", "manager")  # which the manifest took away
    for host in running.hosts:
        host.asked.clear()
    return running


@pytest.fixture(scope="module")
def browsers(running: Scene) -> Iterator[tuple[ConsoleSession, list[ConsoleSession]]]:
    """The superuser's browser and several of the manager's."""
    with ExitStack() as open_ones:
        root, *mia = (
            open_ones.enter_context(ConsoleSession(running.gateway.origin, email, PASSWORD))
            for email in (ROOT, *[MIA] * AT_ONCE)
        )
        yield root, mia


def test_a_manager_who_posts_the_old_form_does_not_get_the_new_key_to_the_old_host(
    scene: Scene, browsers: tuple[ConsoleSession, list[ConsoleSession]]
) -> None:
    root, mia = browsers
    for number in range(ROUNDS):
        here, there = number % 2, (number + 1) % 2
        move = root.form(scene.page) | {"base_url": scene.hosts[there].url, "api_key": KEYS[there]}
        stays = [session.form(scene.page) for session in mia]
        gate = Barrier(AT_ONCE + 1)

        def send(session: ConsoleSession, data: dict[str, Any], gate: Barrier = gate) -> str:
            gate.wait(30)
            return session.post(scene.page, data).text

        with ThreadPoolExecutor(AT_ONCE + 1) as pool:
            answers = [
                pool.submit(send, root, move),
                *(pool.submit(send, *pair) for pair in zip(mia, stays, strict=True)),
            ]
        assert all(answer.exception() is None for answer in answers)
        address, key = scene.stored()
        assert (address, key) in {(scene.hosts[host].url, KEYS[host]) for host in (0, 1)}, (number, here)
        if address != scene.hosts[there].url:  # the manager was first: the superuser is told, and does it again
            assert "was changed after you opened the form" in answers[0].result()
            root.post(scene.page, root.form(scene.page) | {"base_url": scene.hosts[there].url, "api_key": KEYS[there]})
            assert scene.stored() == (scene.hosts[there].url, KEYS[there])
        wait_until(lambda there=there: scene.call() == 200 and scene.sent(there) != set())
    for host in (0, 1):
        assert scene.sent(host) == {KEYS[host]}


def test_a_form_that_is_out_of_date_says_who_changed_what(
    scene: Scene, browsers: tuple[ConsoleSession, list[ConsoleSession]]
) -> None:
    root, (mia, *_) = browsers
    old = mia.form(scene.page)
    moved = root.post(scene.page, root.form(scene.page) | {"base_url": scene.hosts[1].url, "api_key": KEYS[1]})
    assert moved.status_code == 302
    answer = mia.post(scene.page, old | {"discount_percent": "5"})
    assert answer.status_code == 200
    for said in ("Nothing was saved", ROOT, "base URL", scene.hosts[1].url, "key replaced", "Open it again"):
        assert said in answer.text, said
    assert KEYS[1] not in answer.text
    again = mia.post(scene.page, old | {"discount_percent": "5"})
    assert "Nothing was saved" in again.text, "a second click is refused, too"
    assert mia.post(scene.page, mia.form(scene.page) | {"discount_percent": "5"}).status_code == 302
    assert scene.stored() == (scene.hosts[1].url, KEYS[1])


def test_manifests_that_are_applied_meanwhile_mix_nothing(scene: Scene) -> None:
    """Two operators apply two files at once, each with an address and its key."""
    here = [
        provider(NAME, host.url, models=["gpt-4o-mini"], key=key) for host, key in zip(scene.hosts, KEYS, strict=True)
    ]
    files = [scene.gateway.installation.data / f"wanted-{number}.json" for number in (0, 1)]
    for file, manifest in zip(files, here, strict=True):
        file.write_text(json.dumps(manifest))
    for _ in range(3):
        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(lambda file: scene.gateway.installation.manage("apply", "-f", str(file)), files))
        assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
        assert scene.stored() in {(host.url, key) for host, key in zip(scene.hosts, KEYS, strict=True)}


@pytest.mark.parametrize("client", ["lean", "aiohttp"])
def test_an_address_that_was_changed_past_the_forms_gets_no_key(
    client: str, tmp_path: Path, migrated_data: Path
) -> None:
    """As by a restored table, another program, or a bug: the seal says for which host the key is."""
    env = {"GATEHOUSE_UPSTREAM_CLIENT": client}
    with two_hosts() as hosts, Installation(tmp_path / "data", migrated_data, env) as installation:
        fields = {"extra_headers": {"X-Secret": "header-secret-0001"}}
        installation.apply(provider(NAME, hosts[0].url, models=["gpt-4o-mini"], key=KEYS[0], **fields))
        gateway = installation.gateway()
        scene = Scene(gateway, "", hosts, gateway.token("ada", user=MIA))
        assert scene.call() == 200
        installation.do("move_past_the_rules", NAME, hosts[1].url)
        wait_until(lambda: scene.call() != 200)
        body = {"model": f"{NAME}/gpt-4o-mini", "messages": []}
        error = gateway.post(scene.token, "/v1/chat/completions", body).json()["error"]
        assert "not entered for the address that it has now" in error["message"]
        assert hosts[1].url not in error["message"]
        assert f"entered for {hosts[0].url.removesuffix('/v1')}" in gateway.log
        assert hosts[1].asked == []
        checked = installation.command("check", "--database", "default")
        assert "providers.E003" in checked.stderr
        tested = installation.command("test_credentials", NAME)
        assert tested.returncode == 1
        assert "was entered for" in tested.stdout
        assert hosts[1].asked == []
        assert "bound to" in installation.command("bind_key", NAME).stdout
        wait_until(lambda: scene.call() == 200)
        assert scene.sent(1) == {KEYS[0]}
