"""What the targets of virtual models must be: there, and, where they are virtual models themselves, no way back."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from providers.routing import shape
from providers.routing.nesting import MOST_DEPTH, MOST_LEAVES, said
from providers.routing.overriding import choosing_headers

Graph = Mapping[str, Sequence[str]]
"""The names of the targets of each virtual model."""


@dataclass(frozen=True, slots=True)
class Known:
    """What targets may name: accounts, with whether they have virtual models only; models, as ``account/model``; the
    accounts that pass on any name; of virtual models the names of their targets, which become the present ones; and
    the present names by former ones. ``outer`` are those that name one as their target."""

    accounts: Mapping[str, bool]
    models: Set[str]
    open_accounts: Set[str]
    targets: Mapping[str, Sequence[str]]
    former_accounts: Mapping[str, str] = field(default_factory=dict)
    former_models: Mapping[str, str] = field(default_factory=dict)
    outer: Mapping[str, Sequence[str]] = field(init=False)

    def __post_init__(self) -> None:
        targets = {name: [self.present(target) for target in names] for name, names in self.targets.items()}
        outer: dict[str, list[str]] = {}
        for name, names in targets.items():
            for target in names:
                outer.setdefault(target, []).append(name)
        object.__setattr__(self, "targets", targets)
        object.__setattr__(self, "outer", outer)

    def present(self, name: str) -> str:
        """Return the present name of what ``name`` leads to, as calls find it: a live name comes first."""
        account, _, model = name.partition("/")
        account = account if account in self.accounts else self.former_accounts.get(account, account)
        name = f"{account}/{model}"
        return name if name in self.models else self.former_models.get(name, name)

    def renamed(self, old: str, new: str) -> "Known":
        """Return what is known once the model ``old`` is called ``new``. What names it by the old name is taken to
        reach it, as when that is kept."""
        former = {each: new if name == old else name for each, name in self.former_models.items() if each != new}
        return replace(
            self,
            models=(self.models - {old}) | {new},
            targets={new if name == old else name: names for name, names in self.targets.items()},
            former_models={**former, old: new},
        )


def target_faults(name: str, config: Mapping[str, Any], known: Known) -> list[str]:
    """Return what is wrong with the targets of the virtual model ``name``: those that are not there, a way that comes
    back to its beginning, and more depth or targets than a virtual model may have, also of those that it is in."""
    faults = [fault for target in shape.target_names(config) if (fault := _absence(target, known))]
    faults += _header_faults(config, known)
    mirror = shape.mirror_name(config)
    if mirror is not None and known.accounts.get(known.present(mirror).partition("/")[0]):
        faults.append(f"{mirror}: a virtual model can't be the mirror of another one.")
    targets = [known.present(target) for target in shape.routed_names(config)]
    ways = _Ways({**known.targets, name: targets})
    cycle = ways.cycle(name)
    if cycle:
        return [
            *faults,
            f"{cycle[1]}: the virtual models lead back to themselves: {said(cycle)}. Take one of them out.",
        ]
    for each in _above(known.outer, name):
        if ways.cycle(each):
            continue  # by another way than this one's
        way, count = ways.longest(each), ways.behind[each].leaves
        if len(way) > MOST_DEPTH:
            faults.append(f"{said(way)}: at most {MOST_DEPTH} virtual models may follow one another.")
        if count > MOST_LEAVES:
            faults.append(f"{each} would have {count} targets in all; at most {MOST_LEAVES}.")
    return faults


def _absence(target: str, known: Known) -> str:
    target_now = known.present(target)
    account = target_now.partition("/")[0]
    if account not in known.accounts:
        return f"{target}: the provider account {account!r} does not exist."
    if target_now not in known.models and account not in known.open_accounts:
        return f"{target}: the account has no such model."
    return ""


def _header_faults(config: Mapping[str, Any], known: Known) -> Iterator[str]:
    for target in config["load_balance_targets"]:
        changes = target.get("headers_override") or {}
        names = choosing_headers((*(changes.get("set") or {}), *(changes.get("remove") or ())))
        if names and known.present(target["target"]) in known.targets:
            yield (
                f"{target['target']}: headers_override of a virtual model can't set or remove {', '.join(names)}, "
                "which choose an organization or project. Write them at that virtual model's own targets, or in the "
                "account."
            )


@dataclass(frozen=True, slots=True)
class _Behind:
    """What is behind a virtual model: how many targets, how many virtual models one after another (itself included),
    and with which of its own targets those go on. It has at most :data:`MOST_DEPTH` times as many virtual models as
    targets, as each of them has one."""

    leaves: int
    depth: int
    deepest: str


class _Ways:
    """What is behind the virtual models of a graph, each looked at once."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.behind: dict[str, _Behind] = {}

    def cycle(self, name: str) -> tuple[str, ...]:
        """Return a way from ``name`` that comes back to itself; empty when there is none, and all is measured."""
        if name in self.behind:
            return ()
        way = {name: iter(self.graph[name])}
        while way:
            last = next(reversed(way))
            inner = next((each for each in way[last] if each in self.graph and each not in self.behind), None)
            if inner is None:
                self.behind[last] = self._measured(last)
                del way[last]
            elif inner in way:
                names = list(way)
                return (*names[names.index(inner) :], inner)
            else:
                way[inner] = iter(self.graph[inner])
        return ()

    def _measured(self, name: str) -> _Behind:
        targets = self.graph[name]
        inner = [each for each in targets if each in self.graph]
        leaves = len(targets) - len(inner) + sum(self.behind[each].leaves for each in inner)
        deepest = max(inner, key=lambda each: self.behind[each].depth, default="")
        return _Behind(leaves, 1 + (self.behind[deepest].depth if deepest else 0), deepest)

    def longest(self, name: str) -> tuple[str, ...]:
        """Return the longest way over virtual models from ``name``, which is measured."""
        way = [name]
        while self.behind[way[-1]].deepest:
            way.append(self.behind[way[-1]].deepest)
        return tuple(way)


def _above(outer: Mapping[str, Sequence[str]], name: str) -> list[str]:
    """Return the virtual model and those that lead to it."""
    found = dict.fromkeys([name])
    for each in (left := [name]):
        new = [one for one in outer.get(each, ()) if one not in found]
        found |= dict.fromkeys(new)
        left += dict.fromkeys(new)
    return list(found)
