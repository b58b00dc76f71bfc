"""What the targets of virtual models must be: there, and, where they are virtual models themselves, no way back."""

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any

from providers.routing import shape
from providers.routing.nesting import MOST_DEPTH, MOST_LEAVES, said
from providers.routing.overriding import choosing_headers

Graph = Mapping[str, Sequence[str]]
"""The names of the targets of each virtual model."""


@dataclass(frozen=True, slots=True)
class Known:
    """What targets may name: accounts, with whether they have virtual models only; models, as ``account/model``; the
    accounts that pass on any name; and of virtual models the names of their targets."""

    accounts: Mapping[str, bool]
    models: Set[str]
    open_accounts: Set[str]
    targets: Mapping[str, Sequence[str]]


def target_faults(name: str, config: Mapping[str, Any], known: Known) -> list[str]:
    """Return what is wrong with the targets of the virtual model ``name``: those that are not there, a way that comes
    back to its beginning, and more depth or targets than a virtual model may have, also of those that it is in."""
    faults = [fault for target in shape.target_names(config) if (fault := _absence(target, known))]
    faults += _header_faults(config, known)
    mirror = shape.mirror_name(config)
    if mirror is not None and known.accounts.get(mirror.partition("/")[0]):
        faults.append(f"{mirror}: a virtual model can't be the mirror of another one.")
    graph = {**known.targets, name: shape.routed_names(config)}
    cycle = _cycle(graph, name, (), set())
    if cycle:
        return [
            *faults,
            f"{cycle[1]}: the virtual models lead back to themselves: {said(cycle)}. Take one of them out.",
        ]
    for each in _above(graph, name):
        if _cycle(graph, each, (), set()):
            continue  # by another way than this one's
        way, count = _longest(graph, each), _count(graph, each)
        if len(way) > MOST_DEPTH:
            faults.append(f"{said(way)}: at most {MOST_DEPTH} virtual models may follow one another.")
        if count > MOST_LEAVES:
            faults.append(f"{each} would have {count} targets in all; at most {MOST_LEAVES}.")
    return faults


def _absence(target: str, known: Known) -> str:
    account = target.partition("/")[0]
    if account not in known.accounts:
        return f"{target}: the provider account {account!r} does not exist."
    if target not in known.models and account not in known.open_accounts:
        return f"{target}: the account has no such model."
    return ""


def _header_faults(config: Mapping[str, Any], known: Known) -> Iterator[str]:
    for target in config["load_balance_targets"]:
        changes = target.get("headers_override") or {}
        names = choosing_headers((*(changes.get("set") or {}), *(changes.get("remove") or ())))
        if names and target["target"] in known.targets:
            yield (
                f"{target['target']}: headers_override of a virtual model can't set or remove {', '.join(names)}, "
                "which choose an organization or project. Write them at that virtual model's own targets, or in the "
                "account."
            )


def _cycle(graph: Graph, name: str, way: tuple[str, ...], clear: set[str]) -> tuple[str, ...]:
    """Return a way from ``name`` that comes back to itself; empty when there is none. ``clear`` are names from which
    none does."""
    if name in way:
        return (*way[way.index(name) :], name)
    if name in clear:
        return ()
    for inner in graph.get(name, ()):
        found = _cycle(graph, inner, (*way, name), clear)
        if found:
            return found
    clear.add(name)
    return ()


def _above(graph: Graph, name: str) -> list[str]:
    """Return the virtual model and those that lead to it."""
    found = [name]
    for each in found:
        found += [outer for outer, targets in graph.items() if each in targets and outer not in found]
    return found


def _longest(graph: Graph, name: str) -> tuple[str, ...]:
    """Return the longest way over virtual models from ``name``; a graph without cycles."""
    inner = [_longest(graph, each) for each in graph[name] if each in graph]
    return (name, *max(inner, key=len, default=()))


def _count(graph: Graph, name: str) -> int:
    return sum(_count(graph, each) if each in graph else 1 for each in graph[name])
