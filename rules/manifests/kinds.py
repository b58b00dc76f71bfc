"""The types of manifest that rules are written in, and the writing of their rows."""

from functools import partial
from typing import Any

from providers.manifests.kinds import ManifestKind
from providers.manifests.people import Run, changed_fields
from providers.manifests.place import Place
from providers.manifests.plan import Action
from rules import shape
from rules.manifests import reading, routing, schema, writing
from rules.manifests.reading import WantedRule, WantedRules
from rules.models import ROWS, Rule
from rules.references import Names, missing

# How a manifest spells the paths of a rule; the first that fits counts.
PATHS = {
    "when.accounts": "when.provider_accounts",
    "effect.limits": "limits",
    "effect.per": "applies_to",
    "effect.overrides": "applies_to.overrides",
    "effect.": "",
}
GATEWAY_PATHS = {
    "effect.limits": "limit_to",
    "effect.per": "per",
    "effect.overrides": "overrides",
    "effect.routing.": "",
    "effect.fallback.statuses": "when.response_status_codes",
    "effect.fallback.models": "fallback_models",
}


def write(form: str, run: Run, wanted: list[WantedRules], prune: bool) -> None:
    """Make the rules of this type what manifests ask for.

    A configuration of several rules is all that its manifest says: rules that it lost are removed. ``prune`` removes
    whole manifests that no file names.
    """
    saved = [_write_rule(run, one) for manifest in wanted for one in manifest.rules]
    named = {(manifest.group, rule.fields["name"]) for manifest in wanted for rule in manifest.rules}
    groups = {manifest.group for manifest in wanted}
    for row in ROWS[shape.FORMS[form].kind].objects.filter(form=form).order_by("group", "name"):
        lost = prune or (row.group in groups and shape.FORMS[form].first)
        if lost and (row.group, row.name) not in named:
            run.plan.add("remove", "rule", str(row))
            if not run.reading.faults:
                row.delete()
    if not run.reading.faults:
        run.reading.notes.extend(str(found) for found in missing([row for row in saved if row is not None], Names()))


def _write_rule(run: Run, wanted: WantedRule) -> Rule | None:
    fields = dict(wanted.fields)
    faults = shape.faults_of(fields["form"], fields["mode"], fields["when"], fields["effect"])
    for path, problem in faults:
        _place(wanted, path).fault(problem)
    if wanted.team:
        fields["team"] = team = run.team(wanted.team, wanted.where.get("team_name"))
        if team is None:
            return None
    if faults or not fields["name"]:
        return None
    fields["when"], fields["effect"] = shape.normal_when(fields["when"]), shape.normal_effect(fields["effect"])
    _note_targets(wanted)
    row = _stored(fields)
    new = row.pk is None
    changes = changed_fields(row, fields)
    if new or changes:
        run.save(row, wanted.where)
    action: Action = "add" if new else "change" if changes else "keep"
    run.plan.add(action, "rule", str(row), *(() if new else changes))
    return row


def _note_targets(wanted: WantedRule) -> None:
    """Say which targets of alerts are only kept: nothing here delivers to them."""
    targets = wanted.fields["effect"].get("alerts", {}).get("notification_target", [])
    kept = sorted({target["type"] for target in targets if not shape.is_delivered(target)})
    if kept:
        said = f"{', '.join(kept)}: kept, and not delivered. Name a channel of Gatehouse's as notification_channel."
        wanted.where.get("alerts", "notification_target").note(said)


def _stored(fields: dict[str, Any]) -> Rule:
    rows = ROWS[shape.FORMS[fields["form"]].kind]
    found = rows.objects.filter(form=fields["form"], group=fields["group"], name=fields["name"]).first()
    return found or rows(form=fields["form"], group=fields["group"], name=fields["name"])


def _place(wanted: WantedRule, path: str) -> Place:
    """Return where in the manifest the fault at ``path`` of the rule is."""
    first = shape.FORMS[wanted.fields["form"]].first
    for ours, theirs in (*(GATEWAY_PATHS.items() if first else ()), *PATHS.items()):
        if path.startswith(ours):
            path = theirs + path.removeprefix(ours)
            break
    return wanted.where.get(path.strip(".")) if path.strip(".") else wanted.where


SCHEMAS: dict[str, Any] = {
    "gateway-rate-limiting-config": schema.GatewayLimits,
    "tenant-rate-limit-config/model": schema.TenantLimit,
    "gateway-budget-config": schema.GatewayBudgets,
    "tenant-budget-config": schema.TenantBudget,
    "team-budget-config": schema.TeamBudget,
    **routing.SCHEMAS,
}


def _kind(form: shape.Form) -> ManifestKind:
    if form.kind == "routing":
        read, export = routing.read, routing.export
    elif form.first:
        read, export = reading.read_gateway, writing.export_gateway
    else:
        read, export = reading.read_tenant, writing.export_tenant
    return ManifestKind(
        name=form.name,
        schema=SCHEMAS[form.name],
        read=partial(read, form.name),
        write=partial(write, form.name),
        export=partial(export, form.name),
    )


KINDS = [_kind(form) for form in shape.FORMS.values()]
