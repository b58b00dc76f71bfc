"""The models that an error proposes to a call without one: those that one would take today come first."""

from dataclasses import replace

from gateway.access.default_models import _examples
from tests.support.snapshots import account, caller, model


def test_defaults_come_first_and_models_that_end_last() -> None:
    models = [
        replace(model("a-old"), deprecated_on="2026-01-01"),
        model("b-now"),
        model("z-usual"),
        model("hidden", subjects=frozenset()),
    ]
    here = replace(account(*models), default_models={"chat": "z-usual"})
    found = [each.name for each in _examples(caller(), here, "chat")]
    assert found == ["z-usual", "b-now", "a-old"]
