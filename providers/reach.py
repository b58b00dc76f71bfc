"""Which accounts a routing reaches, through other virtual models, too: who writes it must manage all of them."""

from collections.abc import Collection, Iterable

from providers.models import known_targets


def foreign_targets(names: Iterable[str], managed: Collection[str]) -> list[str]:
    """Return those targets, of ``names`` like ``account/model``, whose calls may go to another account than the
    ``managed`` ones, former names resolved. One that does so through virtual models says that."""
    known = known_targets()
    found: list[str] = []
    for name in names:
        first = known.present(name)
        if first.partition("/")[0] not in managed:
            found.append(name)
            continue
        reached = [first]
        for each in reached:
            reached += [inner for inner in known.targets.get(each, ()) if inner not in reached]
        if any(each.partition("/")[0] not in managed for each in reached):
            found.append(f"{name} (through it, calls reach models of other accounts)")
    return found
