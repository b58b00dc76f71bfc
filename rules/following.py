"""Rules and the accounts that they send calls to: they follow one when it is renamed, and no other takes its place."""

from typing import Any

from providers.account import Named
from providers.routing.shape import renamed_targets
from rules import routes
from rules.models import ROWS, RoutingRule


def rules_follow(sender: Any, old: str, new: str, **kwargs: Any) -> None:
    """Let the targets of rules go with their account when it is renamed: its old name may be another's."""
    for kind in ("routing", "budget"):
        for rule in ROWS[kind].objects.select_for_update(of=("self",)):
            effect = renamed_targets(rule.effect, old, new)
            if effect != rule.effect:
                rule.effect = effect
                rule.save()


def rules_naming(sender: Any, name: str, **kwargs: Any) -> list[Named]:
    """Return the routing rules that have a target on an account of this name. A budget's cheaper model is not one:
    only who may call it is moved there."""
    return [
        Named(f"the routing rule {rule}", (rule.form, rule.group or rule.name))
        for rule in RoutingRule.objects.all()
        if any(target.partition("/")[0] == name for target in routes.target_names(rule.effect))
    ]
