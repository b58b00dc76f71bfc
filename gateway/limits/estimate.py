"""What a call will use at most, as far as its request says: tokens for windows, tokens and money for budgets.

Input tokens are a quarter of the body's bytes, never more than the model's context window. For windows the output is
what the caller asks for at most, and nothing where it names no bound: it is corrected when the call is over. For
budgets it is the model's own bound then, or what the images have that it asks for, for a reservation must not be too
small.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.conf import settings

from accounts.numbers import whole_number
from gateway.billing import images
from gateway.billing.audio import text_tokens
from gateway.billing.pricing import IMAGE_OPERATIONS
from gateway.call.call import Call
from gateway.call.errors import Forbidden
from gateway.limits.checks import Check
from providers.snapshot import Target
from rules.compiled import PICO
from rules.shape import Unit

MOST_TOKENS: Final = 10_000_000
OUTPUT_FIELDS: Final = ("max_completion_tokens", "max_output_tokens", "max_tokens")
WRITING: Final = frozenset({"chat", "completion", "responses", "realtime"})
"""What a model is called for whose output tokens the request does not bound by itself."""
SEPARATE: Final = ("cache_write_tokens",)
"""Input that may cost more than plain input does; the dearest counts."""
UNPRICED: Final = "refuse"


@dataclass(slots=True)
class Estimate:
    """Tokens for windows (``output``) and for budgets (``most_output``), and the money to reserve, in pico-dollars."""

    input: int = 0
    output: int = 0
    most_output: int = 0
    cost_pico: int = 0

    def amount(self, unit: Unit) -> int:
        """Return what a check of ``unit`` is asked for: at least one of what is counted by the call."""
        match unit.counts:
            case "input":
                return max(1, self.input)
            case "output":
                return max(1, self.output)
            case "total":
                return max(1, self.input + (self.most_output if unit.period else self.output))
            case "cost":
                return self.cost_pico
            case _:
                return 1


def estimate_of(call: Call, checks: Iterable[Check]) -> Estimate:
    """Return what ``checks`` need to know. Raises :class:`~gateway.call.errors.Forbidden` for a call without a price
    that a budget would have to count.
    """
    counts = {check.unit.counts for check in checks}
    estimate = Estimate()
    if counts <= {"requests", "concurrent"}:
        return estimate
    targets = [planned.target for planned in call.plan.targets]
    window = max((target.model.context_window or 0 for target in targets), default=0)
    estimate.input = min(text_tokens(len(call.body.raw)), window or MOST_TOKENS)
    asked = _asked_output(call)
    estimate.output = asked or 0
    estimate.most_output = asked if asked is not None else _most_output(call, targets)
    if "cost" in counts:
        gating = [check for check in checks if check.unit.counts == "cost" and check.rule.mode != "audit"]
        estimate.cost_pico = max((_worst_case(call, one, estimate, gating) for one in targets), default=0)
    return estimate


def _asked_output(call: Call) -> int | None:
    fields = call.body.fields
    for name in OUTPUT_FIELDS:
        if name in fields and (most := whole_number(bytes(fields[name]), MOST_TOKENS)) is not None:
            choices = whole_number(bytes(fields.get("n", b"1")), 128) or 1
            return most * choices
    return None


def _most_output(call: Call, targets: list[Target]) -> int:
    if call.operation.name in IMAGE_OPERATIONS:
        return max((_image_tokens(call, target) for target in targets), default=0)
    if call.operation.model_type not in WRITING:
        return 0
    bounds = (target.model.max_output_tokens or settings.BUDGET_OUTPUT_TOKENS for target in targets)
    choices = whole_number(bytes(call.body.fields.get("n", b"1")), 128) or 1
    return max(bounds, default=0) * choices


def _image_tokens(call: Call, target: Target) -> int:
    """Return the tokens of the images that are asked for; none where they are not known before."""
    return images.output_tokens(_asked_units(call), call.body.fields, target.model.upstream_id) or 0


def _asked_units(call: Call) -> dict[str, int]:
    """Return what the request itself is billed by. An upload's options may come last, when nothing waits for them."""
    units = call.operation.units
    return units(call) if units is not None and call.body.upload is None else {}


def _worst_case(call: Call, target: Target, estimate: Estimate, gating: list[Check]) -> int:
    """Return what the call could cost at this target, in pico-dollars."""
    operation = call.operation
    if not operation.model_type or not operation.charges or not target.model.name:
        return 0
    units = {"input_tokens": estimate.input, "output_tokens": estimate.most_output, **_asked_units(call)}
    if operation.name in IMAGE_OPERATIONS:
        units["output_image_tokens"] = estimate.most_output
    sheet = target.model.sheet
    discount = target.account.discount_bp
    costs = [] if sheet is None else [sheet.cost(units, discount)]
    if sheet is not None:
        costs += [sheet.cost({**units, name: estimate.input}, discount) for name in SEPARATE if name in sheet.rates]
    known = [cost for cost in costs if cost is not None]
    return max(known) if known else _without_price(target, estimate, gating)


def _without_price(target: Target, estimate: Estimate, gating: list[Check]) -> int:
    if settings.UNPRICED_CALLS == "assume":
        per_token = int(settings.ASSUMED_PRICE * PICO / 1_000_000)
        return (estimate.input + estimate.most_output) * per_token
    if settings.UNPRICED_CALLS == UNPRICED and gating:
        raise Forbidden(
            f"The model {target.model.public_name!r} has no price, and the budget {gating[0].rule.label!r} can't count "
            f"what it costs. Ask the operator to give it a price, or to set GATEHOUSE_UNPRICED_CALLS.",
            param="model",
            code="model_unpriced",
        )
    return 0
