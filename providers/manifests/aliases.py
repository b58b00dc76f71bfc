"""Writing the aliases that accounts and their models have by their manifests: former names that still work."""

from django.core.exceptions import ValidationError

from providers.manifests.people import Run
from providers.manifests.place import Place
from providers.manifests.wanted import WantedAccount
from providers.models import Alias, ProviderAccount


def write_aliases(run: Run, account: ProviderAccount, wanted: WantedAccount) -> None:
    """Make the aliases those of the manifest. Where it does not speak of them they stay."""
    asked = [("", wanted.aliases, wanted.where)]
    asked += [(model.name, model.aliases, model.where) for model in wanted.models or ()]
    if all(names is None for _, names, _ in asked):
        return
    present: dict[str, dict[str, Alias]] = {}
    for alias in account.aliases.select_related("model") if account.pk else ():
        present.setdefault(alias.model.name if alias.model else "", {})[alias.name] = alias
    for model, names, where in asked:
        if names is not None:
            _write(run, account, model, names, present.get(model, {}), where)


def _write(
    run: Run, account: ProviderAccount, model: str, names: list[str], present: dict[str, Alias], where: Place
) -> None:
    whose = f"{account.name}/{model}" if model else account.name
    for name in present.keys() - set(names):
        run.plan.add("remove", "alias", f"{name} for {whose}")
        if not run.reading.faults:
            present[name].delete()
    for number, name in enumerate(names):
        if name in present:
            run.plan.add("keep", "alias", f"{name} for {whose}")
            continue
        run.plan.add("add", "alias", f"{name} for {whose}")
        if not run.reading.faults:
            row = account.models.get(name=model) if model else None
            _add(run, Alias(account=account, model=row, name=name), where.get("aliases", number))
            reached = [row] if row is not None else account.models.all()  # those who name it lead there from now on
            run.virtual_models += [(each, where) for each in reached if each.routing]


def _add(run: Run, alias: Alias, where: Place) -> None:
    try:
        alias.full_clean()
    except ValidationError as error:
        where.fault(" ".join(error.messages))
    else:
        alias.save()
