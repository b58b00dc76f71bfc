"""Rules and virtual models of manifests that are not applied: for trying them on what was recorded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from accounts.models import Team
from providers.manifests.accounts import known_with
from providers.manifests.parse import parse
from providers.manifests.place import Reading
from providers.manifests.read import ManifestError, read_documents
from providers.manifests.wanted import Wanted
from providers.models import Model, ProviderAccount
from providers.routing import shape as routing_shape
from providers.routing.targets import target_faults
from providers.vendors import VENDORS
from rules import shape
from rules.models import Rule


@dataclass(slots=True)
class Proposed:
    """What files propose: rules, and virtual models. None of them is saved."""

    rules: list[Rule] = field(default_factory=list)
    virtual: list[Model] = field(default_factory=list)


def proposed_in(sources: Iterable[tuple[str, str]], environment: Mapping[str, str]) -> Proposed:
    """Return what ``sources`` (pairs of file name and text) propose, the rules numbered from one.

    Raises :class:`~providers.manifests.read.ManifestError` with all faults.
    """
    reading = Reading(environment)
    wanted = parse(read_documents(sources), reading)
    proposed = Proposed(_rules(wanted), _virtual_models(wanted))
    if reading.faults:
        raise ManifestError(reading.faults)
    return proposed


def _rules(wanted: Wanted) -> list[Rule]:
    rules: list[Rule] = []
    for manifests in wanted.more.values():
        for one in (rule for manifest in manifests for rule in getattr(manifest, "rules", [])):
            fields = dict(one.fields)
            for path, problem in shape.faults_of(fields["form"], fields["mode"], fields["when"], fields["effect"]):
                one.where.fault(f"{path}: {problem}")
            rule = Rule(pk=len(rules) + 1, **fields)
            if one.team:
                rule.team = Team.objects.filter(name=one.team).first() or Team(name=one.team)
            rules.append(rule)
    return [rule for rule in rules if rule.enabled]


def _virtual_models(wanted: Wanted) -> list[Model]:
    accounts = [account for account in wanted.accounts if VENDORS[account.kind].virtual]
    known = known_with(wanted) if accounts else None
    models: list[Model] = []
    for account in accounts:
        row = ProviderAccount(kind=account.kind, name=account.name)
        for entry in account.models or ():
            model = Model(account=row, name=entry.name, **entry.fields)
            models.append(model)
            for path, problem in routing_shape.faults_of(model.routing, model.model_types):
                entry.where.fault(f"routing_config.{path}: {problem}")
            assert known is not None  # there is an account
            for problem in target_faults(model.public_name, model.routing, known):
                entry.where.fault(f"routing_config: {problem}")
    return models
