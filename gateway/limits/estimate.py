"""What a call will use at most, as far as its request says: tokens for windows, tokens and money for budgets.

Input tokens are a quarter of the body's bytes, never more than the model's context window. For windows the output is
what the caller asks for at most, and nothing where it names no bound: it is corrected when the call is over. For
budgets it is the model's own bound then, or what the images have that it asks for, for a reservation must not be too
small.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

import msgspec
from django.conf import settings

from gateway.billing import images
from gateway.billing.audio import text_tokens
from gateway.billing.pricing import IMAGE_OPERATIONS
from gateway.call.call import Call
from gateway.call.errors import Forbidden
from gateway.call.plan import PlannedTarget
from gateway.limits.bounds import BOUNDS, MOST_TOKENS, outputs_of
from gateway.limits.checks import Check
from providers.dialects.families import claude
from providers.snapshot import Target
from rules.compiled import PICO
from rules.shape import Unit

WRITING: Final = frozenset({"chat", "completion", "responses", "realtime"})
"""What a model is called for whose output tokens the request does not bound by itself."""
SEPARATE: Final = ("cache_write_tokens",)
"""Input that may cost more than plain input does; the dearest counts."""
PROXIED: Final = "proxy"
"""The type of calls that nothing is known of: what a vendor asks for one is not known before, nor afterwards."""
UNPRICED: Final = "refuse"

T = TypeVar("T")
_list = msgspec.json.Decoder(list[msgspec.Raw])


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
    for planned in call.plan.targets:
        asked, most = _outputs(call, planned)
        estimate.output = max(estimate.output, asked)
        estimate.most_output = max(estimate.most_output, most)
    if "cost" in counts:
        gating = [check for check in checks if check.unit.counts == "cost" and check.rule.mode != "audit"]
        estimate.cost_pico = max((_worst_case(call, one, estimate, gating) for one in targets), default=0)
    return estimate


def _outputs(call: Call, planned: PlannedTarget) -> tuple[int, int]:
    """Return the output tokens that are asked of a target, none where no bound is named, and the most there can be."""
    operation, target = call.operation, planned.target
    fields = {**call.body.fields, **planned.params} if planned.params else call.body.fields
    if operation.name in IMAGE_OPERATIONS:
        return 0, images.output_tokens(_asked_units(call), fields, target.model.upstream_id) or 0
    kind = operation.door if operation.door in BOUNDS else operation.model_type
    found = outputs_of(kind, fields)
    if kind == "completion":
        found.choices *= _prompts(fields.get("prompt"))
    if found.effort and _thinks_by_budget(target):
        found.thinking = max(found.thinking, found.effort)
    models_most = target.model.max_output_tokens or settings.BUDGET_OUTPUT_TOKENS
    return found.asked, found.most(models_most if operation.model_type in WRITING else 0)


def _thinks_by_budget(target: Target) -> bool:
    """Whether an effort is translated to a budget of thinking there, beside which the bound is raised."""
    family = claude(target.model.upstream_id)
    return target.account.vendor.dialect == "anthropic" and family.manual and not family.adaptive


def _prompts(raw: msgspec.Raw | None) -> int:
    """Return how many prompts a completion has: strings, or lists of tokens; a list of tokens is one."""
    prompts = _decoded(raw, _list, [])
    return len(prompts) if prompts and bytes(prompts[0])[:1] in (b"[", b'"') else 1


def _decoded(raw: msgspec.Raw | None, decoder: msgspec.json.Decoder[T], empty: T) -> T:
    """Return the members of a JSON value; ``empty`` where it is absent or of another kind."""
    if raw is None:
        return empty
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError):
        return empty


def _asked_units(call: Call) -> dict[str, int]:
    """Return what the request itself is billed by. An upload's options may come last, when nothing waits for them."""
    units = call.operation.units
    return units(call) if units is not None and call.body.upload is None else {}


def _worst_case(call: Call, target: Target, estimate: Estimate, gating: list[Check]) -> int:
    """Return what the call could cost at this target, in pico-dollars."""
    operation = call.operation
    if operation.model_type == PROXIED:
        return _without_price(call, target, estimate, gating)
    if not operation.model_type or not operation.charges or not target.model.name:
        return 0
    units = {"input_tokens": estimate.input, "output_tokens": estimate.most_output, **_asked_units(call)}
    if operation.name in IMAGE_OPERATIONS:
        units["output_image_tokens"] = estimate.most_output
    elif operation.model_type == "realtime" or "audio" in call.body.fields:
        units["output_audio_tokens"] = estimate.most_output  # it may all be spoken, which costs more
    sheet = target.model.sheet
    discount = target.account.discount_bp
    costs = [] if sheet is None else [sheet.cost(units, discount)]
    if sheet is not None:
        costs += [sheet.cost({**units, name: estimate.input}, discount) for name in SEPARATE if name in sheet.rates]
    known = [cost for cost in costs if cost is not None]
    return max(known) if known else _without_price(call, target, estimate, gating)


def _without_price(call: Call, target: Target, estimate: Estimate, gating: list[Check]) -> int:
    if settings.UNPRICED_CALLS == "assume":
        per_token = int(settings.ASSUMED_PRICE * PICO / 1_000_000)
        output = estimate.most_output
        if call.operation.model_type == PROXIED:  # which field bounds it, if one does, is not known
            output = max(output, settings.BUDGET_OUTPUT_TOKENS)
        return (estimate.input + output) * per_token
    if settings.UNPRICED_CALLS == UNPRICED and gating:
        what = f"The model {target.model.public_name!r} has no price"
        do = "to give it a price"
        if call.operation.model_type == PROXIED:
            what, do = "What a call through /proxy/ costs is not known", "for an endpoint that covers it"
        raise Forbidden(
            f"{what}, and the budget {gating[0].rule.label!r} can't count what it costs. Ask the operator {do}, or to "
            "set GATEHOUSE_UNPRICED_CALLS.",
            param=None if call.operation.model_type == PROXIED else "model",
            code="model_unpriced",
        )
    return 0
