"""The table of what callers say of their calls."""

from typing import Any

from django.db import models


class Feedback(models.Model):
    """A caller's word on a call, which trace and span name. No column refers to the call: either may be pruned."""

    trace_id = models.CharField(max_length=32)
    span_id = models.CharField(max_length=16)
    subject_type = models.CharField(max_length=16)
    subject_id = models.BigIntegerField()
    subject_name = models.CharField(max_length=254)
    rating = models.PositiveSmallIntegerField()
    comment = models.TextField(blank=True, default="")
    metadata = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_index=True)
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["trace_id", "span_id", "subject_type", "subject_id"], name="one_feedback_of_a_caller"
            )
        ]

    def as_dict(self) -> dict[str, Any]:
        """Return it as the API has it."""
        return {
            "target": {"traceId": self.trace_id, "spanId": self.span_id},
            "rating": self.rating,
            "comment": self.comment,
            "metadata": self.metadata,
            "createdBySubject": {"subjectType": self.subject_type, "subjectSlug": self.subject_name},
            "createdAt": self.created_at.isoformat(),
            "updatedAt": self.updated_at.isoformat(),
        }

    def __str__(self) -> str:
        return f"{self.trace_id}/{self.span_id} {self.rating}"
