"""Which accounts a routing reaches, through other virtual models, too: who writes it must manage all of them. And which
virtual models name an account: they follow it when it is renamed, and no other account comes in its place.
"""

from collections.abc import Collection, Iterable
from typing import Any

from providers.account import Named
from providers.models import Model, known_targets
from providers.routing.shape import renamed_targets, target_names


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


def virtual_models_follow(sender: Any, old: str, new: str, **kwargs: Any) -> None:
    """Let the targets of virtual models go with their account when it is renamed: its old name may be another's."""
    for model in Model.objects.exclude(routing={}).select_for_update(of=("self",)):
        routing = renamed_targets(model.routing, old, new)
        if routing != model.routing:
            model.routing = routing
            model.save()


def virtual_models_naming(sender: Any, name: str, **kwargs: Any) -> list[Named]:
    """Return the virtual models that have a target on an account of this name."""
    rows = Model.objects.exclude(routing={}).order_by("account__name", "name")
    return [
        Named(f"the virtual model {account}/{model}", ("virtual-model", f"{account}/{model}"))
        for account, model, routing in rows.values_list("account__name", "name", "routing")
        if any(target.partition("/")[0] == name for target in target_names(routing))
    ]
