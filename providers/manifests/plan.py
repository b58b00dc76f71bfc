"""A plan: what applying manifests adds, changes and removes, for people and for programs. It never holds a secret."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Literal

from django.db.models import Model as DjangoModel

Action = Literal["add", "change", "remove", "keep"]
SIGNS: dict[Action, str] = {"add": "+", "change": "~", "remove": "-", "keep": "="}


@dataclass(frozen=True, slots=True)
class Change:
    """A field that gets another value. A secret's values stay out: ``note`` says what happens to it."""

    field: str
    old: Any = None
    new: Any = None
    note: str = ""

    def __str__(self) -> str:
        return f"{self.field}: {self.note}" if self.note else f"{self.field}: {_shown(self.old)} -> {_shown(self.new)}"

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        if self.note:
            return {"field": self.field, "note": self.note}
        return {"field": self.field, "old": _plain(self.old), "new": _plain(self.new)}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is added, changed, removed, or kept as it is."""

    action: Action
    kind: str
    name: str
    changes: tuple[Change, ...] = ()
    detail: str = ""


@dataclass(slots=True)
class Plan:
    """All steps, in the order in which they are done, and notes for the operator."""

    dry_run: bool = False
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, action: Action, kind: str, name: str, *changes: Change, detail: str = "") -> None:
        """Append a step."""
        self.steps.append(Step(action, kind, name, changes, detail))

    @property
    def changed(self) -> bool:
        """Whether anything is added, changed or removed."""
        return any(step.action != "keep" for step in self.steps)

    def count(self, action: Action) -> int:
        """Return how many steps do ``action``."""
        return Counter(step.action for step in self.steps)[action]

    def lines(self) -> list[str]:
        """Return the plan for people: a line per step that does something, and one that sums up."""
        shown = []
        for step in self.steps:
            if step.action == "keep":
                continue
            shown.append(f"{SIGNS[step.action]} {step.kind} {step.name}" + (f" ({step.detail})" if step.detail else ""))
            shown.extend(f"    {change}" for change in step.changes)
        kept = f"{self.count('keep')} unchanged"
        if not self.changed:
            return [f"Nothing to do: {kept}."]
        verb = "Would add" if self.dry_run else "Added"
        end = " Nothing is written in a dry run." if self.dry_run else ""
        counts = f"{self.count('add')}, changed {self.count('change')}, removed {self.count('remove')}; {kept}."
        return [*shown, f"{verb} {counts}{end}"]

    def as_dict(self) -> dict[str, Any]:
        """Return the plan for programs."""
        return {
            "dry_run": self.dry_run,
            "changed": self.changed,
            "counts": {action: self.count(action) for action in SIGNS},
            "steps": [
                {
                    "action": step.action,
                    "kind": step.kind,
                    "name": step.name,
                    "detail": step.detail,
                    "changes": [change.as_dict() for change in step.changes],
                }
                for step in self.steps
            ],
            "notes": self.notes,
        }


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, DjangoModel):
        return str(value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return value


def _shown(value: Any) -> str:
    plain = _plain(value)
    return plain if isinstance(value, Decimal) else json.dumps(plain, ensure_ascii=False, default=str)
