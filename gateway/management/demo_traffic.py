"""What goes on in a fresh demo: made-up callers ask the sandbox for some minutes, so that the console has what to show.

The calls are real ones, through the demo's own gateway: what the pages show of them is what any call leaves. They end
for good as soon as an account is not the sandbox's any more.
"""

import contextlib
import json
import random
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, Final, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import ProxyHandler, Request, build_opener

from django.db import transaction
from django.utils import timezone

from accounts.models import ApiToken, Membership, Team, User, VirtualAccount
from accounts.worker_thread import WorkerThread
from gateway.server.access_log import buffer as lines
from providers.models import Grant, ProviderAccount
from rules.models import RateLimit
from usage.models import UsageRecord

TOKEN_NAME: Final = "sandbox traffic"
"""The name of every token of a made-up caller: by it the console knows that there are such callers."""
ROUNDS: Final = 30
PAUSE_SECONDS: Final = 10.0
CALLS_A_ROUND: Final = 6
TIMEOUT_SECONDS: Final = 10.0
LINE_SECONDS: Final = 0.1
"""How long after its answer a call's line may be written."""
TEAMS: Final = {"support": ("ada@example.com", "lin@example.com"), "search": ("sam@example.com",)}
APPLICATIONS: Final = {"support-bot": "support", "docs-search": "search", "nightly-report": "search"}
LIMITED: Final = "nightly-report"
CALLS_A_MINUTE: Final = 20


class Row(NamedTuple):
    """A kind of call: who makes it, how many of them in the first round, its path and its body."""

    caller: str
    first_round: int
    path: str
    body: dict[str, Any]


def _chat(model: str, text: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


_CHAT: Final = "chat/completions"
ROWS: Final = (
    Row("support-bot", 8, _CHAT, _chat("openai-main/gpt-4o-mini", "Where is my order? [[sandbox: latency=40]]")),
    Row(
        "support-bot", 4, _CHAT, _chat("openai-main/gpt-4.1", "Answer at length. [[sandbox: tokens=300]]", stream=True)
    ),
    Row("support-bot", 4, _CHAT, _chat("anthropic-main/claude-sonnet-4-5", "Summarize the ticket about a refund.")),
    Row(
        "docs-search", 8, "embeddings", {"model": "openai-main/text-embedding-3-small", "input": "how to rotate a key"}
    ),
    Row("docs-search", 4, _CHAT, _chat("gemini-main/gemini-2.5-flash", "Say hi in French. [[sandbox: latency=60]]")),
    Row("nightly-report", 22, _CHAT, _chat("openai-main/gpt-4.1", "Write the report. [[sandbox: tokens=400]]")),
    Row("ada@example.com", 4, _CHAT, _chat("openai-main/gpt-5", "What is 6*7? [[sandbox: latency=90]]", stream=True)),
    Row("lin@example.com", 3, "responses", {"model": "openai-main/gpt-4.1", "input": "Draft a friendly reply."}),
    Row("sam@example.com", 2, _CHAT, _chat("openai-main/gpt-4o-mnii", "A name with a slip.")),
    Row("sam@example.com", 2, _CHAT, _chat("openai-main/gpt-4o", "[[sandbox: status=503 message=Overloaded]] Hello")),
)


def make_callers(accounts: list[str]) -> dict[str, str]:
    """Make the callers, with access to ``accounts``; return a token for each by name.

    None are made, and nothing is returned, where there were calls before, or someone of these names is there.
    """
    people = [email for members in TEAMS.values() for email in members]
    if (
        UsageRecord.objects.exists()
        or User.objects.filter(email__in=people).exists()
        or VirtualAccount.objects.filter(name__in=APPLICATIONS).exists()
        or Team.objects.filter(name__in=TEAMS).exists()
    ):
        return {}
    with transaction.atomic():
        return _make_callers(accounts)


def _make_callers(accounts: list[str]) -> dict[str, str]:
    teams = {name: Team.objects.create(name=name) for name in TEAMS}
    owners: dict[str, dict[str, Any]] = {}
    for name, members in TEAMS.items():
        for email in members:
            owners[email] = {"user": User.objects.create_user(email)}
            Membership.objects.create(team=teams[name], user=owners[email]["user"])
    for name, team in APPLICATIONS.items():
        application = VirtualAccount.objects.create(name=name, team=teams[team], tags={"service": name})
        owners[name] = {"virtual_account": application}
        for account in ProviderAccount.objects.filter(name__in=accounts):
            Grant(account=account, role=Grant.Role.USER, virtual_account=application).save()
    limit = RateLimit(form="gateway-rate-limiting-config", group="demo", name=f"{LIMITED}-pace")
    limit.when = {"subjects": {"in": [f"virtualaccount:{LIMITED}"]}}
    limit.effect = {"limits": {"requests_per_minute": CALLS_A_MINUTE}}
    limit.full_clean()
    limit.save()
    end = timezone.now() + timedelta(hours=1)
    return {name: ApiToken.objects.issue(name=TOKEN_NAME, expires_at=end, **owner)[1] for name, owner in owners.items()}


@contextlib.contextmanager
def _without_lines() -> Iterator[None]:
    """Leave calls out of the log meanwhile: the address, the password and the token would scroll out of sight.

    Not by the logger's level: the embedded Celery worker sets Django up once more a moment after the start, and with it
    the levels of all loggers.
    """
    lines.muted = True
    try:
        yield
        time.sleep(LINE_SECONDS)
    finally:
        lines.muted = False


class Traffic:
    """Makes the calls to the gateway at ``base``, in a thread: many at first, then a few every ten seconds.

    ``is_sandbox`` says whether every account is the sandbox's still: it is asked before each round.
    """

    def __init__(self, base: str, tokens: dict[str, str], is_sandbox: Callable[[], bool]) -> None:
        self._base = base
        self._tokens = tokens
        self._is_sandbox = is_sandbox
        self._round = 0
        self._random = random.Random(7)
        self._open = build_opener(ProxyHandler({})).open
        self._thread = WorkerThread("gatehouse-demo-traffic", self._work)

    def start(self) -> None:
        """Begin as soon as the gateway answers."""
        self._thread.start()

    def stop(self) -> None:
        """End after the present call."""
        self._thread.stop(timeout=1)

    def _work(self) -> float | None:
        if not self._ready():
            return 0.2
        if self._round == ROUNDS or not self._is_sandbox():
            return None
        with _without_lines():
            for row in self._rows():
                if self._thread.stopping.is_set() or not self._call(row):
                    return None
        self._round += 1
        return PAUSE_SECONDS

    def _rows(self) -> list[Row]:
        every = [row for row in ROWS for _ in range(row.first_round)]
        if self._round:
            return self._random.sample(every, CALLS_A_ROUND)
        self._random.shuffle(every)
        return every

    def _ready(self) -> bool:
        if self._round:
            return True
        try:
            with self._open(f"{self._base}/readyz", timeout=TIMEOUT_SECONDS):
                return True
        except OSError:  # not listening yet, or not ready
            return False

    def _call(self, row: Row) -> bool:
        """Make one call, whatever comes of it; return whether there is a gateway at all."""
        headers = {"authorization": f"Bearer {self._tokens[row.caller]}", "content-type": "application/json"}
        request = Request(f"{self._base}/v1/{row.path}", json.dumps(row.body).encode(), headers)
        try:
            with self._open(request, timeout=TIMEOUT_SECONDS) as answer:
                answer.read()
        except HTTPError as refused:
            refused.close()
        except URLError:
            return False
        except OSError:  # the connection broke amid the answer
            return not self._thread.stopping.is_set()
        return True
