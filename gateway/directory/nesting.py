"""Resolves the virtual models that other virtual models, and routing rules, have as targets: in the snapshot, whenever
accounts or rules change."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from providers.routing.compiled import RoutedTarget, Routing
from providers.routing.nesting import Find, Inner, nested, nested_target
from providers.snapshot import AccountSnapshot, ByName, ModelSnapshot
from rules.compiled import RuleSet
from rules.routes import Route

logger = logging.getLogger("gateway.directory.directory")

MOST_LOGGED: Final = 3
"""So many targets that are left out are named for each virtual model."""


def find_in(accounts: ByName[AccountSnapshot]) -> Find:
    """Return what says which virtual model a target names."""
    virtual = {name for name, account in (*accounts.items(), *accounts.aliases.items()) if account.vendor.virtual}
    known: dict[str, Inner | None] = {}

    def find(target: RoutedTarget) -> Inner | None:
        if target.account not in virtual:
            return None
        if target.name not in known:
            known[target.name] = found(target)
        return known[target.name]

    def found(target: RoutedTarget) -> Inner | None:
        account = accounts[target.account]
        model: ModelSnapshot | None = account.models.get(target.model)
        if model is None or model.routing is None:
            return None
        return Inner(model.public_name, account.enabled and model.enabled, model.model_types, model.routing.stored)

    return find


def nest(
    accounts: ByName[AccountSnapshot], last: Mapping[str, AccountSnapshot] | None = None
) -> ByName[AccountSnapshot]:
    """Return the accounts with the targets of their virtual models resolved; the same object where nothing changes.

    Of ``last``, which were resolved, the routings are kept that are stored as they were and lead where they did. A
    target that leads back to itself, that is too deep, or that has too much behind it, stays out of every call, and is
    logged: it can only be stored by two who save at once.
    """
    accounts = _each(accounts, lambda account: _kept(account, (last or {}).get(account.name)))
    find = find_in(accounts)
    return _each(accounts, lambda account: _resolved(account, find))


def _each(
    accounts: ByName[AccountSnapshot], made: Callable[[AccountSnapshot], AccountSnapshot]
) -> ByName[AccountSnapshot]:
    """Return the accounts with what is ``made`` of the virtual ones; the same object where nothing changes."""
    changed = {
        account.name: new
        for account in accounts.values()
        if account.vendor.virtual and (new := made(account)) is not account
    }
    if not changed:
        return accounts
    return ByName(
        {name: changed.get(name, account) for name, account in accounts.items()},
        {alias: changed.get(account.name, account) for alias, account in accounts.aliases.items()},
    )


def _kept(account: AccountSnapshot, last: AccountSnapshot | None) -> AccountSnapshot:
    """Return an account that was read again with the routings of its ``last`` snapshot that are stored as they were.

    Of the others, targets that may not be followed are logged.
    """
    if last is account:
        return account
    changed: dict[str, ModelSnapshot] = {}
    for name, model in account.models.items():
        if model.routing is None:
            continue
        before = last.models.get(name) if last is not None else None
        routing = before.routing if before is not None and before.public_name == model.public_name else None
        if routing is not None and routing.stored == model.routing:
            changed[name] = replace(model, routing=routing)
        else:
            _log_barred(model.public_name, model.routing)
    return _with_models(account, changed)


def _resolved(account: AccountSnapshot, find: Find) -> AccountSnapshot:
    changed: dict[str, ModelSnapshot] = {}
    for name, model in account.models.items():
        routing = nested(model.routing, find, model.public_name) if model.routing is not None else None
        if routing is not model.routing and routing is not None:
            changed[name] = replace(model, routing=routing)
            _log_faults(model.public_name, routing)
    return _with_models(account, changed)


def _with_models(account: AccountSnapshot, changed: Mapping[str, ModelSnapshot]) -> AccountSnapshot:
    if not changed:
        return account
    aliases: Mapping[str, ModelSnapshot] = getattr(account.models, "aliases", {})
    return replace(
        account,
        models=ByName(
            {name: changed.get(name, model) for name, model in account.models.items()},
            {alias: changed.get(model.name, model) for alias, model in aliases.items()},
        ),
        upstream_ids={key: changed.get(model.name, model) for key, model in account.upstream_ids.items()},
    )


def nest_rules(rules: RuleSet | None, accounts: ByName[AccountSnapshot]) -> RuleSet | None:
    """Return the rules with the targets of routing rules resolved; the same object where nothing changes."""
    if rules is None or not rules.routes.rules:
        return rules
    find = find_in(accounts)

    def resolved(route: Route) -> Route:
        routing = nested(route.routing, find) if route.routing is not None else None
        fallbacks = tuple(nested_target(target, find) for target in route.fallbacks)
        return replace(route, routing=routing, fallbacks=fallbacks)

    return rules.with_routes(resolved)


def log_barred_of_rules(rules: RuleSet, last: RuleSet | None) -> None:
    """Log the targets of routing rules that may not be followed, except those that ``last`` had."""
    for rule, target, why in sorted(_barred_of_rules(rules) - _barred_of_rules(last)):
        logger.error("A target of the routing rule %s is left out: %s: %s.", rule, target, why)


def _barred_of_rules(rules: RuleSet | None) -> set[tuple[str, str, str]]:
    routes = [(rule.label, rule.route) for rule in rules.routes.rules.values()] if rules is not None else []
    return {
        (label, target.name, target.barred)
        for label, route in routes
        if route is not None
        for target in (*(route.routing.stored.targets if route.routing is not None else ()), *route.fallbacks)
        if target.barred
    }


def _log_barred(name: str, routing: Routing) -> None:
    for target in (*routing.targets, *((routing.mirror,) if routing.mirror is not None else ())):
        if target.barred:
            logger.error("A target of the virtual model %s is left out: %s: %s.", name, target.name, target.barred)


def _log_faults(name: str, routing: Routing) -> None:
    faulty = [leaf for leaf in routing.leaves if leaf.fault]
    for leaf in faulty[:MOST_LOGGED]:
        logger.error("A target of the virtual model %s is left out: %s %s.", name, leaf.way, leaf.fault)
    if len(faulty) > MOST_LOGGED:
        logger.error("Of the virtual model %s, %d more targets are left out.", name, len(faulty) - MOST_LOGGED)
