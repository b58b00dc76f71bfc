"""Manifests: the whole configuration as files. Apply makes the tables what the files say; export writes the files.

``docs/manifests.md`` describes the format. Applying is one transaction: with a single fault nothing is written.
"""

from collections.abc import Iterable, Mapping

from django.db import transaction
from django.db.models import Count, Model, QuerySet

from accounts.models import Team, VirtualAccount
from accounts.words import counted
from providers.manifests.accounts import judge_names, write_accounts
from providers.manifests.export import export_documents, to_yaml
from providers.manifests.kinds import KINDS
from providers.manifests.parse import parse
from providers.manifests.people import Run, write_people
from providers.manifests.place import Reading
from providers.manifests.plan import Plan
from providers.manifests.read import Fault, ManifestError, read_documents
from providers.manifests.wanted import Wanted
from providers.models import ProviderAccount

__all__ = ["Fault", "ManifestError", "Plan", "apply_manifests", "export_documents", "to_yaml"]


def apply_manifests(
    sources: Iterable[tuple[str, str]],
    environment: Mapping[str, str],
    *,
    dry_run: bool = False,
    prune: bool = False,
) -> Plan:
    """Make users, teams, virtual accounts, provider accounts and rules what ``sources`` (pairs of file name and text)
    say.

    ``environment`` holds the variables that manifests may name. ``prune`` also removes provider accounts, teams,
    virtual accounts and rules that no file names, each kind only if some file has one of it. Return what was done, or
    with ``dry_run`` would be. Raises :class:`ManifestError` with all faults; nothing is written then.
    """
    reading = Reading(environment)
    documents = read_documents(sources)
    wanted = parse(documents, reading)
    reading.settle()
    run = Run(reading, Plan(dry_run=dry_run, notes=reading.notes))
    with transaction.atomic():
        write_people(run, wanted)
        write_accounts(run, wanted)
        for kind in KINDS.values():
            if kind.name in wanted.more:
                kind.write(run, wanted.more[kind.name], prune)
        if prune:
            _prune(run, wanted)
        judge_names(run, wanted)
        if reading.faults:
            places = [(document.source, document.index) for document in documents]
            raise ManifestError(sorted(reading.faults, key=lambda fault: places.index((fault.source, fault.document))))
        transaction.set_rollback(dry_run)
    return run.plan


def _prune(run: Run, wanted: Wanted) -> None:
    """Remove what no file names, of the kinds that the files are about. Users and tokens are never removed by
    themselves."""
    accounts = ProviderAccount.objects.only("pk", "name").annotate(
        n_models=Count("models", distinct=True), n_grants=Count("grants", distinct=True)
    )
    _remove(run, "provider-account", accounts, {one.name for one in wanted.accounts}, ("models", "grants"))
    applications = VirtualAccount.objects.annotate(n_tokens=Count("tokens"))
    named = {one.name for one in wanted.virtual_accounts}
    _remove(run, "virtual-account", applications, named, ("tokens",))
    teams = Team.objects.annotate(n_members=Count("memberships"))
    _remove(run, "team", teams, {one.name for one in wanted.teams}, ("members",))


def _remove(run: Run, kind: str, rows: "QuerySet[Model]", named: set[str], parts: tuple[str, ...]) -> None:
    if not named:
        return
    for row in rows.exclude(name__in=named).order_by("name"):
        counts = [(getattr(row, f"n_{part}"), part) for part in parts]
        lost = ", ".join(counted(count, part.removesuffix("s")) for count, part in counts if count)
        run.plan.add("remove", kind, row.name, detail=f"with its {lost}" if lost else "")  # type: ignore[attr-defined]
        if not run.reading.faults:
            row.delete()
