"""Rules of manifests that are not applied: for trying them on what was recorded."""

from collections.abc import Iterable, Mapping

from accounts.models import Team
from providers.manifests.parse import parse
from providers.manifests.place import Reading
from providers.manifests.read import ManifestError, read_documents
from rules import shape
from rules.models import Rule


def proposed_rules(sources: Iterable[tuple[str, str]], environment: Mapping[str, str]) -> list[Rule]:
    """Return the rules of ``sources`` (pairs of file name and text), unsaved, numbered from one.

    Raises :class:`~providers.manifests.read.ManifestError` with all faults.
    """
    reading = Reading(environment)
    wanted = parse(read_documents(sources), reading)
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
    if reading.faults:
        raise ManifestError(reading.faults)
    return [rule for rule in rules if rule.enabled]
