"""The records of jobs and files, as the console shows them. The table is the gateway's: ``OwnedObject``."""

from typing import Any

from gateway.models import OwnedObject


class Job(OwnedObject):
    """A batch or a fine-tuning job."""

    class Meta:
        proxy = True
        verbose_name = "job"

    @property
    def body(self) -> dict[str, Any]:
        """What the upstream last said of it."""
        return self.data.get("body") or {}

    def __str__(self) -> str:
        return self.object_id


class StoredFile(OwnedObject):
    """A file that an upstream keeps."""

    class Meta:
        proxy = True
        verbose_name = "file"

    @property
    def body(self) -> dict[str, Any]:
        """What the upstream last said of it."""
        return self.data.get("body") or {}

    def __str__(self) -> str:
        return self.object_id
