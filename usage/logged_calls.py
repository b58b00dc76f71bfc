"""The table of the request log."""

from django.db import models


class LoggedCall(models.Model):
    """What a call said and was answered, where the request log keeps bodies: redacted, cut, compressed and encrypted.

    ``request_bytes`` and ``response_bytes`` are the sizes of the whole bodies. See ``usage.request_log``. Where they
    are in an object (``usage.body_store``), the row only says in which: the request ``request_kept`` bytes from
    ``object_start`` on, the answer ``response_kept`` behind it.
    """

    request_id = models.CharField(max_length=64, primary_key=True)
    created_at = models.DateTimeField(db_index=True)
    subject_type = models.CharField(max_length=16)
    subject_id = models.BigIntegerField()
    account = models.CharField(max_length=64)
    request = models.BinaryField()
    request_bytes = models.BigIntegerField()
    response = models.BinaryField()
    response_bytes = models.BigIntegerField()
    object_name = models.CharField(max_length=200, default="", db_default="")
    object_start = models.BigIntegerField(default=0, db_default=0)
    request_kept = models.IntegerField(default=0, db_default=0)
    response_kept = models.IntegerField(default=0, db_default=0)

    def __str__(self) -> str:
        return self.request_id
