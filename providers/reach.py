"""Which accounts a routing reaches, through other virtual models, too: who writes it must manage all of them."""

from collections.abc import Collection, Iterable

from providers.models import Alias, known_targets


def foreign_targets(names: Iterable[str], managed: Collection[str]) -> list[str]:
    """Return those targets, of ``names`` like ``account/model``, whose calls may go to another account than the
    ``managed`` ones, former names resolved. One that does so through virtual models says that."""
    graph, present = known_targets().targets, _Present()
    found: list[str] = []
    for name in names:
        first = present(name)
        if first.partition("/")[0] not in managed:
            found.append(name)
            continue
        reached = [first]
        for each in reached:
            reached += [inner for inner in map(present, graph.get(each, ())) if inner not in reached]
        if any(each.partition("/")[0] not in managed for each in reached):
            found.append(f"{name} (through it, calls reach models of other accounts)")
    return found


class _Present:
    """Says what a name means now, which may be a former one."""

    def __init__(self) -> None:
        self.accounts: dict[str, str] = {}
        self.models: dict[tuple[str, str], str] = {}
        for account, model, name in Alias.objects.values_list("account__name", "model__name", "name"):
            if model is None:
                self.accounts[name] = account
            else:
                self.models[account, name] = model

    def __call__(self, name: str) -> str:
        account, _, model = name.partition("/")
        account = self.accounts.get(account, account)
        return f"{account}/{self.models.get((account, model), model)}"
