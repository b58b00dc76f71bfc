"""``manage.py test_credentials``: call an account's models and say what works."""

import difflib
from typing import Any

from django.core.management.base import CommandError, CommandParser

from providers.catalogue.models import kind_of, known_model
from providers.management.accounts import ModelsCommand, account_named
from providers.models import Model, ProviderAccount
from providers.probe.run import ProbeResult, probe_account
from providers.probe.verdict import LABELS


class Command(ModelsCommand):
    help = (
        "Make one cheap real call per model of an account and say what works: bad key, no access to the model, "
        "wrong URL, no network. Exits with 1 unless all work. "
        "Models without a cheap call are looked up in the upstream's list."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--model",
            action="append",
            default=[],
            metavar="NAME",
            help="only this one, with or without the account; may be repeated (default: all enabled ones)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        account = account_named(options["account"])
        results = probe_account(account, _chosen(account, options["model"]))
        self.print_rows([result.as_dict() for result in results], map(_line, results), as_json=options["json"])
        bad = sum(not result.ok for result in results)
        if bad:
            raise CommandError(f"{bad} of {len(results)} do not work.")


def _line(result: ProbeResult) -> str:
    sign = "ok  " if result.ok else "FAIL"
    label = LABELS[result.state]
    if result.state == "works" and result.via == "call":
        return f"{sign} {result.model}: {result.detail}"
    return f"{sign} {result.model}: {label}: {result.detail}"


def _chosen(account: ProviderAccount, names: list[str]) -> list[Model] | None:
    """Return the models called ``names``; ``None`` for all. A name of an "any model" account need not be listed."""
    if not names:
        return None
    present = {model.name: model for model in account.models.all()}
    chosen = []
    for name in dict.fromkeys(name.removeprefix(f"{account.name}/") for name in names):
        known = known_model(kind_of(account), name)
        if name in present:
            chosen.append(present[name])
        elif account.any_model:
            chosen.append(known.as_model(account) if known else Model(account=account, name=name, model_types=["chat"]))
        else:
            near = difflib.get_close_matches(name, present, n=3) or sorted(present)[:10]
            there = f" Valid values: {', '.join(near)}." if near else " It has none."
            raise CommandError(f"The account {account.name!r} has no model {name!r}.{there}")
    return chosen
