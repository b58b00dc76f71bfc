"""The directory: tokens, accounts, models, grants and rules in memory, and how a change reaches every worker.

A thread of its own polls the change feed (``accounts.changes``) and rebuilds what changed; the event loop only ever
reads finished objects. While the database is unavailable, calls go on from the last snapshot.
"""

import logging
import time
from collections.abc import Callable, Iterable
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Max, Q

from accounts.caller import Caller
from accounts.changes import Change
from accounts.database_clock import database_now
from accounts.models import ApiToken
from accounts.worker_thread import WorkerThread, renew_connections
from gateway.directory.accounts import account_snapshots
from gateway.directory.callers import _token_rows, caller_of
from gateway.directory.nesting import log_barred_of_rules, nest_rules
from providers.account import ACCOUNT_KIND
from providers.snapshot import AccountSnapshot, ByName
from rules import compiled
from rules.compiled import RuleSet
from rules.models import RULE_KIND, Rule
from rules.references import missing

logger = logging.getLogger("gateway.directory.directory")

# A row can become visible after one with a higher id (its transaction took longer): ids this young are asked for again.
LATE_COMMIT_SECONDS = 90.0
FULL_RELOAD_SECONDS = 600.0
FEED_RETENTION_SECONDS = 3600.0
FEED_PRUNE_ROWS = 5000
BACKOFF_SECONDS = 2.0
# More news of tokens than this are one query for all of them: a condition for each would be too deep for SQLite.
FEW_TOKENS = 200
# With more changed accounts than this, all are loaded: it costs the same, and one path more would be tested less.
FEW_ACCOUNTS = 200
# All tokens are loaded a page at a time: the event loop gets its turn in between, and so does news of single tokens.
PAGE_TOKENS = 250
PAGE_PAUSE_SECONDS = 0.005
UNHELD = "alerts."
"""What kinds begin with whose rows the directory does not hold."""
# Asked several times a second: to build a query set each time costs more than to run it.
NEWS = f"SELECT id, kind, object_id FROM {Change._meta.db_table} WHERE id > %s ORDER BY id"  # noqa: S608 - our name
TOKEN_KIND = "accounts.apitoken"
TEAM_KIND = "accounts.team"
TEAM_FILTERS = ("user__memberships__team_id", "virtual_account__team_id")
SUBJECT_FILTERS = {"accounts.user": "user_id", "accounts.virtualaccount": "virtual_account_id"}
TOKEN_FILTERS = {TOKEN_KIND: "pk", **SUBJECT_FILTERS}


class Directory:
    """The in-memory snapshot. Reads are plain dict look-ups; only the polling thread writes."""

    def __init__(self, on_change: Callable[[], None] | None = None) -> None:
        self.accounts: ByName[AccountSnapshot] = ByName({}, {})
        self.rules: RuleSet | None = None
        self.loaded = False
        self.refreshed_at = 0.0
        self.fault = ""
        self._tokens: dict[str, Caller] = {}
        self._digests: dict[int, str] = {}
        self._on_change = on_change or (lambda: None)
        self._floor = 0
        self._seen: dict[int, float] = {}
        self._reloaded_at = 0.0
        self._pruned_at = time.monotonic()
        self._thread = WorkerThread("gatehouse-directory", self._follow, failed=self._failed)

    # --- read by calls ----------------------------------------------------------------------------------------------
    def caller(self, digest: str) -> Caller | None:
        """Return the caller that a token's digest belongs to, ended tokens included, or ``None``."""
        return self._tokens.get(digest)

    def caller_of_token(self, token_id: int) -> Caller | None:
        """Return the present state of a token by its id."""
        digest = self._digests.get(token_id)
        return self._tokens.get(digest) if digest else None

    def current_name(self, account: str) -> str:
        """Return the present name of an account by any of its names; an unknown one as it is."""
        found: AccountSnapshot | None = self.accounts.get(account) if account else None
        return found.name if found is not None else account

    def age(self) -> float:
        """Seconds since the snapshot was last known to be current."""
        return time.monotonic() - self.refreshed_at if self.loaded else float("inf")

    # --- life -------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Load the snapshot and begin to follow the feed. A database that is unavailable at first is waited for."""
        self._thread.start()

    def stop(self) -> None:
        """End the polling thread."""
        self._thread.stop(5)

    def _follow(self) -> float:
        self.refresh()
        self.fault = ""
        return settings.CHANGE_POLL_SECONDS

    def _failed(self, error: Exception, before: int) -> float:
        """Stay with the last snapshot, whatever is wrong, and say so once."""
        if not before:
            logger.warning("The directory can't be refreshed (%s); going on with the last one.", type(error).__name__)
        self.fault = type(error).__name__
        connection.close()
        return BACKOFF_SECONDS

    def refresh(self) -> None:
        """Take in what the feed has news of. Raises ``DatabaseError`` when the database is unavailable."""
        renew_connections()
        now = time.monotonic()
        if not self.loaded or now - self._reloaded_at > FULL_RELOAD_SECONDS:
            self._reload_all(now)
        else:
            news = self._news()
            if news:
                self._take_in(list(news.values()))
            self._settle(news, now)
        self.refreshed_at = now
        if now - self._pruned_at > FEED_RETENTION_SECONDS / 6:
            self._pruned_at = now
            self._prune()

    # --- the feed ---------------------------------------------------------------------------------------------------
    def _news(self) -> dict[int, tuple[str, str]]:
        with connection.cursor() as cursor:
            cursor.execute(NEWS, [self._floor])
            rows = cursor.fetchall()
        return {row_id: (kind, object_id) for row_id, kind, object_id in rows if row_id not in self._seen}

    def _settle(self, news: Iterable[int], now: float) -> None:
        """Note that the snapshot has the news: only now, for a database that failed in between must be asked again."""
        self._seen.update(dict.fromkeys(news, now))
        window = self._late_commit_seconds()
        for row_id in list(self._seen):
            if now - self._seen[row_id] < window:
                break
            del self._seen[row_id]
            self._floor = max(self._floor, row_id)

    def _take_in(self, news: list[tuple[str, str]]) -> None:
        tokens: set[str] = set()
        subjects: set[tuple[str, str]] = set()
        accounts: set[int] = set()
        reload_tokens = reload_accounts = reload_rules = False
        for kind, object_id in news:
            if kind == RULE_KIND:
                reload_rules = True
            elif kind == TOKEN_KIND and object_id:
                tokens.add(object_id)
            elif kind in SUBJECT_FILTERS and object_id:
                subjects.add((SUBJECT_FILTERS[kind], object_id))
            elif kind == TEAM_KIND and object_id:
                subjects |= {(column, object_id) for column in TEAM_FILTERS}
                key = f"team:{object_id}"
                reload_rules = True  # rules know a team by its name
                tokens |= {str(caller.token_id) for caller in self._tokens.values() if key in caller.team_keys}
            elif kind.startswith("accounts."):
                reload_tokens = True
            elif kind == ACCOUNT_KIND and object_id:
                accounts.add(int(object_id))
            elif not kind.startswith(UNHELD):
                reload_accounts = True
        if reload_tokens or len(tokens) + len(subjects) > FEW_TOKENS:
            self._load_all_tokens()
        elif tokens or subjects:
            self._load_tokens([("pk", pk) for pk in tokens] + sorted(subjects))
        if reload_accounts or len(accounts) > FEW_ACCOUNTS:
            self.accounts = account_snapshots(self.accounts)
        elif accounts:
            self.accounts = account_snapshots(self.accounts, accounts)
        if reload_rules:
            self._load_rules()
        elif reload_accounts or accounts:
            self.rules = nest_rules(self.rules, self.accounts)
        self._on_change()

    def _reload_all(self, now: float) -> None:
        # The feed's end is read before the tables: what changes while they load is taken in again afterwards.
        settled = database_now() - timedelta(seconds=self._late_commit_seconds())
        self._floor = Change.objects.filter(created_at__lt=settled).aggregate(end=Max("id"))["end"] or 0
        recent = Change.objects.filter(id__gt=self._floor).order_by("id").values_list("id", flat=True)
        self._seen = dict.fromkeys(recent, now)
        self._load_all_tokens()
        self.accounts = account_snapshots(self.accounts)
        self._load_rules()
        if not self.loaded:
            self._say_missing()
        self._reloaded_at = now
        self.loaded = True
        self._on_change()

    @staticmethod
    def _late_commit_seconds() -> float:
        # SQLite has one writer at a time, so ids become visible in their order.
        return 1.0 if connection.vendor == "sqlite" else LATE_COMMIT_SECONDS

    def _prune(self) -> None:
        old = database_now() - timedelta(seconds=FEED_RETENTION_SECONDS)
        doomed = list(
            Change.objects.filter(created_at__lt=old).order_by("id").values_list("id", flat=True)[:FEED_PRUNE_ROWS]
        )
        if doomed:
            Change.objects.filter(id__lte=doomed[-1]).delete()

    def _load_rules(self) -> None:
        rules = compiled.load()
        log_barred_of_rules(rules, self.rules)
        self.rules = nest_rules(rules, self.accounts) or None

    @staticmethod
    def _say_missing() -> None:
        """Log at start which rules name what is not there: one that can fit no call must not be silent about it."""
        for found in missing(Rule.objects.filter(enabled=True)):
            logger.warning("%s", found)

    # --- building ---------------------------------------------------------------------------------------------------
    def _load_all_tokens(self) -> None:
        held, last = set(self._digests), 0
        while page := list(_token_rows().filter(pk__gt=last).order_by("pk")[:PAGE_TOKENS]):
            self._hold(page)
            last = page[-1].pk
            held.difference_update(token.pk for token in page)
            if self.loaded:
                self._take_in_urgent()
                self._thread.stopping.wait(PAGE_PAUSE_SECONDS)
        self._drop(held)

    def _take_in_urgent(self) -> None:
        """Take in news of single tokens and holders while all are loaded: a revocation must not wait for the end of
        that."""
        urgent = {
            row_id: (TOKEN_FILTERS[kind], object_id)
            for row_id, (kind, object_id) in self._news().items()
            if kind in TOKEN_FILTERS and object_id
        }
        if urgent:
            conditions = list(dict.fromkeys(urgent.values()))
            for start in range(0, len(conditions), FEW_TOKENS):
                self._load_tokens(conditions[start : start + FEW_TOKENS])
            self._seen.update(dict.fromkeys(urgent, time.monotonic()))
            self._on_change()

    def _load_tokens(self, conditions: list[tuple[str, str]]) -> None:
        """Load the tokens that match any of ``(column, value)``."""
        condition = Q()
        for column, value in conditions:
            condition |= Q(**{column: value})
        found = list(_token_rows().filter(condition))
        self._hold(found)
        self._drop(set(self._affected(conditions)) - {token.pk for token in found})

    def _hold(self, tokens: Iterable[ApiToken]) -> None:
        for token in tokens:
            self._tokens[token.digest] = caller_of(token)
            self._digests[token.pk] = token.digest

    def _drop(self, token_ids: Iterable[int]) -> None:
        for token_id in token_ids:
            self._tokens.pop(self._digests.pop(token_id, ""), None)

    def _affected(self, conditions: Iterable[tuple[str, str]]) -> Iterable[int]:
        """Yield the ids of the tokens we hold that the conditions speak of: those not found again are gone."""
        holders = set()
        for column, value in conditions:
            if column == "pk":
                yield int(value)
            elif column in SUBJECT_FILTERS.values():
                holders.add(("user" if column == "user_id" else "virtualaccount", int(value)))
        if holders:
            held = list(self._tokens.values())
            yield from (c.token_id for c in held if (c.subject_type, c.subject_id) in holders)
