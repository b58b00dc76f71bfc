"""``manage.py doctor`` on real installations: silent on a healthy one, and with the fix for each fault."""

import json
import socket
from datetime import date
from typing import Any

import redis

from accounts.models import Team
from gateway.doctor.account_checks import check_egress, check_keys, check_narrowed, check_rules
from gateway.doctor.checks import CHECKS
from gateway.doctor.server_checks import check_redis
from providers.credentials.kinds import Entra
from providers.models import Model, ModelSubject, ProviderAccount
from tests.support.fixtures import ACCOUNT, InstallationMaker
from tests.support.installation import Installation, migrated_postgres_url
from tests.support.manifests import chat_model, provider
from tests.support.sandbox_process import SandboxProcess
from tests.support.servers import free_port

OF_ACCOUNTS = ("keys", "egress", "rules", "prices", "models", "offers", "narrowed models")
"""The checks that look at accounts and their models."""
HEALTHY = {"GATEHOUSE_PUBLIC_URL": "https://ai.example.com"}


def examine(installation: Installation, **env: str) -> tuple[int, list[dict[str, str]]]:
    """Return the exit code and what is not well."""
    asked = ("doctor", "--json")
    done = installation.manage(*asked, env=env) if env else installation.command(*asked)
    found: list[dict[str, str]] = json.loads(done.stdout)
    for finding in found:
        assert bool(finding["action"]) == (finding["level"] != "ok"), finding
    return done.returncode, [finding for finding in found if finding["level"] != "ok"]


def only(found: list[dict[str, Any]], check: str) -> str:
    """Return the one message of a check; nothing else is wrong."""
    assert {finding["check"] for finding in found} == {check}, found
    return " ".join(finding["message"] for finding in found)


def healthy(make: InstallationMaker, upstream: SandboxProcess, **env: str) -> Installation:
    installation = make(env={**HEALTHY, **env}, seeded=False)
    installation.apply(provider(ACCOUNT, upstream.url, models=["gpt-4o-mini"]))
    return installation


def test_a_healthy_installation(
    make_installation: InstallationMaker, running_upstream: SandboxProcess, redis_url: str
) -> None:
    code, found = examine(healthy(make_installation, running_upstream))
    assert (code, found) == (0, [])
    env = {**HEALTHY, "DATABASE_URL": migrated_postgres_url(), "REDIS_URL": redis_url}
    other = make_installation(env=env, seeded=False)
    other.apply(provider(ACCOUNT, running_upstream.url, models=["gpt-4o-mini"]))
    assert examine(other) == (0, [])
    text = other.command("doctor")
    assert text.stdout.startswith("ok       settings: All is well.")


def test_what_is_away(make_installation: InstallationMaker, running_upstream: SandboxProcess) -> None:
    installation = healthy(make_installation, running_upstream)
    nowhere = f"127.0.0.1:{free_port()}"
    code, found = examine(installation, DATABASE_URL=f"postgres://x@{nowhere}/x", REDIS_URL=f"redis://{nowhere}/0")
    assert code == 1
    assert {finding["check"] for finding in found} >= {"database", "redis"}
    assert "x@" not in json.dumps(found)


def test_missing_migrations(make_installation: InstallationMaker, postgres_url: str) -> None:
    code, found = examine(make_installation(env={**HEALTHY, "DATABASE_URL": postgres_url}, seeded=False))
    assert code == 1
    assert "manage.py migrate" in json.dumps(found)


def test_keys_of_another_encryption_key(make_installation: InstallationMaker, running_upstream: SandboxProcess) -> None:
    installation = healthy(make_installation, running_upstream)
    code, found = examine(installation, GATEHOUSE_ENCRYPTION_KEYS="another-0123456789-key-abcdefghij-xyz")
    assert code == 1
    assert ACCOUNT in only(found, "keys")


def test_accounts_without_a_key(db: None) -> None:
    """Those that sign in otherwise, and those of servers that want none, lack nothing."""
    for name, kind in (("bare", "openai"), ("own", "vllm"), ("azure", "azure-openai")):
        account = ProviderAccount(kind=kind, name=name, base_url="https://models.example.com/v1")
        if name == "azure":
            account.credential = Entra("contoso.example", "client-1", "secret-of-azure")
        account.save()
    assert [finding.message for finding in check_keys()] == ["bare has no key."]


def test_virtual_accounts_have_neither_an_address_nor_a_key_nor_a_price(db: None) -> None:
    account = ProviderAccount.objects.create(kind="virtual-model", name="smart")
    routing = {"type": "priority-based-routing", "load_balance_targets": [{"target": "away/m", "priority": 0}]}
    Model.objects.create(account=account, name="chat", model_types=["chat"], routing=routing)
    by_name = {name: list(check()) for name, check in CHECKS if name in OF_ACCOUNTS}
    said = {name: [finding.message for finding in found] for name, found in by_name.items() if found}
    assert by_name.keys() == set(OF_ACCOUNTS)
    assert said == {"rules": ["No one may use smart: it has no grant."]}
    account.models.all().delete()
    *_, empty = check_rules()
    assert (empty.message, empty.action) == ("smart has no models.", "Add some.")


def test_an_address_below_which_azure_has_nothing(db: None) -> None:
    """As accounts have that were made before addresses of Azure were looked at."""
    ProviderAccount(kind="azure-openai", name="azure", base_url="https://res.openai.azure.com").save()
    (found,) = check_egress()
    assert "https://res.openai.azure.com/openai/v1" in found.message


def test_narrowed_models_where_any_name_passes(db: None) -> None:
    team = Team.objects.create(name="research")
    for name, any_model, narrowed in (("mixed", True, True), ("open", True, False), ("listed", False, True)):
        account = ProviderAccount(kind="openai", name=name, any_model=any_model)
        account.save()
        for own in ("gpt-4o", "gpt-4o-mini"):
            model = Model(account=account, name=own)
            model.save()
            if narrowed:
                ModelSubject(model=model, team=team).save()
    (found,) = check_narrowed()
    assert found.message.startswith("mixed passes any model's name on")


def test_a_redis_that_does_not_tell_its_settings(settings: Any, redis_url: str) -> None:
    """As services that run it for others: it answers, and that is what counts."""
    with redis.Redis.from_url(redis_url) as admin:
        admin.acl_setuser("guest", enabled=True, passwords=["+guest"], commands=["+@all", "-config"], keys=["*"])
        settings.REDIS_URL = redis_url.replace("redis://", "redis://guest:guest@")
        try:
            assert list(check_redis()) == []
        finally:
            admin.acl_deluser("guest")


def test_an_address_that_no_one_answers(make_installation: InstallationMaker, running_upstream: SandboxProcess) -> None:
    installation = healthy(make_installation, running_upstream)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, and no one listens
        installation.apply(
            provider(ACCOUNT, running_upstream.url, models=["gpt-4o-mini"]),
            provider("away", f"http://127.0.0.1:{closed.getsockname()[1]}/v1", models=["gpt-4o-mini"]),
        )
        code, found = examine(installation)
    assert code == 3
    assert "away" in only(found, "egress")
    code, found = examine(installation, GATEHOUSE_EGRESS_ALLOW="")
    assert code == 1
    assert "GATEHOUSE_EGRESS_ALLOW" in json.dumps([each for each in found if each["check"] == "egress"])


def test_rules_prices_and_models(make_installation: InstallationMaker, running_upstream: SandboxProcess) -> None:
    installation = healthy(make_installation, running_upstream)
    installation.apply(
        provider(ACCOUNT, running_upstream.url, models=["gpt-4o-mini", chat_model("own", model_id="no-such-model-7")]),
        provider("lonely", running_upstream.url, models=["gpt-4o-mini"], access=()),
    )
    installation.do("token", "narrow", [f"{ACCOUNT}/own"], user="ada@example.com")
    installation.do("delete_model", f"{ACCOUNT}/own")
    installation.do("add_model", f"{ACCOUNT}/old", deprecated_on=date.today().isoformat())
    code, found = examine(installation)
    assert code == 3
    said = {finding["check"]: finding["message"] for finding in found}
    assert {"rules", "prices", "models"} == set(said)
    messages = json.dumps(found)
    assert "lonely" in messages
    assert f"{ACCOUNT}/own" in messages
    assert f"{ACCOUNT}/old is shut down" in messages


def test_little_disk_and_rejected_records(
    make_installation: InstallationMaker, running_upstream: SandboxProcess
) -> None:
    installation = healthy(make_installation, running_upstream)
    spool = installation.data / "spool"
    spool.mkdir(exist_ok=True)
    (spool / "rejected.jsonl").write_text("[]\n")
    code, found = examine(installation)
    assert code == 1
    assert "rejected.jsonl" in only(found, "spool")


def test_a_start_fault_is_said(make_installation: InstallationMaker, running_upstream: SandboxProcess) -> None:
    installation = healthy(make_installation, running_upstream)
    code, found = examine(installation, DEBUG="true")
    assert code == 1
    assert "DEBUG" in only(found, "settings")
