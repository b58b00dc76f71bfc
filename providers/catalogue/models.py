"""The models that vendors really offer, from a data file that ships with Gatehouse: no network is needed.

``catalogue.json`` says what each may be called for and what it can do; prices come from the public price list at the
moment they are asked for. ``tools/build_catalogue.py`` makes the file.
"""

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal

from django.db import transaction

from providers.models import Model, ProviderAccount
from providers.pricing.public import PriceSheet, public_sheet
from providers.pricing.text import sheet_text
from providers.vendors import VENDORS

DATA = Path(__file__).with_name("catalogue.json")
REFRESHED = ("features", "context_window", "max_output_tokens", "deprecated_on")


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model as its vendor offers it. ``deprecated_on`` is the day of its shutdown, past or announced."""

    kind: str
    name: str
    model_types: tuple[str, ...]
    features: tuple[str, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    deprecated_on: date | None = None

    def retired(self, today: date | None = None) -> bool:
        """Whether the vendor has shut it down."""
        return self.deprecated_on is not None and self.deprecated_on <= (today or datetime.now(UTC).date())

    @property
    def sheet(self) -> PriceSheet | None:
        """Its public prices now, or ``None`` when the price list doesn't know it."""
        return public_sheet(VENDORS[self.kind].price_source, self.name)

    @property
    def price(self) -> str:
        """Its public prices in words, tokens per million; ``unpriced`` when the price list doesn't know it."""
        return sheet_text(self.sheet)

    def as_model(self, account: ProviderAccount) -> Model:
        """Return it as a model of ``account``, not saved, at the public price."""
        return Model(
            account=account,
            name=self.name,
            upstream_id=self.name,
            model_types=list(self.model_types),
            features=list(self.features),
            context_window=self.context_window,
            max_output_tokens=self.max_output_tokens,
            deprecated_on=self.deprecated_on,
        )


@dataclass(frozen=True, slots=True)
class Seeded:
    """What seeding did, or would do, with one model. ``fields`` are those that a refresh changed."""

    name: str
    action: Literal["add", "change", "keep"]
    fields: tuple[str, ...] = ()


def kind_of(account: ProviderAccount) -> str:
    """Return the kind whose models the catalogue lists for an account: at Vertex AI's OpenAI-compatible address they
    have other names.
    """
    kind: str = account.vendor.kind if account.kind == "google-vertex" else account.kind
    return kind


@cache
def known_models(kind: str) -> tuple[KnownModel, ...]:
    """Return the models that the catalogue lists for a kind of account, by name; empty when it knows none."""
    return tuple(_known(kind, row) for row in json.loads(DATA.read_text()).get(kind, ()))


def known_model(kind: str, name: str) -> KnownModel | None:
    """Return the catalogue's entry of one model, or ``None``."""
    return _by_name(kind).get(name)


@cache
def _by_name(kind: str) -> dict[str, KnownModel]:
    return {known.name: known for known in known_models(kind)}


def _known(kind: str, row: dict[str, Any]) -> KnownModel:
    day = row.get("deprecated_on")
    return KnownModel(
        kind=kind,
        name=row["name"],
        model_types=tuple(row["model_types"]),
        features=tuple(row["features"]),
        context_window=row.get("context_window"),
        max_output_tokens=row.get("max_output_tokens"),
        deprecated_on=date.fromisoformat(day) if day else None,
    )


def choose(kind: str, names: Iterable[str]) -> list[KnownModel]:
    """Return the catalogue's entries of ``names``; with no names, of all that the vendor has not shut down.

    Raises ``ValueError`` that names what is unknown and what is near it.
    """
    names = list(names)
    known = _by_name(kind)
    if not known:
        raise ValueError(
            f"The catalogue lists no models of {VENDORS[kind].label}. Add them in the admin or a manifest."
        )
    if not names:
        return [entry for entry in known.values() if not entry.retired()]
    faults = []
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3)
            faults.append(f"{name!r} is not in the catalogue." + (f" Near it: {', '.join(near)}." if near else ""))
    if faults:
        raise ValueError(" ".join(faults))
    return [known[name] for name in dict.fromkeys(names)]


@transaction.atomic
def seed(
    account: ProviderAccount, wanted: Iterable[KnownModel], *, refresh: bool = False, dry_run: bool = False
) -> list[Seeded]:
    """Add those of ``wanted`` that ``account`` doesn't have, at public prices; return what was done, a row per model.

    A model that is there is kept as it is. ``refresh`` brings its features, context window, longest answer and shutdown
    day up to date; its name, model types, price and access stay the operator's.
    """
    present = {model.name: model for model in account.models.all()}
    done: list[Seeded] = []
    new: list[Model] = []
    for known in wanted:
        fresh = known.as_model(account)
        model = present.get(known.name)
        if model is None:
            new.append(fresh)
            done.append(Seeded(known.name, "add"))
            continue
        stale = [field for field in REFRESHED if getattr(model, field) != getattr(fresh, field)] if refresh else []
        done.append(Seeded(known.name, "change" if stale else "keep", tuple(stale)))
        if stale and not dry_run:
            for field in stale:
                setattr(model, field, getattr(fresh, field))
            model.save(update_fields=stale)
    if new and not dry_run:
        for model in new:
            model.full_clean(exclude=["account"])
        Model.objects.bulk_create(new)
    return done
