"""``manage.py why``: what was decided about a request, and on what grounds."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.command import GatehouseCommand
from accounts.printable import printable
from usage import id_times
from usage.decisions import VIA, decision_lines
from usage.models import UsageRecord
from usage.ratings import earlier_costs
from usage.words import money


class Command(GatehouseCommand):
    """Print a request's attempts with the decision that its records keep."""

    help = "Say what happened to a request (its x-request-id): attempts, limits and budgets that counted it, cost."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("request_id", help="the value of the answer's x-request-id header")

    def handle(self, *args: Any, **options: Any) -> None:
        request_id = options["request_id"]
        found = id_times.since(UsageRecord.objects.filter(request_id=request_id), request_id)
        records = list(found.order_by("created_at", "id"))
        if not records:
            raise CommandError(f"No record of a request {request_id!r} is stored (yet).")
        first = records[0]
        self.stdout.write(
            f"{first.created_at:%Y-%m-%d %H:%M:%S} UTC: {first.subject_name} ({first.subject_type}, token "
            f"{first.token_prefix}) asked for {first.model_asked or 'no model'} ({first.operation})"
        )
        earlier = earlier_costs(records)
        for record in records:
            self.stdout.write(_attempt(record))
            for cost in earlier.get(record.pk, ()):
                self.stdout.write(f"  it cost {printable(cost)}")
        for line in decision_lines(records[-1].decision):
            self.stdout.write(line)


def _attempt(record: UsageRecord) -> str:
    if "replayed" in record.decision:
        return f"answered {record.status} with the kept answer of the call below, without any attempt and cost"
    if record.attempt_number == 0:
        return f"refused before any attempt: {record.status} {record.error_class}: {record.error_message}"
    cost = money(record.cost)
    end = f"{record.status}" + (f" {record.error_class}: {record.error_message}" if record.error_class else "")
    via = record.decision.get(VIA)
    where = (record.model_resolved or record.account) + (f" (via {via})" if via else "")
    tokens = f"{record.input_tokens} + {record.output_tokens} tokens"
    price = f", price {record.price_version}" if record.price_version else ""
    return (
        f"attempt {record.attempt_number} at {where}: {end}; {record.latency_us / 1e6:.3f} s, {tokens}, {cost}{price}"
    )
