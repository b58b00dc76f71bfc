"""What a server offers is listed where a call by that name would be let in as an unregistered model's, and not else."""

import pytest

from accounts.caller import Caller
from gateway.access import models as access
from gateway.access.offered import shown_models
from gateway.call.errors import CallError
from gateway.state import state
from providers.snapshot import AccountSnapshot, ByName, ModelSnapshot
from tests.support.snapshots import account, caller, model

OTHERS = frozenset({"user:2"})
ROOT = {"is_superuser": True}


def shown(who: Caller, *accounts: AccountSnapshot, of: str = "") -> list[str]:
    by_name = {each.name: each for each in accounts}
    return [found.public_name for found in shown_models(who, by_name, of) if found is not None]


def offering(*names: str, models: tuple[ModelSnapshot, ...] = (), **more: object) -> AccountSnapshot:
    return account(*models, any_model=True, offered=names, **more)


def test_what_is_offered_is_beside_the_registered_models_in_order() -> None:
    acme = offering("c", "a", "org/b", models=(model("b"), model("mine", "c")))
    assert shown(caller(), acme) == ["acme/a", "acme/b", "acme/mine", "acme/org/b"]
    assert shown(caller(), acme, account(model("m", account="more"), name="more"), of="more") == ["more/m"]
    found = [each for each in shown_models(caller(), {"acme": acme}) if each is not None]
    assert [each.listed for each in found] == [False, True, True, False]
    assert next(shown_models(caller(), {"acme": acme})) is found[0], "made once for each snapshot"


@pytest.mark.parametrize(
    "registered",
    [
        model("gpt-4o", subjects=OTHERS),
        model("ours", "gpt-4o", subjects=OTHERS),
        model("gpt-4o", "deployment-7", subjects=OTHERS),
        model("GPT-4o", "models/GPT-4o", subjects=OTHERS),
        model("gpt-4o", enabled=False),
        model("ours", "gpt-4o", enabled=False),
    ],
)
@pytest.mark.parametrize("name", ["gpt-4o", "GPT-4o", "gpt-4o:latest", "gpt-4o-2024-05-13", "gpt-4o-fast", "x/gpt-4o"])
def test_a_closed_model_is_not_offered_in_any_form(registered: ModelSnapshot, name: str) -> None:
    assert shown(caller(), offering(name, "llama-3", models=(registered,))) == ["acme/llama-3"]


@pytest.mark.parametrize(
    ("who", "names"),
    [
        (caller(), ["acme/a", "acme/b"]),
        (caller("acme"), ["acme/a", "acme/b"]),
        (caller("acme/b", "acme/c"), ["acme/b"]),
        (caller("other"), []),
        (caller(principals=OTHERS), []),
        (caller(principals=OTHERS, **ROOT), ["acme/a", "acme/b"]),
    ],
)
def test_grants_and_the_limits_of_tokens(who: Caller, names: list[str]) -> None:
    assert shown(who, offering("a", "b")) == names


def test_what_is_never_shown() -> None:
    assert shown(caller(), offering("a", enabled=False)) == []
    tuned = ("ft:gpt-4o:org:secret-plan:1", "tunedModels/plan-1", "projects/1/locations/x/endpoints/2")
    assert shown(caller(**ROOT), offering(*tuned, "a,b", "gpt-4*", "a b")) == []
    former = model("new", aliases=("old",))
    models = ByName({"new": former}, {"old": former})
    acme = account(any_model=True, offered=("old", "x"), models=models, upstream_ids={"new": former})
    assert shown(caller(), acme) == ["acme/new", "acme/x"], "a former name is the model's that had it"


def test_the_list_is_what_calls_obey(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each offered name that is shown is let in as an unregistered model's, and no other one is."""
    closed = (model("gpt-4o", subjects=OTHERS), model("gemini-2.5-pro", enabled=False), model("mini", "gpt-4o-mini"))
    names = ("gpt-4o", "gpt-4o-mini", "chatgpt-4o-latest", "gemini-pro-latest", "o4-mini", "gpt4o", "@preset/x", "a:b")
    acme = offering(*names, models=closed)
    monkeypatch.setattr(state.directory, "accounts", ByName({"acme": acme}, {}))
    for who in (caller(), caller("acme/o4-mini", "acme/gpt-4o"), caller(principals=OTHERS, **ROOT)):
        called = []
        for name in names:
            try:
                target = access.resolve(who, f"acme/{name}", "")
            except CallError:
                continue
            if not target.model.listed:
                called.append(f"acme/{name}")
        assert [name for name in shown(who, acme) if name not in ("acme/mini", "acme/gpt-4o")] == sorted(called)
        assert len(called) < len(names)
