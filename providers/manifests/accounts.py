"""Writing provider accounts as manifests want them: their fields, secrets, models and grants."""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.models import Prefetch
from fernet_fields import DecryptionError

from providers import egress
from providers.account import named_fault, who_names
from providers.bound_secrets import ENCRYPTED
from providers.credentials import kinds
from providers.credentials.kinds import BadCredentials
from providers.lookup import undecryptable
from providers.manifests.aliases import write_aliases
from providers.manifests.people import Run, changed_fields
from providers.manifests.place import Place, Secret
from providers.manifests.plan import Change
from providers.manifests.wanted import EVERYONE, GrantKey, Wanted, WantedAccount, WantedKey, WantedModel
from providers.models import Grant, Model, ModelSubject, ProviderAccount, Subject, known_targets
from providers.routing.shape import routed_names
from providers.routing.targets import Known, target_faults
from providers.vendors import VENDORS

Stored = dict[str, tuple[ProviderAccount, bool]]
"""Accounts by name, and whether their secrets can be read."""
Subjects = dict[int, list[ModelSubject]]
"""Whom models are narrowed to, by the model's key."""
SUBJECTS = ("user", "team", "virtual_account")


def write_accounts(run: Run, wanted: Wanted) -> None:
    """Write the accounts of ``wanted`` with their models and grants, then the grants that virtual accounts ask for."""
    asked: dict[str, list[GrantKey]] = {}
    for application in wanted.virtual_accounts:
        for name, role in application.grants or ():
            asked.setdefault(name, []).append((f"virtualaccount:{application.name}", role))
    names = [account.name for account in wanted.accounts]
    stored, subjects = _stored(names), _subjects(names)
    spoken_for = set()
    for account in sorted(wanted.accounts, key=lambda each: VENDORS[each.kind].virtual):  # behind their targets
        written = _write_account(run, account, *stored.get(account.name, (None, True)))
        if account.models is not None:
            _write_models(run, written, account.models, subjects)
        write_aliases(run, written, account)
        if account.grants is not None:
            spoken_for.add(account.name)
            grants = dict.fromkeys([*account.grants, *asked.get(account.name, ())])
            _write_grants(run, written, grants, account.where.get("collaborators"))
    _judge_targets(run, wanted)
    _write_permissions(run, wanted, spoken_for)


def judge_names(run: Run, wanted: Wanted) -> None:
    """Find what sends calls to a new account already, and is not written in the same run: who wrote that could not
    know of this account."""
    for name, where in run.new_accounts:
        named = [each for each in who_names(name) if each.manifest not in wanted.written]
        if named:
            where.get("name").fault(named_fault(name, named))


def _judge_targets(run: Run, wanted: Wanted) -> None:
    """Find what is wrong with the targets of virtual models. With faults not all is saved that they may name."""
    if not run.virtual_models:
        return
    known = known_with(wanted) if run.reading.faults else known_targets()
    for model, where in run.virtual_models:
        faults = target_faults(model.public_name, model.routing, known)
        if faults:
            where.get("routing").fault(" ".join(faults))


def known_with(wanted: Wanted) -> Known:
    """Return what targets may name once ``wanted`` is applied."""
    known = known_targets()
    coming = [(account.name, model) for account in wanted.accounts for model in account.models or ()]
    routed = {f"{name}/{model.name}": routed_names(model.fields.get("routing")) for name, model in coming}
    return Known(
        {**known.accounts, **{account.name: VENDORS[account.kind].virtual for account in wanted.accounts}},
        known.models | routed.keys(),
        known.open_accounts | {each.name for each in wanted.accounts if each.fields.get("any_model")},
        {**known.targets, **{name: targets for name, targets in routed.items() if targets}},
        {**known.former_accounts, **{old: each.name for each in wanted.accounts for old in each.aliases or ()}},
        {
            **known.former_models,
            **{f"{name}/{old}": f"{name}/{m.name}" for name, m in coming for old in m.aliases or ()},
        },
    )


def _stored(names: list[str]) -> Stored:
    """Load the accounts with all that belongs to them, in a few queries for all of them together."""
    models = Model.objects.order_by("id")
    grants = Grant.objects.select_related(*SUBJECTS).order_by("id")
    rows = ProviderAccount.objects.select_for_update().filter(name__in=names)
    rows = rows.prefetch_related(Prefetch("models", models), Prefetch("grants", grants))
    try:
        return {account.name: (account, True) for account in rows}
    except DecryptionError:
        return {account.name: _readable(account) for account in rows.defer(*ENCRYPTED)}


def _subjects(names: list[str]) -> Subjects:
    """Load whom models are narrowed to. Few are: a prefetch would build a query for each model that there is."""
    rows = ModelSubject.objects.select_related(*SUBJECTS).filter(model__account__name__in=names).order_by("id")
    found: Subjects = {}
    for row in rows:
        found.setdefault(row.model_id, []).append(row)
    return found


def _readable(account: ProviderAccount) -> tuple[ProviderAccount, bool]:
    try:
        account.refresh_from_db(fields=ENCRYPTED)
    except DecryptionError:
        account.api_key, account.extra_headers, account.seal = "", {}, ""
        return account, False
    return account, True


def _write_account(run: Run, wanted: WantedAccount, found: ProviderAccount | None, readable: bool) -> ProviderAccount:
    account = found or ProviderAccount(name=wanted.name)
    new = account.pk is None
    if new:
        account.names_are_judged = False
        run.new_accounts.append((wanted.name, wanted.where))
    changes = changed_fields(account, {"kind": wanted.kind, **wanted.fields})
    usable = bool(account.url) and egress.url_fault(account.url) is None
    secrets = wanted.key.keys.values() or (wanted.key.secret,)
    if usable and not readable and (wanted.key.action != "store" or any(each.value is None for each in secrets)):
        wanted.where.get("auth_data").fault(undecryptable(wanted.name))
    elif usable:
        moved = account.origin_changed()
        changes += _write_key(account, wanted, moved, new)
        changes += _write_headers(account, wanted, moved)
    if new or changes or not usable:
        run.save(account, wanted.where)
    if new:
        key = "with a key" if account.credentials else "without a key"
        run.plan.add("add", "provider-account", wanted.name, detail=f"{wanted.kind}, {account.url}, {key}")
    else:
        run.plan.add("change" if changes else "keep", "provider-account", wanted.name, *changes)
    return account


def _write_key(account: ProviderAccount, wanted: WantedAccount, moved: bool, new: bool) -> list[Change]:
    """Set the account's key. ``moved`` says that scheme, host or port change, which a stored key doesn't survive."""
    if wanted.key.keys:
        return _write_keys(account, wanted.key, moved)
    stored, secret, where = account.credentials, wanted.key.secret, wanted.key.where
    if wanted.key.action == "none":
        account.api_key = ""
        return [Change("credentials", note="removed")] if stored else []
    unbound = "" if moved else account.secret_fault("credentials")
    if wanted.key.action == "store" and secret.value is not None:
        _store(account, wanted.key, secret.value)
        if stored == account.credentials:
            return [Change("credentials", note="bound to the address")] if unbound else []
        return [Change("credentials", note="changed" if stored else "added")]
    if stored and not moved and not _other_application(account, wanted.key):
        if unbound:
            where.note(f"calls fail: {unbound}")
        return []
    if moved and stored:
        fix = f"Set {secret.variable}" if secret.variable else "Give auth_data"
        where.fault(f"the address gets another host, which the stored key may not be sent to. {fix}, or type: none.")
    elif secret.variable:
        where.fault(f"the environment variable {secret.variable} is not set, and no key is stored.")
    elif new and account.vendor.needs_key:
        where.fault("is missing: a new account needs {type: api-key, api_key: ${NAME}}, or {type: none} for no key.")
    return []


def _write_keys(account: ProviderAccount, wanted: WantedKey, moved: bool) -> list[Change]:
    """Make the account's keys those of ``wanted``. One whose variable is not set stays as it is stored, by its name, if
    it was entered for the address."""
    stored = account.keys
    unbound = "" if moved else account.secret_fault("credentials")
    keys = {}
    for name, secret in wanted.keys.items():
        if secret.value is not None:
            keys[name] = secret.value
        elif name in stored and not moved and not unbound:
            keys[name] = stored[name]
        else:
            why = unbound or ("the address gets another host." if moved else "no such key is stored.")
            wanted.where.get(name).fault(f"the environment variable {secret.variable} is not set, and {why}")
    changes = _named_changes("credentials", stored, keys, wanted.keys)
    if unbound and not changes:
        changes.append(Change("credentials", note="bound to the address"))
    if changes or moved or list(keys) != list(stored):
        account.keys = keys
    return changes


def _named_changes(
    field: str, stored: Mapping[str, str], kept: Mapping[str, str], wanted: Iterable[str]
) -> list[Change]:
    """Return what changes among named secrets: ``+`` for a new one, ``~`` for another value, ``-`` for a removal."""
    changes = [
        Change(field, note=f"{'~' if name in stored else '+'} {name}")
        for name in wanted
        if name not in stored or kept.get(name) != stored[name]
    ]
    return changes + [Change(field, note=f"- {name}") for name in stored if name not in wanted]


def _store(account: ProviderAccount, wanted: WantedKey, value: str) -> None:
    try:
        if wanted.type == "entra":
            tenant_id, client_id, authority, scope = wanted.application
            account.credential = kinds.entra(tenant_id, client_id, value, authority, scope)
        elif wanted.type == "service-account":
            account.credential = kinds.service_account(value)
        else:
            account.api_key = value
    except BadCredentials as fault:
        wanted.where.fault(str(fault))


def _other_application(account: ProviderAccount, wanted: WantedKey) -> bool:
    """Whether another application of Entra is wanted than the one whose secret is stored."""
    stored = account.credential
    if wanted.type != "entra":
        return False
    if not isinstance(stored, kinds.Entra):
        return True
    tenant_id, client_id, authority, scope = wanted.application
    there = (stored.tenant_id, stored.client_id, stored.authority, stored.scope or "")
    return there != (tenant_id, client_id, authority or kinds.ENTRA_AUTHORITY, scope)


def _write_headers(account: ProviderAccount, wanted: WantedAccount, moved: bool) -> list[Change]:
    stored = account.extra_headers
    unbound = "" if moved else account.secret_fault("extra_headers_json")
    headers = {}
    for name, secret in wanted.headers.items():
        if secret.value is not None:
            headers[name] = secret.value
        elif name in stored and not moved:
            headers[name] = stored[name]
        else:
            _header_fault(wanted.where.get("extra_headers").get(name), secret, moved and name in stored)
    changes = _named_changes("extra_headers", stored, headers, wanted.headers)
    if unbound and any(secret.value is None for secret in wanted.headers.values()):
        wanted.where.get("extra_headers").note(f"calls fail: {unbound}")
    elif unbound and not changes:
        changes.append(Change("extra_headers", note="bound to the address"))
    if changes or moved:
        account.extra_headers = headers
    return changes


def _header_fault(where: Place, secret: Secret, moved: bool) -> None:
    why = "the address gets another host, which the stored header may not be sent to." if moved else ""
    end = f". {why}" if why else ", and no such header is stored."
    where.fault(f"the environment variable {secret.variable} is not set{end}")


def _write_models(run: Run, account: ProviderAccount, wanted: list[WantedModel], subjects: Subjects) -> None:
    """Make the account's models those of ``wanted``. Models that a fine-tuning job registered stay."""
    present = {model.name: model for model in account.models.all()} if account.pk else {}
    for entry in wanted:
        model = present.get(entry.name) or Model(account=account, name=entry.name)
        model.upstream_id = model.upstream_id or model.name
        new = model.pk is None
        changes = changed_fields(model, entry.fields)
        if new or changes:
            model.targets_are_judged = False
            run.save(model, entry.where, exclude={"account"})
            run.virtual_models += [(model, entry.where)] if model.routing else []
        moves = _write_subjects(run, model, entry, subjects.get(model.pk, []))
        name = f"{account.name}/{entry.name}"
        if new:
            run.plan.add("add", "model", name, *moves, detail=", ".join(model.model_types))
        else:
            run.plan.add("change" if changes or moves else "keep", "model", name, *changes, *moves)
    names = {entry.name for entry in wanted}
    for name, model in present.items():
        if name not in names and not model.owner_key:
            run.plan.add("remove", "model", f"{account.name}/{name}")
            if not run.reading.faults:
                model.delete()


def _write_subjects(run: Run, model: Model, wanted: WantedModel, rows: list[ModelSubject]) -> list[Change]:
    if wanted.subjects is None:
        return []
    present = {subject_text(row): row for row in rows}
    where = wanted.where.get("authorized_subjects")
    changes = []
    for text in wanted.subjects:
        columns = run.subject(text, where)
        if text not in present:
            changes.append(Change("authorized_subjects", note=f"+ {text}"))
            if columns and not run.reading.faults:
                ModelSubject.objects.create(model=model, **columns)
    for text, row in present.items():
        if text not in wanted.subjects:
            changes.append(Change("authorized_subjects", note=f"- {text}"))
            if not run.reading.faults:
                row.delete()
    return changes


def _write_grants(run: Run, account: ProviderAccount, wanted: Iterable[GrantKey], where: Place) -> None:
    """Make the account's grants those of ``wanted``."""
    present = _grants_of(account)
    for text, role in wanted:
        columns = run.subject(text, where)
        if (text, role) in present:
            run.plan.add("keep", "grant", f"{account.name}: {text} as {role}")
            continue
        _add_grant(run, account, text, role, columns)
    wanted = set(wanted)
    for (text, role), grant in present.items():
        if (text, role) not in wanted:
            _remove_grant(run, account, text, role, grant)


def _write_permissions(run: Run, wanted: Wanted, spoken_for: set[str]) -> None:
    """Give virtual accounts their permissions on accounts whose own manifest doesn't say who may use them."""
    coming = {account.name for account in wanted.accounts}
    there = {account.name: account for account in ProviderAccount.objects.defer(*ENCRYPTED)}
    for application in wanted.virtual_accounts:
        if application.grants is None:
            continue
        text, where = f"virtualaccount:{application.name}", application.where.get("permissions")
        mine = Grant.objects.filter(virtual_account__name=application.name).exclude(account__name__in=spoken_for)
        present = {
            (grant.account.name, grant.role): grant
            for grant in mine.select_related("account").defer(*(f"account__{column}" for column in ENCRYPTED))
        }
        for name, role in sorted(application.grants):
            if name not in there and name not in coming:
                where.fault(f"the provider account {name!r} does not exist.")
            elif (name, role) in present:
                run.plan.add("keep", "grant", f"{name}: {text} as {role}")
            elif name in there and name not in spoken_for:
                _add_grant(run, there[name], text, role, run.subject(text, where))
        for (name, role), grant in present.items():
            if (name, role) not in application.grants:
                _remove_grant(run, there[name], text, role, grant)


def _grants_of(account: ProviderAccount) -> dict[GrantKey, Grant]:
    return {(subject_text(grant), grant.role): grant for grant in account.grants.all()} if account.pk else {}


def _add_grant(run: Run, account: ProviderAccount, text: str, role: str, columns: dict[str, Any] | None) -> None:
    run.plan.add("add", "grant", f"{account.name}: {text} as {role}")
    if columns and not run.reading.faults:
        Grant.objects.create(account=account, role=role, **columns)


def _remove_grant(run: Run, account: ProviderAccount, text: str, role: str, grant: Grant) -> None:
    run.plan.add("remove", "grant", f"{account.name}: {text} as {role}")
    if not run.reading.faults:
        grant.delete()


def subject_text(row: Subject) -> str:
    """Return a subject as manifests write it."""
    if row.everyone:
        return EVERYONE
    if row.user:
        return f"user:{row.user.email}"
    if row.team:
        return f"team:{row.team.name}"
    assert row.virtual_account is not None
    return f"virtualaccount:{row.virtual_account.name}"
