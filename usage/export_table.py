"""The table of files that were exported by the schedule."""

from django.db import models


class ExportedFile(models.Model):
    """A day of usage in a form, as it is in the export store.

    ``state`` is what the sums of the day were: other sums, and the file is written again. ``claimed_until`` is until
    when a worker that writes it is given; ``fault`` why it failed last.
    """

    name = models.CharField(max_length=200, primary_key=True)
    day = models.DateField(db_index=True)
    form = models.CharField(max_length=16)
    state = models.CharField(max_length=120, default="")
    rows = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    exported_at = models.DateTimeField(null=True)
    claimed_until = models.DateTimeField(null=True)
    fault = models.CharField(max_length=300, default="")

    def __str__(self) -> str:
        return self.name
