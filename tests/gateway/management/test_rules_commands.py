"""``why``, ``explain``, ``simulate`` and ``check_budgets``: what an operator asks about rules."""

import io
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from django.core.management import CommandError, call_command
from django.utils import timezone

from accounts.models import Membership, Team, User
from gateway.routing.shared_health import STREAM
from providers.models import Model, ProviderAccount, keep_former_name
from rules.models import Budget, BudgetCounter, RateLimit, RoutingRule
from tests.support import servers
from tests.support.usage_factory import attempt
from usage import rows

pytestmark = pytest.mark.django_db

ADA, MODEL = "ada@example.com", "openai-main/gpt-4o-mini"


def said(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, stderr=out)
    return out.getvalue()


def store(*changes: dict[str, Any]) -> None:
    lines = [msgspec.json.encode(attempt(**one)) for one in changes]
    assert rows.store(lines, "default", lambda: None) == []


@pytest.fixture(autouse=True)
def _names() -> None:
    account = ProviderAccount.objects.create(kind="openai", name="openai-main")
    Model.objects.create(account=account, name="gpt-4o-mini", model_types=["chat"])
    Membership.objects.create(team=Team.objects.create(name="eng"), user=User.objects.create(email=ADA))


def limit(name: str, **columns: Any) -> None:
    effect = columns.pop("effect", {"limits": {"requests_per_minute": 2}, "per": ["user"]})
    row = RateLimit(form="tenant-rate-limit-config/model", name=name, effect=effect, **columns)
    row.full_clean()
    row.save()


def test_why_says_which_rules_counted_a_request() -> None:
    rule = {"rule": "few", "unit": "requests_per_minute", "limit": 3, "used": 3, "asked": 1, "for": [ADA]}
    money = {"rule": "b", "unit": "cost_per_day", "limit": 10**12, "used": 5 * 10**11, "asked": 10**9, "mode": "audit"}
    store(
        {
            "request_id": "req_1",
            "decision": {"limits": [rule, money], "reserved_pico": 10**9},
            "model_resolved": MODEL,
            "error_class": "upstream_error",
            "status": 500,
            "error_message": "It broke.",
        }
    )
    text = said("why", "req_1")
    assert f"{ADA} (user, token gh-abcdefg) asked for {MODEL} (chat)" in text
    assert f"attempt 1 at {MODEL}: 500 upstream_error: It broke." in text
    assert f"rule few (requests_per_minute for {ADA}): 3 of 3 with 1 for this call; had room" in text
    assert "rule b (cost_per_day, audit): $0.50 of $1.00 with $0.001 for this call; had room" in text
    assert "reserved $0.001" in text
    store({"request_id": "req_2", "attempt_number": 0, "status": 429, "error_class": "rate_limit_exceeded"})
    assert "refused before any attempt: 429 rate_limit_exceeded" in said("why", "req_2")
    with pytest.raises(CommandError, match="No record"):
        said("why", "req_3")


def test_explain_says_what_would_count_a_call() -> None:
    limit("few")
    limit("tokens", effect={"limits": {"tokens_per_day": 1000}, "per": ["user"]})
    limit("tagged", when={"metadata": {"a": {"in": ["b"]}}})
    limit("others", when={"subjects": {"in": ["user:bob@example.com"]}})
    budget = Budget(
        form="tenant-budget-config",
        name="daily",
        when={"subjects": {"in": ["team:eng"]}},
        effect={"limits": {"cost_per_day": 0.5}},
    )
    budget.save()
    store({"teams": ["eng"], "cost_pico": 5 * 10**11, "subject_name": ADA})
    text = said("explain", "--as", ADA, "--model", MODEL)
    assert f"rate limit few (enforce): 2 requests_per_minute for {ADA}" in text
    assert "others" not in text
    assert "budget daily (enforce): $0.50 of $0.50 a day" in text
    assert "a call would be refused" in text
    assert f"rate limit tokens (enforce): 1,000 tokens_per_day for {ADA}" in text
    assert "tagged" not in text
    assert "rate limit tagged" in said("explain", "--as", ADA, "--model", MODEL, "--metadata", "a=b")
    keep_former_name(ProviderAccount.objects.get(), None, "old-main")
    limit("former", when={"models": {"in": ["old-main/gpt-4o-mini"]}})
    assert "rate limit former" in said("explain", "--as", ADA, "--model", MODEL)
    with pytest.raises(CommandError, match="does not exist"):
        said("explain", "--as", "nobody@example.com", "--model", MODEL)


def test_explain_says_which_rules_route_a_call() -> None:
    """A virtual model keeps its own routing; fallbacks come behind its targets all the same."""
    routing = {"type": "weight-based-routing", "load_balance_targets": [{"target": MODEL, "weight": 1}]}
    fallback = {"models": [{"target": MODEL}], "statuses": ["503"]}
    smart = ProviderAccount.objects.create(kind="virtual-model", name="smart")
    Model.objects.create(account=smart, name="chat", model_types=["chat"], routing=routing)
    RoutingRule(form="gateway-load-balancing-config", group="all", name="a", effect={"routing": routing}).save()
    RoutingRule(form="gateway-fallback-config", group="all", name="b", effect={"fallback": fallback}).save()
    plain, virtual = (said("explain", "--as", ADA, "--model", name) for name in (MODEL, "smart/chat"))
    assert f"routing rule all/a (enforce): weight-based-routing over {MODEL}" in plain
    assert "routing rule" not in virtual
    assert f"virtual model smart/chat: weight-based-routing over {MODEL}" in virtual
    for text in (plain, virtual):
        assert f"fallback rule all/b (enforce): after 503 goes on to {MODEL}" in text
        assert "How targets do is not known here: without REDIS_URL" in text


def test_explain_says_how_targets_do(redis_url: str, settings: Any) -> None:
    """As workers reported it: what one that starts now would know."""
    smart = ProviderAccount.objects.create(kind="virtual-model", name="smart")
    targets = [{"target": f"openai-main/{name}"} for name in ("a", "b", "c", "d", "e")]
    routing = {"type": "priority-based-routing", "load_balance_targets": targets}
    Model.objects.create(account=smart, name="chat", model_types=["chat"], routing=routing)
    settings.REDIS_URL = redis_url
    client = redis.Redis.from_url(redis_url)

    def seen(name: str, what: str, status: int = 0, rest: float = 0.0) -> None:
        fields = {"by": "x", "name": f"openai-main/{name}", "what": what, "status": str(status), "rest": str(rest)}
        client.xadd(STREAM, fields)

    seen("a", "failure", 401, 120.0)
    seen("b", "failure", 503)
    seen("c", "failure", 403, 0.001)
    seen("c", "probe")
    seen("d", "failure", 401)
    seen("d", "success")
    client.xadd(STREAM, {"by": "newer"})
    text = said("explain", "--as", ADA, "--model", "smart/chat")
    assert re.search(
        r"target openai-main/a rests until \d\d:\d\d:\d\d UTC \(1[12]\d s\), because it failed with 401", text
    )
    assert re.search(r"target openai-main/b is well; failed \d+ s ago with 503, and rests if it does so again", text)
    assert "target openai-main/c is being tried again by one call, because it failed with 403" in text
    assert "target openai-main/d is well, as far as workers reported" in text
    assert "target openai-main/e is well, as far as workers reported" in text
    settings.REDIS_URL = f"redis://127.0.0.1:{servers.free_port()}/0"
    text = said("explain", "--as", ADA, "--model", "smart/chat")
    assert "How targets do is not known here: Redis can't be reached (ConnectionError)." in text


@pytest.mark.parametrize(("cost", "words"), [(1, "from 80% on, or without room, calls go to"), (9, "calls go to")])
def test_explain_says_where_a_budget_sends_calls(cost: int, words: str) -> None:
    cheaper = {"from_percent": 80, "target": "openai-main/cheap"}
    effect = {"limits": {"cost_per_day": 0.00001}, "cheaper": cheaper}
    Budget(form="tenant-budget-config", name="daily", effect=effect).save()
    store({"cost_pico": cost * 10**6, "subject_name": ADA})
    ending = " now, of those who may use it" if cost == 9 else ", of those who may use it"
    assert f"; {words} openai-main/cheap{ending}" in said("explain", "--as", ADA, "--model", MODEL)


PROPOSED = """
type: tenant-rate-limit-config/model
name: proposed
limits: {requests_per_minute: 2, concurrent_requests: 100}
applies_to: {type: per-user}
mode: enforce
---
type: tenant-budget-config
name: watched
limits: {cost_per_day: 0.000000000003}
applies_to: {type: aggregate}
mode: audit
"""


def test_simulate_replays_what_was_recorded(tmp_path: Path) -> None:
    began = timezone.now().replace(hour=12, minute=0, second=0) - timedelta(days=1)

    def at(seconds: int, **more: Any) -> dict[str, Any]:
        moment = int((began + timedelta(seconds=seconds)).timestamp() * 1_000_000)
        return {"started_at": moment, "cost_pico": 1, **more}

    old = at(-30 * 86_400)
    retried = at(3, attempt_number=2)
    refused = at(4, attempt_number=1, status=429, upstream_status=0)
    store(*(at(second) for second in (0, 1, 2, 5, 90)), at(2, subject_name="bob@example.com"), old, retried, refused)
    file = tmp_path / "rules.yaml"
    file.write_text(PROPOSED)
    text = said("simulate", "-f", str(file), "--since", "7d")
    assert (
        "6 calls; 2 would have been refused and 0 moved to a cheaper target, which would have saved $0.000000000002."
        in text
    )
    assert "rule proposed: counts 6 calls, refuses 2" in text
    assert "rule watched: counts 6 calls, would refuse 1 (audit)" in text
    assert f"caller {ADA}: 2 refused" in text
    assert not RateLimit.objects.exists()
    file.write_text(PROPOSED.replace("requests_per_minute", "requests_per_fortnight"))
    with pytest.raises(CommandError, match="not a unit"):
        said("simulate", "-f", str(file))
    with pytest.raises(CommandError, match="no rules and no virtual models"):
        said("simulate")


CHEAPER = """
type: tenant-budget-config
name: thrifty
limits: {cost_per_day: 0.01}
applies_to: {type: aggregate}
mode: enforce
cheaper: {from_percent: 50, target: openai-main/gpt-4o-mini}
"""


def test_simulate_says_what_a_cheaper_target_would_have_saved(tmp_path: Path) -> None:
    """Two calls of 3 m$ each fill 60 % of 10 m$; the two after them cost 0.09 m$ each at gpt-4o-mini's price."""
    began = timezone.now().replace(hour=12, minute=0, second=0) - timedelta(days=1)
    moment = int(began.timestamp() * 1_000_000)
    used = {"input_tokens": 200, "cached_tokens": 0, "output_tokens": 100, "cost_pico": 3 * 10**9}
    dear = {"model_asked": "openai-main/gpt-4o", "model_resolved": "openai-main/gpt-4o"}
    store(*({"started_at": moment + n, **dear, **used} for n in range(4)))
    file = tmp_path / "rules.yaml"
    file.write_text(CHEAPER)
    text = said("simulate", "-f", str(file), "--since", "7d")
    assert (
        "4 calls; 0 would have been refused and 2 moved to a cheaper target, which would have saved $0.00582." in text
    )
    assert "rule thrifty: counts 4 calls, refuses 0, moves 2" in text


WITHIN = """
type: tenant-budget-config
name: tenant
limits: {cost_per_day: 0.000002}
applies_to: {type: aggregate}
mode: enforce
---
type: team-budget-config
name: own
team_name: eng
limits: {cost_per_day: TEAM}
applies_to: {type: aggregate}
mode: enforce
"""


@pytest.mark.parametrize(("team", "refused"), [("100", "tenant"), ("0.000001", "own")])
def test_a_teams_budget_holds_within_the_tenants(tmp_path: Path, team: str, refused: str) -> None:
    """Both must have room: the larger one of a team opens nothing, the smaller one binds sooner."""
    moment = int((timezone.now() - timedelta(hours=1)).timestamp() * 1_000_000)
    store(*({"started_at": moment + n, "cost_pico": 10**6, "teams": ["eng"]} for n in range(4)))
    file = tmp_path / "rules.yaml"
    file.write_text(WITHIN.replace("TEAM", team))
    text = said("simulate", "-f", str(file))
    assert f"rule {refused}: counts 4 calls, refuses {2 if refused == 'tenant' else 3}" in text
    other = "own" if refused == "tenant" else "tenant"
    assert f"rule {other}: counts 4 calls, refuses 0" in text


def test_check_budgets_finds_and_fixes() -> None:
    Budget(form="tenant-budget-config", name="daily", effect={"limits": {"cost_per_day": 1}}).save()
    store({"cost_pico": 5})
    assert "1 counter agrees with the records." in said("check_budgets")
    BudgetCounter.objects.update(cost_low=6)
    with pytest.raises(CommandError, match="1 differ"):
        said("check_budgets")
    assert "counted $0.000000000006" in said("check_budgets", "--fix")
    assert "1 counter agrees" in said("check_budgets")
