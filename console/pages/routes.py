"""The addresses of the console's own pages, below ``/admin/``: address, view, name."""

from collections.abc import Callable
from typing import Any

from console.pages import (
    health,
    invitations,
    models,
    overview,
    playground,
    requests,
    spend,
    tokens,
    two_factor,
    what_if,
    wizard,
)

ROUTES: tuple[tuple[str, Callable[..., Any], str], ...] = (
    ("overview/steps/", overview.steps, "overview_steps"),
    ("playground/", playground.playground, "playground"),
    ("playground/token/", playground.token, "playground_token"),
    ("playground/record/", playground.record, "playground_record"),
    ("models/", models.models, "models"),
    ("models/<path:name>/", models.drawer, "model_drawer"),
    ("requests/live/", requests.live, "requests_live"),
    ("requests/live/rows/", requests.live_rows, "requests_live_rows"),
    ("requests/<path:request_id>/", requests.detail, "request"),
    ("tokens/", tokens.tokens, "tokens"),
    ("tokens/new/", tokens.new, "token_new"),
    ("people/invite/", invitations.new, "invite"),
    ("two-factor/", two_factor.own, "two_factor"),
    ("system-health/", health.system_health, "system_health"),
    ("spend/", spend.spend, "spend"),
    ("spend/export/", spend.export, "spend_export"),
    ("what-if/limit/", what_if.rate_limit, "what_if_rate_limit"),
    ("what-if/budget/", what_if.budget, "what_if_budget"),
    ("what-if/routing/", what_if.routing, "what_if_routing"),
    ("what-if/model/", what_if.virtual_model, "what_if_model"),
    ("providers/add/", wizard.wizard, "wizard"),
    ("providers/add/catalogue/", wizard.catalogue, "wizard_catalogue"),
    ("providers/add/subjects/", wizard.subjects, "wizard_subjects"),
    ("providers/add/test/", wizard.test, "wizard_test"),
    ("providers/add/save/", wizard.save, "wizard_save"),
    ("providers/<int:pk>/ready/", wizard.done, "wizard_done"),
)
