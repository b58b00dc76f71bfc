"""What usage records would cost by today's configuration: the prices that hold for the moment when each call ended.

Discount and region's surcharge are the account's present ones; prices are as of the call's end, where the public list
or a private price says when they change.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Final

import msgspec
from django.db.models import Q

from gateway.billing import pricing
from gateway.billing.usage import REPORTED
from gateway.directory.accounts import unlisted_model
from gateway.jobs.upstream import load_account
from gateway.pipeline.records import INCOMPLETE, NO_MODEL, UNKNOWN_MODEL, served_target
from providers.pricing.current import Prices, fixed_prices
from providers.snapshot import AccountSnapshot, ModelSnapshot, Target
from usage.models import UsageRecord
from usage.ratings import Change, Price, attempt_of, price_of
from usage.records import AttemptRecord

CHUNK: Final = 500
REDECIDED: Final = {UNKNOWN_MODEL, NO_MODEL}
"""Gaps that are there for want of a price, and are decided again."""
THEIRS: Final = "priced by the provider"
FREE: Final = "free, whatever the prices"
UNKNOWN_USAGE: Final = "the usage is not known"
GONE: Final = "the model is gone"
UNLISTED: Final = "no price holds for it now"

Wanted = tuple[date, str]


@dataclass(slots=True)
class Sums:
    """Records of a model's day: what they cost before and after, in pico-dollars, and how many had, or get, a
    price."""

    records: int = 0
    changed: int = 0
    before: int = 0
    after: int = 0
    unpriced_before: int = 0
    unpriced_after: int = 0

    def add(self, before: Price, after: Price) -> None:
        """Count a record."""
        self.records += 1
        self.changed += before != after
        self.before += before.cost_pico or 0
        self.after += after.cost_pico or 0
        self.unpriced_before += before.cost_pico is None
        self.unpriced_after += after.cost_pico is None


@dataclass(slots=True)
class Found:
    """What was looked at: sums by day (UTC) and model, and why others can't be rated, with how many."""

    sums: dict[Wanted, Sums] = field(default_factory=dict)
    left: Counter[str] = field(default_factory=Counter)

    @property
    def looked_at(self) -> int:
        """How many records there were."""
        return sum(sums.records for sums in self.sums.values()) + self.left.total()


class Rating:
    """Prices the records of one account again. Raises ``gateway.jobs.upstream.AccountGone`` when it can't be read."""

    def __init__(self, account_name: str) -> None:
        self.account = load_account(account_name, even_disabled=True)
        self._frozen: dict[tuple[Prices, float], ModelSnapshot] = {}

    def wanted(self, since: datetime, until: datetime, models: Iterable[str] = (), *, unpriced: bool = False) -> Q:
        """Return which records are meant; ``models`` are public names, or what the provider calls them."""
        names = (self.account.name, *self.account.aliases)
        wanted = Q(account__in=names, created_at__gte=since, created_at__lt=until, attempt_number__gte=1)
        if asked := [*models]:
            full = [f"{self.account.name}/{name}" for name in asked]
            either = [*asked, *full]
            wanted &= Q(model_asked__in=either) | Q(model_resolved__in=either) | Q(model_served__in=asked)
        return wanted & Q(cost_pico=None) if unpriced else wanted

    def changes(self, wanted: Q, found: Found) -> Iterator[list[Change]]:
        """Yield the changes of the records that are meant, oldest first, of some records at a time; count in
        ``found``."""
        records = UsageRecord.objects.filter(wanted).order_by("created_at", "id")
        page = list(records[:CHUNK])
        while page:
            yield [change for record in page if (change := self._change(record, found)) is not None]
            last = page[-1]
            after = Q(created_at__gt=last.created_at) | Q(id__gt=last.id)
            page = list(records.filter(after, created_at__gte=last.created_at)[:CHUNK])

    def _change(self, record: UsageRecord, found: Found) -> Change | None:
        before, after = price_of(record), self.price(attempt_of(record))
        if isinstance(after, str):
            found.left[after] += 1
            return None
        if after.cost_pico is None and before.cost_pico is not None:
            found.left[UNLISTED] += 1
            return None
        model = record.model_resolved or record.model_asked or record.model_served
        found.sums.setdefault((record.created_at.date(), model), Sums()).add(before, after)
        return Change(record.id, record.created_at, before, after) if before != after else None

    def price(self, record: AttemptRecord) -> Price | str:
        """Return what a record costs by the present configuration, or why that can't be said."""
        gaps = record.price_gaps.split(",") if record.price_gaps else []
        target = self._target(record)
        if record.price_version == REPORTED:
            return THEIRS
        if record.cost_pico == 0 and not record.price_version:
            return FREE
        if INCOMPLETE in gaps:
            return UNKNOWN_USAGE
        if target is None:
            return GONE
        # A correction has the counts of what it takes back, below zero: it is rated as that, and turned.
        sign = -1 if (record.cost_pico or 0) < 0 else 1
        counts = {name: sign * getattr(record, name) for name in pricing.TOKEN_FIELDS}
        units = {name: sign * count for name, count in record.units.items()}
        rated = msgspec.structs.replace(record, **counts, units=units, cost_pico=None, price_version="", price_gaps="")
        used = pricing.billed_units(rated)
        pricing.add_gaps(rated, *(gap for gap in gaps if gap not in used and gap not in REDECIDED))
        self._price(rated, target)
        if rated.cost_pico is not None:
            rated.cost_pico *= sign
        elif NO_MODEL in gaps:
            pricing.add_gaps(rated, NO_MODEL)
        return price_of(rated)

    def _price(self, record: AttemptRecord, target: Target) -> None:
        ended = (record.started_at + record.latency_us) / 1_000_000
        if record.service_tier == pricing.BATCH_TIER:
            pricing.price_batch_line(record, self._at(target, ended))
            return
        served = served_target(record, target)
        pricing.price(record, self._at(served, ended))

    def _target(self, record: AttemptRecord) -> Target | None:
        account = self.account
        for name in (record.model_resolved, record.model_asked):
            model = account.models.get(_own_name(account, name)) if name else None
            if model is not None and model.routing is None:
                return Target(account, model)
        known = account.upstream_ids.get(record.model_served.lower())
        if known is not None:
            return Target(account, known)
        named = record.model_resolved and not account.any_model
        return None if named else Target(account, unlisted_model(account, record.model_served))

    def _at(self, target: Target, moment: float) -> Target:
        """Return the target with the prices that held at ``moment``."""
        model = target.model
        if model.prices is None:
            return target
        period = model.prices.at(moment)
        key = model.prices, period.since
        if key not in self._frozen:
            self._frozen[key] = replace(model, prices=fixed_prices(period.sheet))
        return Target(target.account, self._frozen[key])


def _own_name(account: AccountSnapshot, name: str) -> str:
    """Return a model's name without its account's."""
    before, _, after = name.partition("/")
    return after if before in (account.name, *account.aliases) else name
