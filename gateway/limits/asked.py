"""A call as rules see it."""

from gateway.call.call import Call
from providers.snapshot import Target, former_names
from rules.asked import Asked, asked_by
from rules.compiled import RuleSet


def asked_of(rules: RuleSet, call: Call, target: Target, via: tuple[str, ...] = ()) -> Asked:
    """Return what ``rules`` see of a call that goes to ``target``, led there by the virtual models of ``via``."""
    caller, model, account = call.caller, target.model, target.account
    accounts = (account.name, *account.aliases)
    return asked_by(
        caller.subject_type,
        caller.subject_name,
        caller.teams,
        token=caller.prefix,
        models=(model.public_name if model.name else "", *former_names(target), call.model_asked, *via),
        accounts=accounts,
        metadata={**call.options.metadata, **caller.tags},
        variant_of=() if model.listed else rules.named.meant_by(accounts, model.name, account.vendor.price_source),
    )
