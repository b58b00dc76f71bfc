"""The table of what usage records cost before they were rated again."""

from decimal import Decimal

from django.db import models


class Rerating(models.Model):
    """One change of a usage record's price: what it was, and what it became. ``run`` groups what one command changed.

    No column refers to the record: retention deletes both by the record's time. Costs are whole pico-dollars (1e-12
    USD); ``NULL`` means unpriced.
    """

    run = models.UUIDField(db_index=True)
    record = models.UUIDField(db_index=True)
    record_at = models.DateTimeField(db_index=True)
    rated_at = models.DateTimeField()
    reason = models.CharField(max_length=200)
    cost_pico = models.BigIntegerField(null=True)
    price_version = models.CharField(max_length=40)
    price_gaps = models.CharField(max_length=200)
    new_cost_pico = models.BigIntegerField(null=True)
    new_price_version = models.CharField(max_length=40)
    new_price_gaps = models.CharField(max_length=200)

    def __str__(self) -> str:
        return f"{self.record} {self.price_version} -> {self.new_price_version}"

    @property
    def cost(self) -> Decimal | None:
        """What the record cost before, in US dollars; ``None``: unpriced."""
        return None if self.cost_pico is None else self.cost_pico * Decimal("1e-12")
