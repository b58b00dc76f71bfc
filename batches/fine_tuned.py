"""Fine-tuned models: registered on the account when their job has succeeded, for the job's owner."""

from django.db import transaction

from accounts.models import Team, User, VirtualAccount
from gateway.models import OwnedObject
from providers.models import Model, ModelSubject, ProviderAccount

DEFAULT_TYPES = ["chat"]


def register(row: OwnedObject) -> Model | None:
    """Register the model that a succeeded job made, when its account wants that; return it when it is new.

    The model has the public price of the vendor's fine-tuned models, the base's abilities, and the job's owner.
    """
    name = row.data["body"].get("fine_tuned_model")
    if row.state != "succeeded" or not isinstance(name, str) or not name:
        return None
    account = ProviderAccount.objects.filter(name=row.account_name, register_fine_tuned=True).first()
    if account is None:
        return None
    with transaction.atomic():
        model, created = Model.objects.get_or_create(
            account=account,
            name=name,
            defaults={
                "upstream_id": name,
                "model_types": _types(row),
                "features": _features(account, row),
                "owner_key": row.owner_key,
            },
        )
        if created and account.isolation != ProviderAccount.Isolation.ACCOUNT:
            for subject in _subjects(row, teams=account.isolation == ProviderAccount.Isolation.TEAM):
                ModelSubject(model=model, **subject).save()
    return model if created else None


def _types(row: OwnedObject) -> list[str]:
    known = (row.data.get("origin") or {}).get("model_types")
    return list(known) if known else DEFAULT_TYPES


def _features(account: ProviderAccount, row: OwnedObject) -> list[str]:
    public = row.model_name.partition("/")[2]
    base = account.models.filter(name=public).first()
    return list(base.features) if base is not None else []


def _subjects(row: OwnedObject, *, teams: bool) -> list[dict[str, object]]:
    """Return the columns of the subjects that may call the model: its owner, and the owner's teams when they share."""
    found: list[dict[str, object]] = []
    for key in [row.owner_key, *(row.team_keys if teams else [])]:
        kind, _, number = key.partition(":")
        column, table = {"user": ("user", User), "team": ("team", Team)}.get(kind, ("virtual_account", VirtualAccount))
        if table.objects.filter(pk=number).exists():
            found.append({f"{column}_id": int(number)})
    return found
